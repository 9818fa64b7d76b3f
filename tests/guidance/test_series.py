"""Padded series: by hand, against the slow loop, and against the series one by one."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from sgt_sklearn.guidance import (
    FILLS,
    MASK_ORDERS,
    Masking,
    fill_values,
    group_scores,
    lowest_groups,
    masked_input,
    saliency_guided_loss,
)
from tests.guidance import slow_padding
from tests.guidance.fidelity_cases import jitter
from tests.guidance.slow_loop import Setting, feature_statistics, group_members

LENGTHS = [5, 2, 4, 5, 1, 3, 6]
N_STEPS, N_FEATURES = 6, 3
GROUPS = {
    "cell": "cell",
    "time": np.arange(N_STEPS)[:, None].repeat(N_FEATURES, 1),
    "feature": "feature",
    # of unequal sizes, in an order that is not that of their first cells, some cut by the padding
    "labels": np.arange(N_STEPS * N_FEATURES).reshape(N_STEPS, N_FEATURES)[::-1] // 4,
    "nested": np.arange(N_STEPS)[:, None].repeat(N_FEATURES, 1),
}


def make_batch(device="cpu", padding=0.0, lengths=LENGTHS):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((len(lengths), N_STEPS, N_FEATURES)) * [0.4, 1.0, 2.0] - 0.2
    for row, length in zip(x, lengths, strict=True):
        row[length:] = padding
    y = torch.arange(len(lengths)) % 3
    return torch.from_numpy(x).to(device), y.to(device), torch.tensor(lengths, device=device)


def make_net(device="cpu"):
    torch.manual_seed(3)
    return slow_padding.SeriesNet().to(device, torch.float64)


def labels_of(groups, device="cpu"):
    members = group_members(groups, (N_STEPS, N_FEATURES))
    labels = torch.empty(N_STEPS, N_FEATURES, dtype=torch.int64)
    for label, cells in enumerate(members):
        for cell in cells:
            labels[cell] = label
    return labels.to(device)


def make_masking(x, groups="cell", **options):
    """Settings with the statistics of the slow loop."""
    statistics = feature_statistics(x.nan_to_num())
    rows = [statistics[0, feature] for feature in range(N_FEATURES)]
    tensors = {
        name: torch.tensor([getattr(row, field) for row in rows], dtype=x.dtype)
        for name, field in [
            *(("scale", "sd"), ("minimum", "minimum"), ("maximum", "maximum"), ("mean", "mean"))
        ]
    }
    labels = None if groups == "cell" else labels_of(GROUPS[groups])
    masking = Masking(groups=labels, nested=groups == "nested", **tensors, **options)
    return masking.to(x.device, x.dtype)


def mask_both(net, x, y, lengths, masking, groups, weight=None):
    """Masked batch of the library and of the slow loop, with equal generators."""
    setting = Setting(
        order=masking.order,
        output=masking.output,
        fill=masking.fill,
        groups=GROUPS[groups],
        fraction=masking.fraction,
        value=masking.fill_value,
    )
    generators = [torch.Generator(x.device).manual_seed(5) for _ in range(2)]
    masked = masked_input(
        lambda data: net(data, lengths),
        x,
        y,
        masking,
        generator=generators[0],
        modules=[net],
        lengths=lengths,
        weight=weight,
    )
    expected = slow_padding.masked_series(
        net, x, y, lengths, setting, generators[1], nested=masking.nested, weight=weight
    )
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    return masked, expected


# against the slow loop


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("fill", [*FILLS, jitter], ids=str)
@pytest.mark.parametrize("order", MASK_ORDERS)
def test_masks_equal_the_slow_loop(order, fill, groups, device):
    net, (x, y, lengths) = make_net(device), make_batch(device)
    masking = make_masking(x, groups, order=order, fill=fill, fill_value=0.25)
    masked, expected = mask_both(net, x, y, lengths, masking, groups)
    assert (masked != x).any()
    torch.testing.assert_close(masked, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.3, 0.75, 0.9])
@pytest.mark.parametrize("groups", GROUPS)
def test_masks_of_every_share_equal_the_slow_loop(groups, fraction, device):
    net, (x, y, lengths) = make_net(device), make_batch(device)
    masking = make_masking(x, groups, fraction=fraction, fill="marginal")
    masked, expected = mask_both(net, x, y, lengths, masking, groups)
    torch.testing.assert_close(masked, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("groups", GROUPS)
def test_weighted_donors_equal_the_slow_loop(groups, device):
    net, (x, y, lengths) = make_net(device), make_batch(device)
    weight = torch.tensor([1.0, 0.5, 0.0, 3.0, 2.0, 0.25, 1.5], device=device)
    masking = make_masking(x, groups, fill="marginal")
    masked, expected = mask_both(net, x, y, lengths, masking, groups, weight.double())
    torch.testing.assert_close(masked, expected, atol=1e-10, rtol=0)


# the padded batch and the series one by one


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("fill", ["constant", "mean"])
@pytest.mark.parametrize("order", ["absolute", "signed"])
@pytest.mark.parametrize("padding", [0.0, 1e6, torch.nan])
@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
def test_padded_batch_equals_its_series_one_by_one(
    order, fill, groups, padding, saliency_pass, device
):
    net, (x, y, lengths) = make_net(device), make_batch(device, padding)
    masking = make_masking(x, groups, order=order, fill=fill, fill_value=0.25, fraction=0.4)
    masked, expected = mask_both(net, x, y, lengths, masking, groups)
    torch.testing.assert_close(masked, expected, atol=1e-10, rtol=0, equal_nan=True)
    losses = saliency_guided_loss(
        lambda data: net(data, lengths),
        x,
        y,
        loss=nn.CrossEntropyLoss(reduction="none"),
        divergence="categorical_kl",
        masking=masking,
        modules=[net],
        lengths=lengths,
        saliency_pass=saliency_pass,
        reduction="none",
    )
    pairs = slow_padding.series_losses(net, x, expected, y, lengths, Setting())
    for values, terms in zip(losses, zip(*pairs, strict=True), strict=True):
        torch.testing.assert_close(values, torch.stack(terms), atol=1e-10, rtol=0)
    both = [sum(losses).sum(), sum(task + divergence for task, divergence in pairs)]
    gradients = [torch.autograd.grad(total, net.parameters()) for total in both]
    torch.testing.assert_close(*gradients, atol=1e-10, rtol=0)


def test_each_series_alone_gets_the_mask_that_it_gets_in_the_batch():
    net, (x, y, lengths) = make_net(), make_batch()
    masking = make_masking(x, fill="constant", fill_value=99.0)
    masked = masked_input(
        lambda data: net(data, lengths), x, y, masking, modules=[net], lengths=lengths
    )
    for i, length in enumerate(lengths.tolist()):
        alone = masked_input(net, x[i : i + 1, :length], y[i : i + 1], masking)
        assert torch.equal(masked[i, :length], alone[0])


# by hand


def masked_by_hand(x, gradient, lengths, **options):
    """Mask of a linear network with given gradients; hidden cells hold 99."""
    masking = Masking(fill="constant", fill_value=99.0, likelihood="gaussian", **options)
    return masked_input(
        lambda data: (data * gradient).flatten(1), x, None, masking, lengths=torch.tensor(lengths)
    )


def test_k_is_that_of_each_series():
    x = torch.zeros(4, 5, 2)
    gradient = torch.arange(1.0, 11.0).reshape(5, 2)
    masked = masked_by_hand(x, gradient, [5, 3, 1, 4])
    # half of 10, 6, 2 and 8 cells, the first ones
    expected = torch.zeros(4, 10)
    for row, k in zip(expected, [5, 3, 1, 4], strict=True):
        row[:k] = 99.0
    assert torch.equal(masked, expected.reshape(4, 5, 2))


def test_k_of_each_series_is_the_floor_of_the_exact_product_for_percentages():
    counts = torch.arange(1, 151)
    valid = torch.arange(150) < counts[:, None]
    for percent in range(101):
        k = Masking(fraction=percent / 100).n_hidden(150, valid)
        assert torch.equal(k, percent * counts // 100)


def test_times_are_counted_and_averaged_without_padding():
    x = torch.zeros(2, 4, 2)
    x[1, 2:] = torch.nan
    # the steps score 2.5, 1, 3, 0.5
    gradient = torch.tensor([[1.0, 4.0], [2.0, 0.0], [3.0, 3.0], [0.5, 0.5]])
    steps = torch.arange(4)[:, None].expand(4, 2)
    masked = masked_by_hand(x, gradient, [4, 2], groups=steps)
    hidden = (masked == 99.0).all(2)
    assert hidden.tolist() == [[False, True, False, True], [False, True, False, False]]
    assert masked[1, 2:].isnan().all()


def test_a_feature_is_averaged_over_the_valid_steps():
    x = torch.zeros(2, 3, 2)
    # over three steps the features score 4 and 5, over the first of them 9 and 8
    gradient = torch.tensor([[9.0, 8.0], [2.0, 3.0], [1.0, 4.0]])
    features = torch.arange(2).expand(3, 2)
    masked = masked_by_hand(x, gradient, [3, 1], groups=features)
    assert (masked[0] == torch.tensor([99.0, 0.0])).all()
    assert masked[1].tolist() == [[0.0, 99.0], [0.0, 0.0], [0.0, 0.0]]


def test_a_group_of_padding_is_neither_counted_nor_hidden():
    x, gradient = torch.zeros(1, 4, 1), torch.tensor([[5.0], [4.0], [1.0], [1.0]])
    groups = torch.tensor([[2], [0], [1], [1]])
    masked = masked_by_hand(x, gradient, [2], groups=groups)
    assert masked.flatten().tolist() == [0.0, 99.0, 0.0, 0.0]


def test_nested_hides_times_and_then_the_lowest_cells_that_are_left():
    gradient = torch.tensor([[1.0, 10.0], [2.0, 3.0], [9.0, 6.0], [8.0, 7.0]])
    steps = torch.arange(4)[:, None].expand(4, 2)
    options = {"groups": steps, "nested": True, "fraction": 0.75}
    masked = masked_by_hand(torch.zeros(2, 4, 2), gradient, [4, 2], **options)
    # 6 of 8 cells: 2 of 4 steps (5.5 and 2.5 on average), and of the rest 6 and 7
    hidden = (masked == 99.0).int().tolist()
    assert hidden[0] == [[1, 1], [1, 1], [0, 1], [0, 1]]
    # 3 of 4 cells: 1 of 2 steps, and the 1
    assert hidden[1] == [[1, 0], [1, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("order", MASK_ORDERS)
def test_nested_hides_exactly_the_share_of_cells_without_padding_too(order, fraction):
    x = torch.randn(20, 7, 5)
    steps = torch.arange(7)[:, None].expand(7, 5)
    masking = Masking(
        fraction=fraction,
        order=order,
        fill="constant",
        fill_value=99.0,
        likelihood="gaussian",
        groups=steps,
        nested=True,
    )
    weights = torch.rand(7, 5)
    hidden = masked_input(lambda x: (x * weights).flatten(1), x, None, masking) == 99.0
    assert (hidden.sum((1, 2)) == math.floor(fraction * 35 + 1e-9)).all()
    n_whole = math.floor((1 - math.sqrt(1 - fraction)) * 7 + 1e-9)
    assert (hidden.all(2).sum(1) >= n_whole).all()
    assert masking.n_hidden(35) == math.floor(fraction * 35 + 1e-9)


def test_nested_random_hides_every_step_and_every_cell_as_often():
    steps = torch.arange(4)[:, None].expand(4, 3)
    masking = Masking(fraction=0.5, order="random", fill="constant", groups=steps, nested=True)
    hidden = masked_input(None, torch.ones(4000, 4, 3), None, masking, modules=()) == 0.0
    # one of the four steps whole and 3 of the 9 other cells, which may be a second step
    whole = hidden.all(2)
    one = whole.sum(1) == 1
    n = one.sum()
    assert (whole[one].double().mean(0) - 1 / 4).abs().max() < 5 * math.sqrt(3 / 16 / n)
    cells = hidden[one][~whole[one]].reshape(n, 3, 3).double().mean(0)
    assert (cells - 1 / 3).abs().max() < 5 * math.sqrt(2 / 9 / n)


def test_whole_groups_are_hidden_only_while_the_cells_last():
    # one group of 1 cell, and one of 9 that scores lower but is more than 8 of 10 cells
    groups = torch.tensor([[0], *[[1]] * 9])
    gradient = torch.tensor([[10.0], *[[float(i)] for i in range(1, 10)]])
    options = {"groups": groups, "nested": True, "fraction": 0.8}
    masked = masked_by_hand(torch.zeros(1, 10, 1), gradient, [10], **options)
    assert masked.flatten().tolist() == [0.0] + [99.0] * 8 + [0.0]


def test_nested_needs_groups():
    with pytest.raises(ValueError, match=r"nested=True .* groups must be .*got None"):
        Masking(nested=True)


# exactly k under ties, padding untouched


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    percent=st.integers(0, 100),
    order=st.sampled_from(MASK_ORDERS),
    groups=st.sampled_from([None, "time", "feature", "pairs"]),
    nested=st.booleans(),
    ties=st.booleans(),
    seed=st.integers(0, 100),
)
def test_exactly_k_valid_groups_are_hidden_whatever_ties(
    lengths, percent, order, groups, nested, ties, seed
):
    labels = {
        None: None,
        "time": torch.arange(5)[:, None].expand(5, 2),
        "feature": torch.arange(2).expand(5, 2),
        "pairs": (torch.arange(10) // 4).reshape(5, 2),
    }[groups]
    nested = nested and labels is not None
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(lengths), 5, 2, generator=generator)
    valid = torch.arange(5) < torch.tensor(lengths)[:, None]
    x[~valid] = torch.nan
    w = torch.zeros(5, 2) if ties else torch.randn(5, 2, generator=generator)
    masking = Masking(
        fraction=percent / 100,
        order=order,
        fill="constant",
        fill_value=99.0,
        likelihood="gaussian",
        groups=labels,
        nested=nested,
    )

    def forward(x):
        return (torch.where(valid[:, :, None], x, 0.0) * w).flatten(1)

    masked = masked_input(
        forward, x, None, masking, lengths=torch.tensor(lengths), generator=generator
    )
    hidden = masked == 99.0
    assert not hidden[~valid].any()
    torch.testing.assert_close(masked[~hidden], x[~hidden], rtol=0, atol=0, equal_nan=True)
    for row, length in zip(hidden, lengths, strict=True):
        if nested or labels is None:
            assert row.sum() == percent * length * 2 // 100
            continue
        parts = [row[:length][labels[:length] == g] for g in labels[:length].unique()]
        assert sum(bool(part.all()) for part in parts) == percent * len(parts) // 100
        assert all(part.all() or not part.any() for part in parts)


def test_ties_favour_no_valid_group():
    generator, n = torch.Generator().manual_seed(0), 4000
    valid = torch.tensor([[True] * 4 + [False] * 2])
    k = torch.tensor([2])
    hidden = torch.cat(
        [lowest_groups(torch.zeros(1, 6), k, valid=valid, generator=generator) for _ in range(n)]
    )
    assert not hidden[:, 4:].any()
    assert (hidden[:, :4].double().mean(0) - 0.5).abs().max() < 5 * math.sqrt(0.25 / n)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_valid_infinities_and_nan_come_before_padding(dtype, device):
    rows = [[torch.inf, torch.nan, 0.0, -1.0], [torch.inf, torch.nan, torch.inf, -torch.inf]]
    scores = torch.tensor(rows, dtype=dtype, device=device)
    valid = torch.tensor([[True, True, False, False]] * 2, device=device)
    k = torch.tensor([2, 1], device=device)
    hidden = lowest_groups(scores, k, valid=valid).cpu()
    assert hidden[0].tolist() == [True, True, False, False]
    assert hidden[1].sum() == 1
    assert not hidden[1, 2:].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_k_for_each_row_marks_what_one_k_marks(dtype, device):
    scores = torch.stack([torch.randperm(9) for _ in range(12)]).to(device, dtype)
    k = torch.arange(12, device=device) % 10
    hidden = lowest_groups(scores, k)
    for i, count in enumerate(k.tolist()):
        assert torch.equal(hidden[i], lowest_groups(scores[i : i + 1], count)[0])


def test_scores_are_means_over_valid_members(device):
    values = torch.randn(4, 6, 3, dtype=torch.float64, device=device)
    labels = labels_of(GROUPS["labels"], device)
    valid = torch.rand(4, 6, 3, device=device) < 0.5
    values = torch.where(valid, values, torch.nan)
    scores = group_scores(values, labels, 5, valid)
    for i in range(4):
        for group in range(5):
            members = values[i][(labels == group) & valid[i]]
            expected = members.mean() if len(members) else members.new_zeros(())
            torch.testing.assert_close(scores[i, group], expected)


# donors


def donor_rows(lengths, groups=None, weight=None, n_cells=4000, seed=0):
    """Row that each cell of a batch of series of that many features is taken from."""
    rows = torch.arange(float(len(lengths)), dtype=torch.float64)
    x = rows.reshape(-1, 1, 1).expand(-1, max(lengths), n_cells).contiguous()
    generator = torch.Generator().manual_seed(seed)
    values = fill_values(
        x,
        "marginal",
        lengths=torch.tensor(lengths),
        groups=groups,
        weight=weight,
        generator=generator,
    )
    return values.long()


def assert_shares(donors, expected):
    """Counts of donors fit the expected shares: five standard errors."""
    n = donors.numel()
    shares = torch.bincount(donors.flatten(), minlength=len(expected)).double() / n
    expected = torch.tensor(expected, dtype=torch.float64)
    assert (shares[expected == 0] == 0).all()
    assert ((shares - expected).abs() <= 5 * (expected * (1 - expected) / n).sqrt()).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("lengths", [[3, 1, 2, 3, 2], [1, 2, 3, 4], [4, 4, 1], [2, 5]])
def test_donors_of_a_cell_are_the_other_series_that_reach_it(lengths, weighted):
    weight = torch.tensor([1.0, 4.0, 2.0, 3.0, 0.5])[: len(lengths)] if weighted else None
    donors = donor_rows(lengths, weight=weight)
    for i, length in enumerate(lengths):
        for step in range(length):
            masses = [
                0.0 if j == i or other <= step else 1.0 if weight is None else weight[j].item()
                for j, other in enumerate(lengths)
            ]
            if sum(masses) == 0:
                masses[i] = 1.0  # no other reaches it: unchanged
            assert_shares(donors[i, step], [mass / sum(masses) for mass in masses])


def test_a_donor_of_a_group_reaches_the_end_of_the_sample_s_part_of_it():
    lengths = [4, 2, 3, 1, 4, 3]
    # one group of all features of the first and third step for each pair of features
    n_cells = 4000
    labels = torch.arange(n_cells // 2).repeat_interleave(2).expand(4, -1).clone()
    labels[1] += n_cells // 2
    labels[3] += n_cells // 2
    donors = donor_rows(lengths, labels, n_cells=n_cells)
    # (sample, a step of the group, the last step of the group that the sample has)
    for i, step, last in [(0, 0, 2), (0, 2, 2), (0, 1, 3), (1, 0, 0), (1, 1, 1), (2, 1, 1)]:
        able = [j for j, length in enumerate(lengths) if length > last and j != i]
        row = donors[i, step].reshape(-1, 2)
        assert torch.equal(row[:, 0], row[:, 1])
        assert_shares(row[:, 0], [1 / len(able) * (j in able) for j in range(6)])
    assert torch.equal(donors[0, 0], donors[0, 2])
    assert torch.equal(donors[4, 1], donors[4, 3])


def test_without_padding_lengths_change_no_donor():
    x = torch.randn(6, 4, 3)
    for weight in (None, torch.rand(6)):
        values = [
            fill_values(
                x,
                "marginal",
                lengths=lengths,
                weight=weight,
                generator=torch.Generator().manual_seed(1),
            )
            for lengths in (None, torch.full((6,), 4))
        ]
        assert torch.equal(*values)


def test_sample_uniform_keeps_to_the_range_of_the_valid_steps():
    x = torch.rand(50, 4, 3, dtype=torch.float64)
    lengths = torch.arange(50) % 4 + 1
    valid = torch.arange(4) < lengths[:, None]
    x[~valid] = 1e9
    x[::2][~valid[::2]] = torch.nan
    values = fill_values(x, "sample_uniform", lengths=lengths)
    for i, length in enumerate(lengths.tolist()):
        low, high = x[i, :length].amin(0), x[i, :length].amax(0)
        assert ((low <= values[i, :length]) & (values[i, :length] <= high)).all()


def test_a_callable_gets_the_padded_batch_and_the_generator():
    calls = []

    def fill(x, generator):
        calls.append((x, generator))
        return torch.full_like(x, 99.0)

    x, generator, lengths = torch.zeros(2, 4, 2), torch.Generator(), torch.tensor([4, 2])
    masking = Masking(fill=fill, order="random")
    masked = masked_input(None, x, None, masking, lengths=lengths, generator=generator, modules=())
    ((given_x, given_generator),) = calls
    assert torch.equal(given_x, x)
    assert given_generator is generator
    assert (masked == 99.0).sum((1, 2)).tolist() == [4, 2]


# no padding


@pytest.mark.parametrize("order", MASK_ORDERS)
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("fraction", [0.5, 1.0])
def test_lengths_of_full_series_change_nothing(order, fill, groups, fraction, device):
    net, (x, y, lengths) = make_net(device), make_batch(device, lengths=[N_STEPS] * 7)
    masking = make_masking(x, groups, order=order, fill=fill, fraction=fraction)
    results, states = [], []
    for told in (None, lengths):
        generator = torch.Generator(device).manual_seed(0)
        results.append(masked_input(net, x, y, masking, lengths=told, generator=generator))
        states.append(generator.get_state())
    assert torch.equal(*results)
    assert torch.equal(*states)


# losses


class Noisy(nn.Module):
    """Dropout, so that a second pass differs even where nothing is hidden."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(x.flatten(1) + 1)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_series_with_nothing_hidden_has_no_consistency(reduction, device):
    x = torch.zeros(3, 5, 1, device=device)
    net = Noisy()
    _, consistency = saliency_guided_loss(
        net,
        x,
        torch.zeros(3, dtype=torch.int64, device=device),
        loss=F.cross_entropy,
        divergence="categorical_kl",
        masking=Masking(fraction=0.3, order="random"),
        lengths=torch.tensor([5, 3, 4], device=device),
        reduction=reduction,
    )
    if reduction == "none":
        assert consistency[1] == 0
        assert (consistency[[0, 2]] > 0).all()
    else:
        assert consistency > 0


