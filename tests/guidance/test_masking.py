import dataclasses

import pytest
import torch
from torch import nn

from sgt_sklearn.guidance import FILLS, MASK_ORDERS, Masking, masked_input

HIDDEN = 1e6


def make_masking(**options):
    """Hidden cells hold a value that no input has."""
    return Masking(**{"fill": "constant", "fill_value": HIDDEN} | options)


def hidden_cells(forward, x, y, masking, seed=0, **options):
    generator = torch.Generator(x.device).manual_seed(seed)
    return masked_input(forward, x, y, masking, generator=generator, **options) == HIDDEN


# settings


def test_k_is_the_floor_of_the_exact_product_for_percentages():
    wrong = []
    for percent in range(101):
        masking = Masking(fraction=percent / 100)
        for n in range(1, 401):
            if masking.n_hidden(n) != percent * n // 100:
                wrong.append((percent, n))
    assert wrong == []


@pytest.mark.parametrize(
    ("fraction", "n", "k"),
    [
        *((0.1, 10, 1), (0.3, 10, 3), (0.7, 10, 7), (0.29, 100, 29), (0.7, 150_528, 105_369)),
        *((1 / 3, 3, 1), (2 / 3, 3, 2), (1 / 49, 49, 1), (0.0, 5, 0), (1.0, 5, 5), (0.999, 5, 4)),
    ],
)
def test_k_of_awkward_fractions(fraction, n, k):
    assert Masking(fraction=fraction).n_hidden(n) == k


def test_k_counts_groups_where_there_are_groups():
    masking = Masking(fraction=0.5, groups=torch.tensor([0, 0, 0, 1, 2, 3]))
    assert masking.n_groups == 4
    assert masking.n_hidden(6) == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("fraction", -0.1),
        ("fraction", 1.1),
        ("fraction", float("nan")),
        ("order", "lowest"),
        ("output", "softmax"),
        ("likelihood", "poisson"),
        ("fill", "median"),
        ("groups", torch.tensor([0, 2])),
        ("groups", torch.tensor([1, 2])),
        ("groups", torch.tensor([-1, 0])),
        ("groups", torch.tensor([0.0, 1.0])),
    ],
)
def test_a_wrong_setting_is_named(option, value):
    with pytest.raises(ValueError, match=rf"^{option} must be .*, got "):
        Masking(**{option: value})


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Masking().fraction = 0.1


def test_to_moves_every_tensor_and_casts_the_statistics(device):
    names = ("scale", "minimum", "maximum", "mean")
    masking = Masking(groups=torch.tensor([0, 0, 1]), **{name: torch.rand(3) for name in names})
    moved = masking.to(device, torch.float64)
    for name in names:
        assert getattr(moved, name).dtype == torch.float64
        assert getattr(moved, name).device.type == device
    assert moved.groups.device.type == device
    assert moved.groups.dtype == torch.int64
    assert moved.n_groups == 2
    assert Masking().to(device, torch.float64).scale is None


# exactly k groups, none in part

GROUPS = {
    "cells": None,
    "equal": torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]),
    "unequal": torch.tensor([3, 0, 1, 1, 2, 2, 2, 2]),
    "one": torch.zeros(8, dtype=torch.int64),
}


def dead_rectifiers():
    net = nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))
    nn.init.constant_(net[0].bias, -1e4)
    return net


NETS = {
    "linear": lambda: nn.Linear(8, 3),
    "dead rectifiers": dead_rectifiers,
    "zero gradients": lambda: nn.Sequential(nn.Linear(8, 3), _Scaled(0.0)),
    "sum": lambda: _Sum(),
}


class _Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


class _Sum(nn.Module):
    """The same gradient in every cell."""

    def forward(self, x):
        total = x.sum(1, keepdim=True)
        return torch.cat([total, -total, 0 * total], dim=1)


@pytest.mark.parametrize("order", MASK_ORDERS)
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("constant", [False, True], ids=["random input", "constant input"])
def test_exactly_k_whole_groups_are_hidden(order, net, groups, constant, device):
    x = torch.ones(20, 8) if constant else torch.randn(20, 8)
    x, y = x.to(device), (torch.arange(20) % 3).to(device)
    labels = torch.arange(8) if GROUPS[groups] is None else GROUPS[groups]
    n_groups = len(labels.unique())
    forward = NETS[net]().to(device)
    for k in range(n_groups + 1):
        masking = make_masking(fraction=k / n_groups, order=order, groups=GROUPS[groups])
        hidden = hidden_cells(forward, x, y, masking.to(device, x.dtype)).cpu()
        of_groups = torch.stack([hidden[:, labels == j].all(1) for j in range(n_groups)], 1)
        assert (of_groups.sum(1) == k).all()
        assert torch.equal(hidden, of_groups[:, labels])


def test_nothing_to_hide_draws_nothing_and_runs_nothing():
    def forward(x):
        raise AssertionError("k is 0")

    x, generator = torch.randn(4, 3), torch.Generator()
    before = generator.get_state()
    masked = masked_input(forward, x, None, Masking(fraction=0.3), generator=generator, modules=())
    assert torch.equal(masked, x)
    assert torch.equal(generator.get_state(), before)


def test_everything_hidden_is_the_fill():
    x = torch.randn(4, 3)
    masked = masked_input(nn.Linear(3, 2), x, torch.zeros(4).long(), make_masking(fraction=1.0))
    assert (masked == HIDDEN).all()


# what is left alone


