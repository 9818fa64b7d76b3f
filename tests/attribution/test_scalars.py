import pytest
import torch
from torch.distributions import Bernoulli, Categorical

from sgt_sklearn.attribution import (
    LIKELIHOODS,
    SALIENCY_OUTPUTS,
    first_output,
    logits_from,
    output_gradient,
    output_scalar,
)


def logits(*shape):
    return 2 * torch.randn(*shape, dtype=torch.float64)


# categorical


def test_log_proba_is_that_of_a_categorical_distribution():
    z, y = logits(7, 4), torch.arange(7) % 4
    values = output_scalar(z, y, kind="log_proba", likelihood="categorical")
    torch.testing.assert_close(values, Categorical(logits=z).log_prob(y))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_logit_and_margin_pick_the_class(dtype):
    z, y = logits(7, 4), torch.arange(7) % 4
    logit = output_scalar(z, y.to(dtype), kind="logit", likelihood="categorical")
    assert logit.tolist() == [z[i, y[i]].item() for i in range(7)]
    margin = output_scalar(z, y.to(dtype), kind="margin", likelihood="categorical")
    torch.testing.assert_close(margin, logit - z.mean(1))


@pytest.mark.parametrize("kind", SALIENCY_OUTPUTS)
def test_categorical_scalars_sum_over_positions(kind):
    z, y = logits(7, 4, 5), torch.arange(35).reshape(7, 5) % 4
    values = output_scalar(z, y, kind=kind, likelihood="categorical")
    at_positions = [
        output_scalar(z[:, :, t], y[:, t], kind=kind, likelihood="categorical") for t in range(5)
    ]
    torch.testing.assert_close(values, sum(at_positions))


@pytest.mark.parametrize("kind", SALIENCY_OUTPUTS)
def test_soft_labels_average_the_classes(kind):
    z, soft = logits(7, 4), torch.rand(7, 4, dtype=torch.float64)
    soft = soft / soft.sum(1, keepdim=True)
    values = output_scalar(z, soft, kind=kind, likelihood="categorical")
    of_classes = [
        output_scalar(z, torch.full((7,), c), kind=kind, likelihood="categorical")
        for c in range(4)
    ]
    torch.testing.assert_close(values, (soft * torch.stack(of_classes, 1)).sum(1))


@pytest.mark.parametrize(("kind", "changes"), [("log_proba", 0), ("margin", 0), ("logit", 1)])
def test_a_shift_of_all_logits_changes_the_logit_only(kind, changes):
    z, y = logits(7, 4), torch.arange(7) % 4
    shifted, values = (
        output_scalar(data, y, kind=kind, likelihood="categorical") for data in (z + 10, z)
    )
    torch.testing.assert_close(shifted, values + 10 * changes)


# Bernoulli, Gaussian


@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 4), (7, 4, 5)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int64, torch.bool])
def test_bernoulli_scalars_are_those_of_independent_bernoullis(shape, dtype):
    z, y = logits(*shape), torch.randint(2, shape)
    log_proba = Bernoulli(logits=z).log_prob(y.double()).reshape(7, -1).sum(1)
    signed = torch.where(y == 1, z, -z).reshape(7, -1).sum(1)
    for kind, expected in [("log_proba", log_proba), ("logit", signed), ("margin", signed)]:
        values = output_scalar(z, y.to(dtype), kind=kind, likelihood="bernoulli")
        torch.testing.assert_close(values, expected)


def test_bernoulli_targets_may_have_another_shape():
    z, y = logits(7, 1), torch.randint(2, (7,))
    values = output_scalar(z, y, kind="logit", likelihood="bernoulli")
    torch.testing.assert_close(values, torch.where(y == 1, z[:, 0], -z[:, 0]))


@pytest.mark.parametrize("kind", SALIENCY_OUTPUTS)
@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 4), (7, 4, 5)])
def test_gaussian_scalar_is_the_sum_of_the_outputs(kind, shape):
    z = logits(*shape)
    values = output_scalar(z, None, kind=kind, likelihood="gaussian")
    torch.testing.assert_close(values, z.reshape(7, -1).sum(1))


