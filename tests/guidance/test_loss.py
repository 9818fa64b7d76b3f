import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sgt_sklearn.guidance import (
    DIVERGENCES,
    Masking,
    make_divergence,
    masked_input,
    saliency_guided_loss,
)

DTYPES = [torch.float32, torch.float64, torch.bfloat16]


def make_net(device="cpu", dtype=torch.float64, **options):
    net = Net(**options)
    return net.to(device=device, dtype=dtype)


class Net(nn.Module):
    """Perceptron that can have dropout, batch norm, a tuple of outputs, and notes its modes."""

    def __init__(self, dropout=0.0, batch_norm=False, output="tensor"):
        super().__init__()
        layers = [nn.Linear(6, 8), nn.BatchNorm1d(8)] if batch_norm else [nn.Linear(6, 8)]
        self.body = nn.Sequential(
            *layers, nn.Tanh(), nn.Dropout(dropout) if dropout else nn.Tanh()
        )
        self.head = nn.Linear(8, 3)
        self.output = output
        self.modes = []

    def forward(self, x):
        self.modes.append(self.training)
        z = self.head(self.body(x))
        return {"tensor": z, "tuple": (z, x), "list": [z, x]}[self.output]


def make_batch(device="cpu", dtype=torch.float64, n=8):
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x.to(device=device, dtype=dtype), (torch.arange(n) % 3).to(device)


def guided_loss(net, x, y, **options):
    """The loss with the settings of most tests here."""
    defaults = {
        "loss": nn.CrossEntropyLoss(),
        "divergence": "categorical_kl",
        "masking": Masking(fill="marginal"),
        "generator": torch.Generator(x.device).manual_seed(1),
    }
    return saliency_guided_loss(net, x, y, **defaults | options)


def clean_and_masked(net, x, y, masking=None, weight=None):
    generator = torch.Generator(x.device).manual_seed(1)
    masking = Masking(fill="marginal") if masking is None else masking
    masked_x = masked_input(net, x, y, masking, weight=weight, generator=generator)
    return net(x), net(masked_x)


# dtypes and devices


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
@pytest.mark.parametrize("order", ["signed", "absolute", "sampled", "random"])
@pytest.mark.parametrize("fill", ["sample_uniform", "marginal"])
def test_every_dtype_and_device_trains(dtype, saliency_pass, order, fill, device):
    net, (x, y) = make_net(device, dtype), make_batch(device, dtype)
    labels = torch.tensor([0, 0, 1, 2, 3, 3], device=device)
    masking = Masking(order=order, fill=fill, groups=labels)
    task, consistency = guided_loss(net, x, y, masking=masking, saliency_pass=saliency_pass)
    for loss in (task, consistency):
        assert loss.shape == ()
        assert loss.dtype == dtype
        assert loss.device.type == device
        assert loss > 0
    before = [p.detach().clone() for p in net.parameters()]
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    (task + consistency).backward()
    optimizer.step()
    for p, old in zip(net.parameters(), before, strict=True):
        assert p.isfinite().all()
        assert (p != old).any()


# weights

WEIGHTS = {
    "equal": torch.ones(8),
    "different": torch.arange(8.0),
    "one sample": F.one_hot(torch.tensor(3), 8).double(),
}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_both_terms_are_weighted_means(weights, divergence, device):
    net, (x, y) = make_net(device), make_batch(device)
    weight = WEIGHTS[weights].to(device, x.dtype)
    losses = guided_loss(
        net,
        x,
        y,
        loss=nn.CrossEntropyLoss(reduction="none"),
        divergence=divergence,
        weight=weight,
    )
    clean, masked = clean_and_masked(net, x, y, weight=weight)
    terms = F.cross_entropy(clean, y, reduction="none"), make_divergence(divergence)(clean, masked)
    for value, term in zip(losses, terms, strict=True):
        w, values = weight.tolist(), term.tolist()
        expected = sum(a * b for a, b in zip(w, values, strict=True)) / sum(w)
        assert value.item() == pytest.approx(expected, abs=1e-14)


def test_weights_of_equal_size_change_nothing(device):
    net, (x, y) = make_net(device), make_batch(device)
    weight = torch.full((8,), 0.3, dtype=x.dtype, device=device)
    unreduced = nn.CrossEntropyLoss(reduction="none")
    weighted = guided_loss(net, x, y, loss=unreduced, weight=weight)
    torch.testing.assert_close(weighted, guided_loss(net, x, y))


def test_weights_that_sum_to_zero_give_zero_losses_and_gradients(device):
    net, (x, y) = make_net(device), make_batch(device)
    weight = torch.zeros(8, dtype=x.dtype, device=device)
    task, consistency = guided_loss(
        net, x, y, loss=nn.CrossEntropyLoss(reduction="none"), weight=weight
    )
    assert task == consistency == 0
    (task + consistency).backward()
    assert all((p.grad == 0).all() for p in net.parameters())


