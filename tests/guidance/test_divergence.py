import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from sgt_sklearn.guidance import DIVERGENCES, make_divergence


def outputs(*shape, scale=3.0):
    return [scale * torch.randn(shape, dtype=torch.float64) for _ in range(2)]


def test_categorical_kl_is_that_of_categorical_distributions():
    a, b = outputs(7, 4)
    expected = kl_divergence(Categorical(logits=a), Categorical(logits=b))
    torch.testing.assert_close(make_divergence("categorical_kl")(a, b), expected)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_categorical_kl_reduces_positions_behind_the_classes(reduction):
    a, b = outputs(7, 4, 5)
    values = kl_divergence(*(Categorical(logits=z.movedim(1, 2)) for z in (a, b)))
    divergence = make_divergence("categorical_kl", reduction=reduction)
    torch.testing.assert_close(divergence(a, b), getattr(values, reduction)(1))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("bernoulli_kl", lambda z: Bernoulli(logits=z)),
        # (a - b)^2 / (2 variance), on the scale of MSELoss for a variance of 1/2
        ("squared_difference", lambda z: Normal(z, 0.5**0.5)),
    ],
)
@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 4), (7, 4, 5)])
def test_elementwise_divergences_are_those_of_distributions(name, distribution, shape, reduction):
    a, b = outputs(*shape)
    values = kl_divergence(distribution(a), distribution(b)).reshape(7, -1)
    divergence = make_divergence(name, reduction=reduction)
    torch.testing.assert_close(divergence(a, b), getattr(values, reduction)(1))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_divergence_is_zero_of_equal_outputs_and_positive_of_others(name):
    a, b = outputs(7, 4)
    divergence = make_divergence(name)
    assert divergence(a, a).abs().max() < 1e-15
    assert (divergence(a, b) > 0).all()


@pytest.mark.parametrize(("name", "factor"), [("categorical_kl", 2), ("bernoulli_kl", 1)])
@pytest.mark.parametrize("size", [50.0, 1e4])
def test_sure_outputs_have_finite_divergences_and_gradients(name, factor, size):
    a = torch.tensor([[size, -size], [-size, size]], requires_grad=True)
    b = torch.tensor([[-size, size], [-size, size]], requires_grad=True)
    values = make_divergence(name)(a, b)
    torch.testing.assert_close(values, torch.tensor([factor * size, 0.0]))
    for gradient in torch.autograd.grad(values.sum(), (a, b)):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", DIVERGENCES)
def test_both_sides_carry_gradient(name):
    a, b = (z.requires_grad_(True) for z in outputs(7, 4, scale=1.0))
    assert torch.autograd.gradcheck(make_divergence(name), (a, b))
    for gradient in torch.autograd.grad(make_divergence(name)(a, b).sum(), (a, b)):
        assert (gradient != 0).all()


def test_a_callable_is_taken_as_it_is():
    def divergence(output, masked_output):
        return output[:, 0]

    assert make_divergence(divergence) is divergence


@pytest.mark.parametrize("value", ["kl", "auto", None, 3])
def test_unknown_divergence(value):
    with pytest.raises(ValueError, match=r"consistency must be one of .*categorical_kl.* got"):
        make_divergence(value)
