"""`attribute` against autograd, captum and averages over noise."""

import copy

import numpy as np
import pytest
import torch
from captum import attr as captum

from tests.estimators.attribute_cases import (
    ALL,
    METHODS,
    OUTPUTS,
    RNG,
    N,
    autograd,
    close,
    explained,
    fitted,
    regression,
    several_logits,
    tensor_of,
)

pytestmark = pytest.mark.usefixtures("full_precision")


def several(kind):
    return kind.scalar in (several_logits,) or (kind.scalar is regression and kind.n_outputs > 1)


@ALL
@pytest.mark.parametrize("output", OUTPUTS)
def test_saliency_of_each_output_is_the_gradient_of_autograd(name, output, device):
    kind, net = fitted(name, device)
    values = net.attribute(kind.X, output=output, target="all")
    assert values.shape == (N, kind.n_outputs, *kind.X.shape[1:])
    assert values.dtype == (np.float64 if name == "double precision" else np.float32)
    for j in range(kind.n_outputs):
        function, index = explained(kind, net, output, target=j)
        expected = autograd(function, tensor_of(net, kind.X), index) * kind.units(net)[j]
        close(values[:, j], expected)
        np.testing.assert_array_equal(
            net.attribute(kind.X, output=output, target=kind.labels[j]), values[:, j]
        )


@ALL
@pytest.mark.parametrize("method", METHODS)
def test_a_target_for_each_row_picks_from_all_targets(name, method, device):
    kind, net = fitted(name, device)
    options = {"method": method, "n_steps": 3, "n_samples": 2, "random_state": 0}
    index = RNG.integers(0, kind.n_outputs, N)
    picked = net.attribute(kind.X, target=kind.labels[index], **options)
    assert picked.shape == kind.X.shape
    as_list = net.attribute(kind.X, target=kind.labels[index].tolist(), **options)
    np.testing.assert_array_equal(as_list, picked)
    if method != "smooth_grad":  # each target has noise of its own
        everything = net.attribute(kind.X, target="all", **options)
        close(picked, everything[np.arange(N), index], tolerance=1e-5)


@ALL
@pytest.mark.parametrize("output", OUTPUTS)
def test_the_default_target_is_the_prediction(name, output, device):
    kind, net = fitted(name, device)
    values = net.attribute(kind.X, output=output)
    if several(kind):
        everything = net.attribute(kind.X, output=output, target="all")
        if kind.scalar is regression:  # the sum of the standardised outputs
            expected = (everything / kind.units(net)[:, None]).sum(1)
        else:  # the log-odds (or log-probability) of what is predicted of all labels together
            signs = np.sign(net.forward(kind.X).numpy())[..., None]
            if output == "log_proba":
                pytest.skip("log-probabilities of the other outcomes are no multiple")
            expected = (signs * everything).sum(1)
        close(values, expected)
        return
    function, index = explained(kind, net, output)
    x = tensor_of(net, kind.X)
    close(values, autograd(function, x, index) * kind.units(net)[0])
    if kind.n_outputs > 1:
        predicted = np.asarray(net.predict(kind.X))
        np.testing.assert_array_equal(
            values, net.attribute(kind.X, output=output, target=predicted)
        )


def captum_value(method, function, x, j, baseline):
    options = {"baselines": baseline, "n_steps": 20, "method": "gausslegendre"}
    x = x.detach().clone().requires_grad_()

    def forward(data, index):
        return function(data, index)

    if method == "saliency":
        values = captum.Saliency(forward).attribute(x, abs=False, additional_forward_args=j)
    elif method == "input_x_gradient":
        values = captum.InputXGradient(forward).attribute(x, additional_forward_args=j)
    else:
        times_input = method == "integrated_gradients"
        explainer = captum.IntegratedGradients(forward, multiply_by_inputs=times_input)
        values = explainer.attribute(x, additional_forward_args=j, **options)
    return values.detach().cpu().numpy()


@ALL
@pytest.mark.parametrize("method", [m for m in METHODS if m != "smooth_grad"])
@pytest.mark.parametrize("baseline", ["mean", "zero", "rows"])
def test_methods_equal_those_of_captum(name, method, baseline, device):
    kind, net = fitted(name, device)
    axes = (0,) if kind.X.ndim == 2 else (0, 2, 3)
    start = {
        "mean": np.zeros_like(kind.X) + kind.X.mean(axes, keepdims=True, dtype=np.float64),
        "zero": np.zeros_like(kind.X),
        "rows": kind.X[::-1].copy(),
    }[baseline]
    target = 0
    function, j = explained(kind, net, "logit", target=target)
    expected = captum_value(method, function, tensor_of(net, kind.X), j, tensor_of(net, start))
    values = net.attribute(
        kind.X,
        method=method,
        target=kind.labels[target],
        baseline=None if baseline == "mean" else start,
        n_steps=20,
    )
    close(values, expected * kind.units(net)[target], tolerance=2e-4)


