"""Padded series by hand: exactly k groups are hidden, whatever ties."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgt_sklearn.guidance import MASK_ORDERS, Masking, group_scores, lowest_groups, masked_input
from tests.guidance.padded_cases import GROUPS, labels_of


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