def test_weight_zero_is_absence_from_the_task_loss_of_rows_of_values(device):
    net, (x, _) = make_net(device), make_batch(device)
    y = torch.randn(8, 3, dtype=x.dtype, device=device)
    weight = torch.tensor([1.0, 0, 1, 1, 0, 1, 1, 1], dtype=x.dtype, device=device)
    masking = Masking(fill="marginal", likelihood="gaussian")
    task, _ = guided_loss(
        net,
        x,
        y,
        loss=nn.MSELoss(reduction="none"),
        divergence="squared_difference",
        masking=masking,
        weight=weight,
    )
    torch.testing.assert_close(task, F.mse_loss(net(x)[weight > 0], y[weight > 0]))


def test_weights_need_one_loss_a_sample():
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(ValueError, match=r"need one loss a sample: loss and divergence"):
        guided_loss(net, x, y, weight=torch.ones(8))


# reductions, outputs


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_consistency_is_reduced_as_told(reduction, divergence, device):
    net, (x, y) = make_net(device), make_batch(device)
    _, consistency = guided_loss(net, x, y, divergence=divergence, reduction=reduction)
    over_outputs = "sum" if reduction == "sum" else "mean"
    values = make_divergence(divergence, reduction=over_outputs)(*clean_and_masked(net, x, y))
    expected = values if reduction == "none" else getattr(values, reduction)()
    torch.testing.assert_close(consistency, expected)


@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
@pytest.mark.parametrize("output", ["tuple", "list"])
def test_element_0_of_several_outputs_counts(output, saliency_pass, device):
    net, (x, y) = make_net(device), make_batch(device)
    expected = guided_loss(net, x, y)
    net.output = output
    values = guided_loss(net, x, y, saliency_pass=saliency_pass)
    torch.testing.assert_close(values, expected)


@pytest.mark.parametrize("likelihood", ["categorical", "bernoulli"])
def test_probabilities_are_compared_as_logits(likelihood, device):
    net, (x, y) = make_net(device), make_batch(device)
    link = nn.Softmax(dim=1) if likelihood == "categorical" else nn.Sigmoid()
    targets = y if likelihood == "categorical" else F.one_hot(y, 3).to(x.dtype)
    options = {"loss": lambda z, y: z.sum(), "divergence": f"{likelihood}_kl"}
    values = [
        guided_loss(
            forward,
            x,
            targets,
            masking=Masking(
                fill="marginal",
                output="log_proba",
                likelihood=likelihood,
                probabilities=forward is not net,
            ),
            **options,
        )[1]
        for forward in (net, nn.Sequential(net, link))
    ]
    torch.testing.assert_close(*values, rtol=1e-8, atol=0)


def test_nothing_hidden_gives_the_task_loss_and_zero(device):
    net, (x, y) = make_net(device), make_batch(device)
    task, consistency = guided_loss(net, x, y, masking=Masking(fraction=0.1))
    torch.testing.assert_close(task, F.cross_entropy(net(x), y), rtol=0, atol=0)
    assert consistency.item() == 0
    assert net.modes == [True, True]  # one pass, and the one of this test
    (task + consistency).backward()


def test_a_masked_batch_can_be_used_again(device):
    net, (x, y) = make_net(device), make_batch(device)
    generator = torch.Generator(device).manual_seed(1)
    masked_x = masked_input(net, x, y, Masking(fill="marginal"), generator=generator)
    state = generator.get_state()
    again = guided_loss(net, x, y, masked_x=masked_x, generator=generator)
    torch.testing.assert_close(again, guided_loss(net, x, y))
    assert torch.equal(generator.get_state(), state)


def test_gradient_flows_through_both_sides_of_the_divergence(device):
    net, (x, y) = make_net(device), make_batch(device)
    _, consistency = guided_loss(net, x, y)
    parameters = list(net.parameters())
    gradients = torch.autograd.grad(consistency, parameters)
    clean, masked = clean_and_masked(net, x, y)
    sides = [
        torch.autograd.grad(make_divergence("categorical_kl")(*pair).mean(), parameters)
        for pair in [(clean, masked.detach()), (clean.detach(), masked)]
    ]
    for gradient, *parts in zip(gradients, *sides, strict=True):
        torch.testing.assert_close(gradient, sum(parts))


def test_it_works_where_gradients_are_off(device):
    net, (x, y) = make_net(device), make_batch(device)
    expected = [loss.detach() for loss in guided_loss(net, x, y)]
    with torch.no_grad():
        torch.testing.assert_close(list(guided_loss(net, x, y)), expected)


# modes, generators, gradients


@pytest.mark.parametrize(
    ("saliency_pass", "order", "modes"),
    [
        ("separate", "absolute", [True, False, True]),
        ("shared", "absolute", [True, True]),
        ("separate", "random", [True, True]),
        ("shared", "random", [True, True]),
    ],
)
def test_modes_of_the_passes(saliency_pass, order, modes, device):
    net, (x, y) = make_net(device), make_batch(device)
    masking = Masking(fill="marginal", order=order)
    guided_loss(net, x, y, masking=masking, saliency_pass=saliency_pass)
    assert net.modes == modes
    assert all(m.training for m in net.modules())


