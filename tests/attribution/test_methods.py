"""The methods against captum, closed forms and axioms."""

import captum.attr
import pytest
import torch
from torch import nn

from sgt_sklearn.attribution import (
    evaluation_mode,
    input_x_gradient,
    integrated_gradients,
    path_gradient,
    saliency,
    smooth_grad,
)
from sgt_sklearn.modules import CNN, MLP

BASELINE = 0.3
METHODS = {
    "saliency": saliency,
    "input_x_gradient": input_x_gradient,
    "integrated_gradients": lambda f, x: integrated_gradients(f, x, baseline=BASELINE),
    "path_gradient": lambda f, x: path_gradient(f, x, baseline=BASELINE),
    "smooth_grad": lambda f, x: smooth_grad(f, x, noise_scale=0.5, n_samples=4),
}
SHAPES = {"mlp": (6,), "cnn": (3, 5, 4)}


def make_net(kind, device="cpu", **options):
    options = {"n_outputs": 3, "activation": "tanh"} | options
    if kind == "mlp":
        net = MLP(n_features=6, **options)
    else:
        net = CNN(n_channels=3, height=5, width=4, channels=(4,), **options)
    return net.to(device, torch.float64)


def make_input(kind, device="cpu"):
    return torch.randn(7, *SHAPES[kind], dtype=torch.float64, device=device)


TARGETS = torch.tensor([0, 1, 2, 0, 1, 2, 0])


def logit(net):
    """One scalar a sample."""
    return lambda x: net(x).gather(1, TARGETS.to(x.device)[:, None])[:, 0]


# captum


@pytest.mark.parametrize("kind", SHAPES)
def test_saliency_is_that_of_captum(kind, device):
    net, x = make_net(kind, device), make_input(kind, device)
    captums = captum.attr.Saliency(net).attribute(
        x.clone().requires_grad_(True), target=TARGETS.to(device), abs=False
    )
    torch.testing.assert_close(saliency(logit(net), x), captums)


@pytest.mark.parametrize("kind", SHAPES)
def test_input_x_gradient_is_that_of_captum(kind, device):
    net, x = make_net(kind, device), make_input(kind, device)
    captums = captum.attr.InputXGradient(net).attribute(
        x.clone().requires_grad_(True), target=TARGETS.to(device)
    )
    torch.testing.assert_close(input_x_gradient(logit(net), x), captums.detach())


def make_baselines(x):
    return {
        "zero": torch.zeros_like(x[:1]),
        "one a sample": torch.randn_like(x),
        "one a feature": x.mean(0, keepdim=True),
    }


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("n_steps", [1, 5, 50])
@pytest.mark.parametrize("baseline", ["zero", "one a sample", "one a feature"])
def test_integrated_gradients_are_those_of_captum(kind, n_steps, baseline, device):
    net, x = make_net(kind, device), make_input(kind, device)
    start = make_baselines(x)[baseline]
    captums = captum.attr.IntegratedGradients(net).attribute(
        x, start.expand_as(x), target=TARGETS.to(device), n_steps=n_steps, method="gausslegendre"
    )
    values = integrated_gradients(logit(net), x, baseline=start, n_steps=n_steps)
    torch.testing.assert_close(values, captums)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("per_feature", [False, True], ids=["one scale", "scale a feature"])
def test_smooth_grad_averages_the_saliency_of_captum(kind, per_feature, device):
    net, x = make_net(kind, device), make_input(kind, device)
    scale = torch.rand_like(x[0]) if per_feature else 0.7
    generators = [torch.Generator(device).manual_seed(2) for _ in range(2)]
    values = smooth_grad(logit(net), x, noise_scale=scale, n_samples=6, generator=generators[0])
    total = 0
    for _ in range(6):
        noise = torch.randn(x.shape, dtype=x.dtype, device=device, generator=generators[1])
        noisy = (x + scale * noise).requires_grad_(True)
        total += captum.attr.Saliency(net).attribute(noisy, TARGETS.to(device), abs=False)
    torch.testing.assert_close(values, total / 6)


# closed forms


def linear_function(w):
    return lambda x: (x * w).sum(1) + 5


def test_linear_models_have_closed_forms(device):
    x, start = (torch.randn(7, 6, dtype=torch.float64, device=device) for _ in range(2))
    w = torch.randn(6, dtype=torch.float64, device=device)
    f = linear_function(w)
    expected = w.expand_as(x)
    torch.testing.assert_close(saliency(f, x), expected)
    torch.testing.assert_close(smooth_grad(f, x, noise_scale=3.0), expected)
    torch.testing.assert_close(input_x_gradient(f, x), x * w)
    for n_steps in (1, 2, 50):
        options = {"baseline": start, "n_steps": n_steps}
        torch.testing.assert_close(path_gradient(f, x, **options), expected)
        torch.testing.assert_close(integrated_gradients(f, x, **options), (x - start) * w)


def test_path_gradient_of_a_cubic_is_the_difference_quotient():
    x, start = (torch.randn(7, 6, dtype=torch.float64) for _ in range(2))
    values = path_gradient(lambda x: (x**3).sum(1), x, baseline=start, n_steps=2)
    torch.testing.assert_close(values, (x**3 - start**3) / (x - start))