@pytest.mark.parametrize("order", MASK_ORDERS)
@pytest.mark.parametrize("fill", FILLS)
def test_kept_cells_are_the_input_and_the_masked_batch_has_no_graph(order, fill, device):
    x = torch.randn(9, 6, dtype=torch.float64, device=device, requires_grad=True)
    before = x.detach().clone()
    net = nn.Linear(6, 3).to(device, torch.float64)
    y = torch.zeros(9, dtype=torch.int64, device=device)
    statistics = {
        "scale": torch.ones(6),
        "minimum": torch.full((6,), 10.0),
        "maximum": torch.full((6,), 11.0),
        "mean": torch.full((6,), 10.5),
    }
    masking = Masking(order=order, fill=fill, **statistics).to(device, x.dtype)
    masked = masked_input(net, x, y, masking, generator=torch.Generator(device))
    assert not masked.requires_grad
    assert ((masked != x).sum(1) == 3).all()
    assert torch.equal(x, before)
    assert x.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -6e4])
def test_replacements_of_any_value_leave_the_kept_cells_alone(value, dtype, device):
    x = torch.full((4, 6), 5e4, device=device).to(dtype)
    w = torch.arange(6.0, device=device).to(dtype)

    def fill(x, generator):
        return torch.full_like(x, value)

    masking = Masking(fill=fill, likelihood="gaussian")
    masked = masked_input(lambda x: x * w, x, None, masking)
    kept = masked == x
    assert (kept.sum(1) == 3).all()
    torch.testing.assert_close(masked[~kept], fill(x[~kept], None), equal_nan=True)


@pytest.mark.parametrize("missing", [torch.nan, torch.inf])
def test_cells_of_any_value_are_replaced(missing, device):
    x = torch.ones(4, 6, device=device)
    x[:, :2] = missing
    w = torch.arange(6.0, device=device)

    def forward(x):
        return torch.where(x.isfinite(), x, 0.0) * w

    hidden = hidden_cells(forward, x, None, make_masking(order="signed", likelihood="gaussian"))
    assert (hidden == torch.tensor([True] * 3 + [False] * 3, device=device)).all()


@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
def test_gradients_of_parameters_are_neither_made_nor_touched(shared, device):
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)).to(device)
    kept = torch.ones(4, 6, device=device)
    net[0].weight.grad = kept
    x = torch.randn(9, 6, device=device, requires_grad=shared)
    y = torch.zeros(9, dtype=torch.int64, device=device)
    output = net(x) if shared else None
    masked_input(net, x, y, make_masking(), output=output)
    assert net[0].weight.grad is kept
    assert (kept == 1).all()
    assert net[2].weight.grad is None
    assert x.grad is None
    if shared:  # the graph is still there
        output.sum().backward()


# draws


class Noisy(nn.Module):
    """Dropout on the way."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 4), nn.Dropout(), nn.Linear(4, 3))

    def forward(self, x):
        return self.net(x)


@pytest.mark.parametrize("order", MASK_ORDERS)
@pytest.mark.parametrize("fill", FILLS)
def test_every_draw_is_from_the_given_generator(order, fill, device):
    x = torch.randn(9, 6, device=device)
    y = torch.zeros(9, dtype=torch.int64, device=device)
    statistics = {name: torch.rand(6) for name in ("scale", "minimum", "maximum", "mean")}
    masking = Masking(order=order, fill=fill, **statistics).to(device, x.dtype)
    net, results = Noisy().to(device), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        generator = torch.Generator(device).manual_seed(7)
        results.append(masked_input(net, x, y, masking, generator=generator))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*results)


@pytest.mark.parametrize("order", MASK_ORDERS)
@pytest.mark.parametrize("fill", ["sample_uniform", "feature_uniform", "marginal"])
@pytest.mark.parametrize("net", ["linear", "zero gradients"])
def test_replacements_do_not_depend_on_what_is_hidden(order, fill, net):
    x, y = torch.randn(9, 8), torch.zeros(9, dtype=torch.int64)
    statistics = {"minimum": torch.full((8,), 10.0), "maximum": torch.full((8,), 11.0)}
    masked = []
    for fraction, forward in [(0.5, NETS[net]()), (0.8, nn.Linear(8, 3)), (1.0, nn.Linear(8, 3))]:
        masking = Masking(fraction=fraction, order=order, fill=fill, **statistics)
        generator = torch.Generator().manual_seed(0)
        masked.append(masked_input(forward, x, y, masking, generator=generator))
    *some, everything = masked
    for values in some:
        hidden = values != x
        assert hidden.any()
        assert torch.equal(values[hidden], everything[hidden])


# errors


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool, torch.uint8])
@pytest.mark.parametrize("order", ["absolute", "random"])
def test_integer_input_is_a_type_error(dtype, order):
    x = torch.ones(4, 3).to(dtype)
    with pytest.raises(TypeError, match=r"floating-point input .* consistency_weight=0"):
        masked_input(nn.Linear(3, 2), x, None, make_masking(order=order))


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: x.detach(),
        lambda x: x.detach() * torch.ones(3, requires_grad=True),
        lambda x: (x > 0).to(x.dtype),
        lambda x: x.long().to(x.dtype),
    ],
    ids=["detached", "parameters only", "comparison", "integers"],
)
def test_no_gradient_path_is_a_type_error(forward):
    with pytest.raises(TypeError, match="no gradient path to its input"):
        masked_input(forward, torch.randn(4, 3), torch.zeros(4).long(), make_masking())


def test_random_order_needs_no_gradient_path():
    masking = make_masking(order="random", fraction=0.4)
    hidden = hidden_cells(lambda x: x.detach(), torch.randn(4, 5), None, masking)
    assert (hidden.sum(1) == 2).all()