@pytest.mark.parametrize("kind", SALIENCY_OUTPUTS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_sure_outputs_have_finite_scalars_and_gradients(kind, likelihood):
    z = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    y = torch.zeros(2, dtype=torch.int64) if likelihood == "categorical" else torch.zeros(2, 2)
    values = output_scalar(z, y, kind=kind, likelihood=likelihood)
    assert values.isfinite().all()
    (gradient,) = torch.autograd.grad(values.sum(), z)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_unknown_kind(likelihood):
    with pytest.raises(ValueError, match=r"kind must be one of .*log_proba.*, got 'probability'"):
        output_scalar(logits(7, 4), None, kind="probability", likelihood=likelihood)


@pytest.mark.parametrize("kind", SALIENCY_OUTPUTS)
def test_unknown_likelihood(kind):
    with pytest.raises(ValueError, match=r"likelihood must be one of .*, got 'poisson'"):
        output_scalar(logits(7, 4), None, kind=kind, likelihood="poisson")


# gradient in closed form


def make_targets(likelihood, soft, shape):
    if likelihood == "categorical" and soft:
        return torch.rand(shape, dtype=torch.float64).softmax(1)
    if likelihood == "categorical":
        return torch.randint(shape[1], (shape[0], *shape[2:]))
    return torch.randint(2, shape).to(torch.float64 if soft else torch.int64)


@pytest.mark.parametrize("kind", SALIENCY_OUTPUTS)
@pytest.mark.parametrize(
    ("likelihood", "shape"),
    [
        (likelihood, shape)
        for likelihood in LIKELIHOODS
        for shape in [(7,), (7, 1), (7, 4), (7, 4, 5)]
        if likelihood != "categorical" or len(shape) > 1
    ],
)
@pytest.mark.parametrize("soft", [False, True])
def test_output_gradient_is_that_of_the_scalar(kind, likelihood, shape, soft):
    z, y = logits(*shape).requires_grad_(True), make_targets(likelihood, soft, shape)
    values = output_scalar(z, y, kind=kind, likelihood=likelihood)
    (expected,) = torch.autograd.grad(values.sum(), z)
    gradient = output_gradient(z, y, kind=kind, likelihood=likelihood)
    assert not gradient.requires_grad
    torch.testing.assert_close(gradient, expected)


def test_output_gradient_of_soft_labels_that_do_not_sum_to_one():
    z, y = logits(7, 4).requires_grad_(True), torch.rand(7, 4, dtype=torch.float64)
    for kind in SALIENCY_OUTPUTS:
        values = output_scalar(z, y, kind=kind, likelihood="categorical")
        (expected,) = torch.autograd.grad(values.sum(), z)
        gradient = output_gradient(z, y, kind=kind, likelihood="categorical")
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(("kind", "likelihood"), [("odds", "categorical"), ("logit", "poisson")])
def test_output_gradient_of_unknown_names(kind, likelihood):
    with pytest.raises(ValueError, match=r"must be one of .*, got '(odds|poisson)'"):
        output_gradient(logits(7, 4), None, kind=kind, likelihood=likelihood)


# outputs


def test_first_output_of_tuples_and_lists():
    z = logits(2, 3)
    assert first_output(z) is first_output((z, 1)) is first_output([z]) is z


@pytest.mark.parametrize(
    ("likelihood", "link"), [("categorical", lambda z: z.softmax(1)), ("bernoulli", torch.sigmoid)]
)
def test_logits_of_probabilities_give_the_probabilities_back(likelihood, link):
    p = link(logits(7, 4))
    z = logits_from(p, likelihood=likelihood, probabilities=True)
    torch.testing.assert_close(link(z), p)


@pytest.mark.parametrize("likelihood", ["categorical", "bernoulli"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_logits_of_sure_probabilities_are_finite(likelihood, dtype):
    p = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=dtype)
    z = logits_from(p, likelihood=likelihood, probabilities=True)
    assert z.dtype == dtype
    assert z.isfinite().all()


@pytest.mark.parametrize(
    ("likelihood", "probabilities"),
    [*((name, False) for name in LIKELIHOODS), ("gaussian", True)],
)
def test_other_outputs_are_logits_already(likelihood, probabilities):
    z = logits(7, 4)
    assert logits_from(z, likelihood=likelihood, probabilities=probabilities) is z