@pytest.mark.parametrize("seed", range(3))
def test_smooth_grad_of_a_cubic_is_the_gradient_of_its_expectation(seed):
    x, s, n = torch.tensor([[-1.0, 0.0, 2.0]], dtype=torch.float64), 0.5, 4000
    generator = torch.Generator().manual_seed(seed)
    values = smooth_grad(
        lambda x: (x**3).sum(1), x, noise_scale=s, n_samples=n, generator=generator
    )
    # 3 (x + s e)^2 has mean 3 x^2 + 3 s^2 and variance 9 (4 x^2 s^2 + 2 s^4); five errors
    error = 3 * (4 * x**2 * s**2 + 2 * s**4).sqrt() / n**0.5
    assert ((values - 3 * x**2 - 3 * s**2).abs() < 5 * error).all()


# axioms


@pytest.mark.parametrize("activation", ["tanh", "softplus", "silu"])
def test_integrated_gradients_are_complete(activation, device):
    f = logit(make_net("mlp", device, activation=activation))
    x, start = make_input("mlp", device), make_input("mlp", device)
    values = integrated_gradients(f, x, baseline=start)
    torch.testing.assert_close(values.sum(1), (f(x) - f(start)).detach(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("n_steps", [1, 7])
def test_integrated_gradients_are_the_path_gradient_times_the_path(kind, n_steps, device):
    net, x = make_net(kind, device), make_input(kind, device)
    options = {"baseline": torch.randn_like(x), "n_steps": n_steps}
    expected = (x - options["baseline"]) * path_gradient(logit(net), x, **options)
    torch.testing.assert_close(integrated_gradients(logit(net), x, **options), expected)


def test_one_step_on_the_path_is_its_middle():
    net, x = make_net("mlp"), make_input("mlp")
    values = path_gradient(logit(net), x, baseline=BASELINE, n_steps=1)
    torch.testing.assert_close(values, saliency(logit(net), (x + BASELINE) / 2))


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"smooth_grad"}))
def test_values_of_a_sample_do_not_depend_on_the_others(method):
    x = torch.randn(7, 6, dtype=torch.float64)
    values = METHODS[method](lambda x: x.prod(1), x)
    alone = METHODS[method](lambda x: x.prod(1), x[2:4])
    torch.testing.assert_close(values[2:4], alone)


# what is left alone


@pytest.mark.parametrize("method", METHODS)
def test_parameters_input_and_their_gradients_are_left_alone(method, device):
    net, x = make_net("mlp", device, dropout=0.5), make_input("mlp", device)
    first = next(net.parameters())
    first.grad = kept = torch.ones_like(first)
    before = x.clone()
    with evaluation_mode([net]):
        METHODS[method](logit(net), x)
    assert first.grad is kept
    assert (kept == 1).all()
    assert all(p.grad is None for p in list(net.parameters())[1:])
    assert torch.equal(x, before)
    assert all(m.training for m in net.modules())


@pytest.mark.parametrize("method", METHODS)
def test_values_have_no_graph_even_if_the_input_requires_gradients(method):
    x = make_input("mlp").requires_grad_(True)
    values = METHODS[method](logit(make_net("mlp")), x)
    assert not values.requires_grad
    assert x.grad is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_values_keep_shape_dtype_and_device(method, dtype, device):
    x = torch.randn(7, 6, device=device).to(dtype)
    values = METHODS[method](lambda x: (x**2).sum(1), x)
    assert values.shape == x.shape
    assert values.dtype == dtype
    assert values.device == x.device
    assert values.isfinite().all()


def test_smooth_grad_draws_from_the_given_generator_only(device):
    net, x = make_net("mlp", device), make_input("mlp", device)
    before, values = torch.get_rng_state(), []
    for seed in (1, 1, 2):
        generator = torch.Generator(device).manual_seed(seed)
        values.append(smooth_grad(logit(net), x, noise_scale=1.0, generator=generator))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[1], values[2])


def test_smooth_grad_without_a_generator_draws_from_the_global_one():
    net, x = make_net("mlp"), make_input("mlp")
    torch.manual_seed(3)
    values = smooth_grad(logit(net), x, noise_scale=1.0)
    generator = torch.Generator().manual_seed(3)
    expected = smooth_grad(logit(net), x, noise_scale=1.0, generator=generator)
    assert torch.equal(values, expected)


# errors


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_integer_input_is_a_type_error(method, dtype):
    with pytest.raises(TypeError, match="floating-point"):
        METHODS[method](lambda x: (1.0 * x).sum(1), torch.ones(2, 3).to(dtype))


@pytest.mark.parametrize("method", METHODS)
def test_no_gradient_path_is_a_type_error(method):
    net = nn.Linear(3, 1)
    with pytest.raises(TypeError, match="no gradient path to its input"):
        METHODS[method](lambda x: net(x.detach())[:, 0], torch.ones(2, 3))


@pytest.mark.parametrize("method", METHODS)
def test_modes_are_restored_after_an_error(method):
    net = make_net("mlp", dropout=0.5)
    x = torch.randn(7, 5, dtype=torch.float64)  # one column too few
    with pytest.raises(RuntimeError, match="shapes"), evaluation_mode([net]):
        METHODS[method](logit(net), x)
    assert all(m.training for m in net.modules())