def test_each_submodule_keeps_its_own_mode(device):
    net, (x, y) = make_net(device, batch_norm=True, dropout=0.5), make_batch(device)
    net.body[1].eval()
    modes = [m.training for m in net.modules()]
    guided_loss(net, x, y)
    assert [m.training for m in net.modules()] == modes


@pytest.mark.parametrize("failing_call", [1, 2, 3])
def test_modes_are_restored_after_an_error(failing_call, device):
    net, (x, y) = make_net(device, batch_norm=True), make_batch(device)
    calls = []

    def fail(module, args):
        calls.append(module.training)
        if len(calls) == failing_call:
            raise RuntimeError("stop")

    net.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="stop"):
        guided_loss(net, x, y)
    assert all(m.training for m in net.modules())
    assert net.body[1].track_running_stats


@pytest.mark.parametrize("by", ["module", "method", "function"])
def test_the_modules_behind_a_callable_are_found_or_given(by, device):
    net, (x, y) = make_net(device, batch_norm=True), make_batch(device)
    forward = {"module": net, "method": net.forward, "function": lambda x: net(x)}[by]
    guided_loss(forward, x, y, **({"modules": [net]} if by == "function" else {}))
    assert net.modes == [True, False, True]
    assert net.body[1].num_batches_tracked == 1


def test_running_statistics_move_by_the_clean_batch_only(device):
    net, (x, y) = make_net(device, batch_norm=True), make_batch(device)
    guided_loss(net, x, y, masking=Masking(fill="constant", fill_value=1e4))
    hidden = net.body[0](x).detach()
    expected = 0.9 * 0.0 + 0.1 * hidden.mean(0)
    torch.testing.assert_close(net.body[1].running_mean, expected)
    torch.testing.assert_close(net.body[1].running_var, 0.9 + 0.1 * hidden.var(0))


@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
def test_gradients_of_parameters_are_left_to_the_caller(saliency_pass, device):
    net, (x, y) = make_net(device), make_batch(device)
    kept = torch.ones(3, device=device, dtype=x.dtype)
    net.head.bias.grad = kept
    guided_loss(net, x, y, saliency_pass=saliency_pass)
    assert net.head.bias.grad is kept
    assert (kept == 1).all()
    assert all(p.grad is None for p in net.parameters() if p is not net.head.bias)
    assert not x.requires_grad
    assert x.grad is None


def test_forked_masked_pass_leaves_the_global_generator_to_the_clean_pass(device):
    net, (x, y) = make_net(device, dropout=0.5), make_batch(device)
    torch.manual_seed(0)
    expected = net(x)
    state = torch.get_rng_state()
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        generator = torch.Generator(device).manual_seed(seed)
        task, consistency = guided_loss(net, x, y, generator=generator, fork_generators=True)
        assert torch.equal(torch.get_rng_state(), state)
        torch.testing.assert_close(task, F.cross_entropy(expected, y), rtol=0, atol=0)
        results.append(consistency.item())
    assert results[0] == results[1] != results[2]


def test_forked_masked_pass_reseeds_no_device_whose_state_is_not_given_back(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    net, (x, y) = make_net(dropout=0.5), make_batch()
    guided_loss(net, x, y, fork_generators=True)
    assert seeded == []


# errors


@pytest.mark.parametrize(
    ("option", "value"),
    [("saliency_pass", "auto"), ("reduction", "max"), ("divergence", "kl")],
)
def test_an_unknown_name_is_named(option, value):
    net, (x, y) = make_net(), make_batch()
    name = "consistency" if option == "divergence" else option
    with pytest.raises(ValueError, match=rf"{name} must be .*got '{value}'"):
        guided_loss(net, x, y, **{option: value})


@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
def test_integer_input_is_a_type_error(saliency_pass):
    net, (_, y) = nn.Embedding(4, 3), make_batch()
    with pytest.raises(TypeError, match="floating-point input"):
        guided_loss(net, torch.zeros(8, dtype=torch.int64), y, saliency_pass=saliency_pass)


@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
def test_no_gradient_path_is_a_type_error(saliency_pass):
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(TypeError, match="no gradient path to its input"):
        guided_loss(lambda x: net(x.detach()), x, y, saliency_pass=saliency_pass)


def test_a_shared_output_without_graph_to_the_input_is_a_type_error():
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(TypeError, match="gradient"):
        guided_loss(net, x, y, output=net(x), saliency_pass="shared")


@pytest.mark.parametrize("shape", [(), (8, 3), (4,)])
def test_a_divergence_must_return_one_value_a_sample(shape):
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(ValueError, match="divergence must return one value a sample"):
        guided_loss(net, x, y, divergence=lambda a, b: torch.zeros(shape))