def test_a_batch_with_nothing_hidden_takes_one_pass():
    calls = []

    def forward(x):
        calls.append(x)
        return x.flatten(1)

    x, generator = torch.zeros(2, 5, 1), torch.Generator()
    before = generator.get_state()
    _, consistency = saliency_guided_loss(
        forward,
        x,
        torch.zeros(2, dtype=torch.int64),
        loss=F.cross_entropy,
        divergence="categorical_kl",
        masking=Masking(fraction=0.3),
        lengths=torch.tensor([3, 2]),
        generator=generator,
    )
    assert len(calls) == 1
    assert consistency == 0
    assert torch.equal(generator.get_state(), before)


def test_both_terms_of_series_are_weighted_means(device):
    net, (x, y, lengths) = make_net(device), make_batch(device)
    weight = torch.arange(7.0, dtype=torch.float64, device=device)
    masking = make_masking(x, "time", fill="constant")
    options = {"modules": [net], "lengths": lengths}
    masked = masked_input(lambda d: net(d, lengths), x, y, masking, weight=weight, **options)
    losses = saliency_guided_loss(
        lambda d: net(d, lengths),
        x,
        y,
        loss=nn.CrossEntropyLoss(reduction="none"),
        divergence="categorical_kl",
        masking=masking,
        weight=weight,
        **options,
    )
    pairs = slow_padding.series_losses(net, x, masked, y, lengths, Setting())
    for value, terms in zip(losses, zip(*pairs, strict=True), strict=True):
        expected = sum(w * t for w, t in zip(weight, terms, strict=True)) / 21
        torch.testing.assert_close(value, expected, atol=1e-12, rtol=0)


# errors


@pytest.mark.parametrize(
    ("lengths", "got"),
    [
        (torch.tensor([5, 0]), "got 0 to 5"),
        (torch.tensor([5, 6]), "got 5 to 6"),
        (torch.tensor([-1, 2]), "got -1 to 2"),
        (torch.tensor([5.0, 3.0]), r"got shape \(2,\) of torch.float32"),
        (torch.tensor([5]), r"got shape \(1,\) of torch.int64"),
        (torch.tensor([[5], [3]]), r"got shape \(2, 1\) of torch.int64"),
        ([5, 3], "as an int64 tensor, got <class 'list'>"),
    ],
)
def test_wrong_lengths_are_told(lengths, got):
    x = torch.zeros(2, 5, 1)
    with pytest.raises(ValueError, match=rf"lengths must be 2 integers.* 1 to 5.*{got}"):
        masked_input(None, x, None, Masking(order="random"), lengths=lengths, modules=())


def test_lengths_need_an_axis_of_steps():
    with pytest.raises(ValueError, match=r"lengths need an x of shape"):
        masked_input(None, torch.zeros(2), None, Masking(), lengths=torch.ones(2).long())