@ALL
def test_integrated_gradients_sum_to_the_change_of_the_output(name, device):
    kind, net = fitted(name, device)
    # at the kinks of a ReLU the quadrature converges with 1 / n_steps only
    values = net.attribute(
        kind.X, method="integrated_gradients", target=kind.labels[0], n_steps=1000
    )
    function, j = explained(kind, net, "logit", target=0)
    axes = (0,) if kind.X.ndim == 2 else (0, 2, 3)
    start = np.broadcast_to(kind.X.mean(axes, keepdims=True, dtype=np.float64), kind.X.shape)
    with torch.no_grad():
        change = function(tensor_of(net, kind.X), j) - function(tensor_of(net, start.copy()), j)
    change = change.cpu().numpy() * kind.units(net)[0]
    tolerance = 0.01 * np.abs(change).max()
    np.testing.assert_allclose(values.reshape(N, -1).sum(1), change, atol=tolerance)


@pytest.mark.parametrize("name", ["classifier", "images", "regressor"])
def test_smooth_grad_averages_gradients_under_noise(name, device):
    kind, net = fitted(name, device)
    values = net.attribute(
        kind.X,
        method="smooth_grad",
        target=kind.labels[0],
        n_samples=150,
        noise_level=0.5,
        random_state=0,
    )
    axes = (0,) if kind.X.ndim == 2 else (0, 2, 3)
    scale = kind.X.std(axes, keepdims=True)
    function, j = explained(kind, net, "logit", target=0)
    draws = np.stack(
        [
            autograd(function, tensor_of(net, X), j) * kind.units(net)[0]
            for X in kind.X + 0.5 * scale * RNG.standard_normal((150, *kind.X.shape))
        ]
    )
    error = np.abs(values - draws.mean(0))
    spread = draws.std(0) * np.sqrt(2 / 150)
    assert (error < 5 * spread + 1e-4 * np.abs(draws).max()).all()
    silent = net.attribute(
        kind.X, method="smooth_grad", target=kind.labels[0], noise_level=0.0, n_samples=3
    )
    close(silent, net.attribute(kind.X, target=kind.labels[0]), tolerance=1e-5)


@ALL
@pytest.mark.parametrize("method", [m for m in METHODS if m != "smooth_grad"])
def test_batch_size_does_not_change_the_values(name, method, device):
    kind, net = fitted(name, device)
    options = {"method": method, "n_steps": 3, "n_samples": 2, "random_state": 0}
    whole = net.attribute(kind.X, batch_size=N, **options)
    for batch_size in (1, 7, 1000, None):
        close(net.attribute(kind.X, batch_size=batch_size, **options), whole, tolerance=1e-5)


@pytest.mark.parametrize(
    "baseline",
    [0.0, [0.0], np.zeros(4), np.zeros((1, 4)), np.zeros((N, 4)), torch.zeros(4), [0, 0, 0, 0]],
    ids=lambda value: str(np.shape(value)),
)
@pytest.mark.parametrize("method", ["integrated_gradients", "path_gradient"])
def test_a_baseline_broadcasts_to_the_data(baseline, method, device):
    kind, net = fitted("classifier", device)
    options = {"method": method, "n_steps": 4, "batch_size": 7}
    expected = net.attribute(kind.X, baseline=np.zeros_like(kind.X), **options)
    np.testing.assert_array_equal(net.attribute(kind.X, baseline=baseline, **options), expected)


@pytest.mark.parametrize("shape", [(), (2, 1, 1), (2, 5, 6), (1, 2, 5, 6), (N, 2, 5, 6), (6,)])
def test_a_baseline_broadcasts_to_images(shape, device):
    kind, net = fitted("images", device)
    baseline = RNG.standard_normal(shape)
    options = {"method": "path_gradient", "n_steps": 2, "batch_size": 7}
    full = np.broadcast_to(baseline, kind.X.shape).copy()
    np.testing.assert_array_equal(
        net.attribute(kind.X, baseline=baseline, **options),
        net.attribute(kind.X, baseline=full, **options),
    )


@ALL
def test_explaining_leaves_the_net_as_it_was(name, device):
    kind, net = fitted(name, device)
    for training in (True, False):
        net.module_.train(training)
        before = copy.deepcopy(net.module_.state_dict())
        modes = [module.training for module in net.module_.modules()]
        gradients = [None if p.grad is None else p.grad.clone() for p in net.module_.parameters()]
        X = kind.X.copy()
        for method in METHODS:
            net.attribute(X, method=method, n_steps=2, n_samples=2)
        np.testing.assert_array_equal(X, kind.X)
        assert modes == [module.training for module in net.module_.modules()]
        for key, value in net.module_.state_dict().items():
            assert torch.equal(value, before[key])
        for p, gradient in zip(net.module_.parameters(), gradients, strict=True):
            assert (p.grad is None) if gradient is None else torch.equal(p.grad, gradient)


def test_an_explanation_does_not_depend_on_grad_mode(device):
    kind, net = fitted("classifier", device)
    expected = net.attribute(kind.X)
    with torch.no_grad():
        np.testing.assert_array_equal(net.attribute(kind.X), expected)
