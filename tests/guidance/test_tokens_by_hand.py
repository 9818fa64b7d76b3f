"""Tokens by hand: which are hidden, what replaces them, and how often."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sgt_sklearn.guidance import TOKEN_FILLS, Masking, masked_input
from tests.guidance.token_cases import make_net, padded


class Weighted(nn.Module):
    """Sum of given weights times the embedded tokens, which have one dimension."""

    def __init__(self, vectors, weights):
        super().__init__()
        vectors = torch.as_tensor(vectors).reshape(len(vectors), -1)
        self.embedding = nn.Embedding.from_pretrained(vectors, padding_idx=0)
        self.register_buffer("weights", torch.as_tensor(weights))

    def forward(self, x):
        vectors = self.embedding(x)
        weights = self.weights.reshape(x.shape[1], -1)
        return (vectors * weights).flatten(1).sum(1, keepdim=True)


# a token's vector is its id in tens, weights are those of the positions
BY_HAND = Weighted([0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0], [3.0, 1.0, 1.0, 1.0, 2.0])


def masked_by_hand(rows, net=BY_HAND, **options):
    masking = Masking(likelihood="gaussian", **options)
    x = padded(rows, 5)
    masked = masked_input(net, x, None, masking, embedding=net.embedding)
    return masked.tolist()


def test_tokens_rank_by_the_gradient_times_the_embedding():
    # scores 60, 50, 40, 30, 120: the 30 and the 40 are the lowest two of five
    assert masked_by_hand([[2, 5, 4, 3, 6]], fill="unknown") == [[2, 5, 1, 1, 6]]
    # by the gradient alone positions 1 to 3 tie, and the last is kept
    (row,) = masked_by_hand([[2, 5, 4, 3, 6]], fill="unknown", order="signed", fraction=0.6)
    assert row == [2, 1, 1, 1, 6]


def test_the_product_is_summed_over_the_dimensions_before_its_size_is_taken():
    vectors = torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, -5.0], [2.0, 0.0]])
    net = Weighted(vectors, torch.tensor([[1.0, 1.0], [1.0, 1.0]]))
    masking = Masking(likelihood="gaussian", fill="unknown")
    x = torch.tensor([[2, 3]])
    # 5 - 5 = 0 against 2, though 5 + 5 would be more
    assert masked_input(net, x, None, masking, embedding=net.embedding).tolist() == [[1, 3]]


def test_padding_is_never_counted_masked_or_a_neighbour():
    rows = [[2, 3, 4], [6, 5, 4, 3, 2], [2], []]
    masked = masked_by_hand(rows, fill="unknown")
    # half of 3, 5, 1 and 0 tokens; scores 60, 30, 40 and 180, 50, 40, 30, 40
    assert masked[0] == [2, 1, 4, 0, 0]
    assert masked[1][:2] == [6, 5]
    assert masked[1][3] == 1
    assert sorted(masked[1]).count(1) == 2
    assert masked[2:] == [[2, 0, 0, 0, 0], [0] * 5]


def test_the_previous_kept_token_replaces():
    # scores 60, 50, 40, 30, 120; k = 3 of 5: positions 1, 2 and 3
    assert masked_by_hand([[2, 5, 4, 3, 6]], fill="previous", fraction=0.6) == [[2, 2, 2, 2, 6]]
    # a hidden token in between is passed over: scores 180, 20, 30, 40, 120, k = 2
    assert masked_by_hand([[6, 2, 3, 4, 6]], fill="previous") == [[6, 6, 6, 4, 6]]


def test_the_first_token_has_no_previous_one_and_becomes_unknown():
    net = Weighted([0.0, 10.0, 20.0, 30.0, 40.0], [1.0] * 5)
    assert masked_by_hand([[2, 3]], net, fill="previous") == [[1, 3, 0, 0, 0]]
    # the first two of three: neither has a kept one before it
    assert masked_by_hand([[2, 3, 4]], net, fill="previous", fraction=0.7) == [[1, 1, 4, 0, 0]]


@pytest.mark.parametrize(
    ("fill", "row"), [("unknown", [1, 1, 1]), ("previous", [1, 1, 1]), ("constant", [4, 4, 4])]
)
def test_everything_masked(fill, row):
    masked = masked_by_hand([[2, 5, 3], [6]], fill=fill, fill_value=4.0, fraction=1.0)
    assert masked == [[*row, 0, 0], [row[0], 0, 0, 0, 0]]


def test_marginal_takes_from_the_other_sample_alone():
    (first, second) = masked_by_hand([[2, 2, 2, 2], [5, 5]], fill="marginal", fraction=1.0)
    assert first == [5, 5, 5, 5, 0]
    assert second == [2, 2, 0, 0, 0]


@pytest.mark.parametrize("rows", [[[2, 3, 4]], [[2, 3, 4], []]])
def test_marginal_without_other_tokens_changes_nothing(rows):
    assert masked_by_hand(rows, fill="marginal", fraction=1.0) == padded(rows, 5).tolist()


def test_marginal_without_other_tokens_that_weigh_changes_nothing():
    x, weight = padded([[2, 3, 4], [5, 6], [3]], 5), torch.tensor([1.0, 0.0, 0.0])
    masking = Masking(fill="marginal", fraction=1.0, order="random")
    masked = masked_input(
        BY_HAND, x, None, masking, weight=weight, embedding=BY_HAND.embedding
    ).tolist()
    assert masked == [[2, 3, 4, 0, 0], masked[1], masked[2]]
    assert set(masked[1][:2]) | set(masked[2][:1]) <= {2, 3, 4}


@pytest.mark.parametrize("weighted", [False, True])
def test_marginal_draws_each_token_of_the_others_as_often(weighted, device):
    # tokens tell their sample and place; the first sample is all hidden, a thousand times over
    width = 3000
    rows = [[2] * width, [3, 4, 5], [6, 7], [8]]
    x = padded(rows, width).to(device)
    weight = torch.tensor([9.0, 1.0, 3.0, 0.5], device=device) if weighted else None
    masking = Masking(fill="marginal", fraction=1.0, order="random")
    net = make_net(device)
    generator = torch.Generator(device).manual_seed(0)
    masked = masked_input(
        net, x, None, masking, weight=weight, generator=generator, embedding=net.embedding
    )
    counts = torch.bincount(masked[0].cpu(), minlength=9).double() / width
    masses = [0, 0, 0, 1, 1, 1, 3, 3, 0.5] if weighted else [0, 0, 0, 1, 1, 1, 1, 1, 1]
    p = torch.tensor(masses).double() / sum(masses)
    assert (counts[p == 0] == 0).all()
    assert ((counts - p).abs() <= 5 * (p * (1 - p) / width).sqrt()).all()
    assert 2 in masked[1]
    assert not set(masked[1, :3].tolist()) & {3, 4, 5}


def test_random_order_hides_every_token_as_often():
    n = 4000
    x = torch.tensor([[2, 3, 4, 5, 0]]).repeat(n, 1)
    masking = Masking(fill="constant", fill_value=6, order="random")
    masked = masked_input(BY_HAND, x, None, masking, embedding=BY_HAND.embedding)
    hidden = masked == 6
    assert (hidden.sum(1) == 2).all()
    assert not hidden[:, 4].any()
    assert (hidden[:, :4].double().mean(0) - 0.5).abs().max() < 5 * math.sqrt(0.25 / n)


def test_sampled_order_keeps_tokens_in_proportion_to_their_scores():
    n, scores = 20_000, torch.tensor([20.0, 30.0, 50.0])
    net = Weighted([0.0, 10.0, 20.0, 30.0, 40.0, 50.0], [1.0] * 3)
    x = torch.tensor([[2, 3, 5]]).repeat(n, 1)
    masking = Masking(fill="unknown", order="sampled", fraction=0.7, likelihood="gaussian")
    kept = masked_input(net, x, None, masking, embedding=net.embedding) != 1
    assert (kept.sum(1) == 1).all()
    p = scores.double() / 100
    assert ((kept.double().mean(0) - p).abs() < 5 * (p * (1 - p) / n).sqrt()).all()


def test_statistics_of_ids_play_no_part():
    scale = torch.tensor([0.0, 100.0, 100.0, 100.0, 0.0])
    masked = masked_by_hand([[2, 5, 4, 3, 6]], fill="unknown", scale=scale)
    assert masked == [[2, 5, 1, 1, 6]]


def test_groups_of_tokens_are_hidden_as_one():
    groups = torch.tensor([0, 0, 1, 1, 2])
    # 60, 50, 40, 30, 120: the pairs score 55 and 35; the second row has one of the second pair
    masked = masked_by_hand(
        [[2, 5, 4, 3, 6], [2, 5, 4]], fill="unknown", fraction=0.5, groups=groups
    )
    assert masked == [[2, 5, 1, 1, 6], [2, 5, 1, 0, 0]]


def test_lengths_may_cut_tokens_off():
    x = padded([[2, 5, 4, 3, 6]])
    masking = Masking(fill="unknown", likelihood="gaussian")
    masked = masked_input(
        BY_HAND, x, None, masking, embedding=BY_HAND.embedding, lengths=torch.tensor([3])
    )
    assert masked.tolist() == [[2, 5, 1, 3, 6]]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(1, 6), max_size=5), min_size=1, max_size=6),
    percent=st.integers(0, 100),
    order=st.sampled_from(["absolute", "sampled", "random"]),
    fill=st.sampled_from(TOKEN_FILLS),
    seed=st.integers(0, 100),
)
def test_exactly_k_are_hidden_and_the_rest_is_kept(rows, percent, order, fill, seed):
    x, generator = padded(rows, 5), torch.Generator().manual_seed(seed)
    calls = []

    def mark(x, generator):
        calls.append(x)
        return torch.full_like(x, 0)

    hidden = []
    for replacement in (mark, fill):
        masking = Masking(
            fill=replacement,
            fill_value=3,
            order=order,
            fraction=percent / 100,
            likelihood="gaussian",
        )
        generator.manual_seed(seed)
        masked = masked_input(
            BY_HAND, x, None, masking, embedding=BY_HAND.embedding, generator=generator
        )
        hidden.append(masked)
    removed, masked = (hidden[0] == 0) & (x != 0), hidden[1]
    assert removed.sum(1).tolist() == [percent * len(row) // 100 for row in rows]
    # the same tokens are hidden whatever replaces them, and never by padding
    assert torch.equal(masked[~removed], x[~removed])
    assert (masked[removed] != 0).all()
    for row, (kept, out) in enumerate(zip(~removed, masked, strict=True)):
        for j in range(len(rows[row])):
            if kept[j]:
                continue
            before = [rows[row][p] for p in range(j) if kept[p]]
            others = [token for r, other in enumerate(rows) if r != row for token in other]
            allowed = {
                "unknown": [1],
                "previous": [before[-1] if before else 1],
                "constant": [3],
                "marginal": others or [rows[row][j]],
            }[fill]
            assert out[j] in allowed
