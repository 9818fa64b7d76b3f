"""Tokens: by hand, against the slow loop, and against the samples one by one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from sgt_sklearn.attribution import captured_embedding
from sgt_sklearn.guidance import (
    MASK_ORDERS,
    TOKEN_FILLS,
    Masking,
    masked_input,
    passes_agree,
    saliency_guided_loss,
)
from tests.guidance import slow_loop, slow_padding
from tests.guidance.slow_loop import Setting

N_TOKENS = 9
ROWS = [
    [3, 4, 5, 6, 7, 8],
    [2, 5],
    [8, 2, 3, 4],
    [5],
    [7, 3, 3, 8, 2],
    [],
    [6, 1, 4, 2, 5, 7],
]


def padded(rows, n=None):
    width = n or max(map(len, rows))
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])


def make_batch(device="cpu", rows=ROWS):
    x = padded(rows, 6)
    return x.to(device), (torch.arange(len(rows)) % 3).to(device)


def make_net(device="cpu", **options):
    torch.manual_seed(3)
    return slow_padding.TextNet(N_TOKENS, **options).to(device, torch.float64)


def shuffled(x, generator):
    """Fill of a user: any token from the given generator."""
    return torch.randint(1, N_TOKENS, x.shape, device=x.device, generator=generator)


def mask_both(net, x, y, masking, weight=None):
    """Masked batch of the library and of the slow loop, with equal generators."""
    generators = [torch.Generator(x.device).manual_seed(5) for _ in range(2)]
    masked = masked_input(
        net, x, y, masking, weight=weight, generator=generators[0], embedding=net.embedding
    )
    setting = Setting(
        order=masking.order,
        output=masking.output,
        fill=masking.fill,
        fraction=masking.fraction,
        value=masking.fill_value,
    )
    expected = slow_padding.masked_tokens(net, x, y, setting, generators[1], weight)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    return masked, expected


# against the slow loop


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("fill", [*TOKEN_FILLS, shuffled], ids=str)
@pytest.mark.parametrize("order", MASK_ORDERS)
def test_masks_equal_the_slow_loop(order, fill, fraction, device):
    net, (x, y) = make_net(device), make_batch(device)
    masking = Masking(order=order, fill=fill, fill_value=2.0, fraction=fraction)
    masked, expected = mask_both(net, x, y, masking)
    assert masked.dtype == x.dtype
    assert torch.equal(masked, expected)
    assert (masked != x).any()


@pytest.mark.parametrize("output", ["log_proba", "logit", "margin"])
@pytest.mark.parametrize("weighted", [False, True])
def test_masks_of_every_output_and_of_weights_equal_the_slow_loop(output, weighted, device):
    net, (x, y) = make_net(device), make_batch(device)
    weight = None
    if weighted:
        weight = torch.tensor([1.0, 0.5, 0.0, 3.0, 2.0, 5.0, 1.5], device=device).double()
    masking = Masking(output=output, fill="marginal")
    masked, expected = mask_both(net, x, y, masking, weight)
    assert torch.equal(masked, expected)


@pytest.mark.parametrize("fill", ["unknown", "previous", "constant"])
@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
@pytest.mark.parametrize("order", ["absolute", "signed"])
def test_padded_batch_equals_its_samples_one_by_one(fill, saliency_pass, order, device):
    net, (x, y) = make_net(device), make_batch(device)
    masking = Masking(fill=fill, fill_value=3, order=order)
    losses = saliency_guided_loss(
        net,
        x,
        y,
        loss=nn.CrossEntropyLoss(reduction="none"),
        divergence="categorical_kl",
        masking=masking,
        embedding=net.embedding,
        saliency_pass=saliency_pass,
        reduction="none",
    )
    _, expected = mask_both(net, x, y, masking)
    pairs = []
    for i, row in enumerate(ROWS):
        if not row:
            row = [0]
        z, z_masked = (net(data[i : i + 1, : len(row)])[0] for data in (x, expected))
        task = slow_loop.task_loss(z, y[i], Setting())
        pairs.append((task, slow_loop.divergence(z, z_masked, Setting())))
        alone = x[i : i + 1, : len(row)], y[i : i + 1]
        if len(set(row)) > 1:  # alone, "signed" cannot do with one token
            masked = masked_input(net, *alone, masking, embedding=net.embedding)
            assert torch.equal(masked, expected[i : i + 1, : len(row)])
    for values, terms in zip(losses, zip(*pairs, strict=True), strict=True):
        torch.testing.assert_close(values, torch.stack(terms), atol=1e-10, rtol=0)
    both = [sum(losses).sum(), sum(task + divergence for task, divergence in pairs)]
    gradients = [torch.autograd.grad(total, net.parameters()) for total in both]
    torch.testing.assert_close(*gradients, atol=1e-10, rtol=0)


# by hand


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


# ties of the gradient alone


class MeanBag(nn.Module):
    """Mean of the embedded tokens, then a layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(N_TOKENS, 4, padding_idx=0)
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, x):
        valid = (x != 0)[:, :, None]
        return self.layers((self.embedding(x) * valid).sum(1) / valid.sum(1).clamp_min(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
def test_a_gradient_that_is_the_same_for_all_tokens_cannot_rank(saliency_pass, dtype, device):
    net, (x, y) = MeanBag().to(device, dtype), make_batch(device)
    options = {
        "loss": nn.CrossEntropyLoss(),
        "divergence": "categorical_kl",
        "embedding": net.embedding,
        "saliency_pass": saliency_pass,
    }
    masking = Masking(order="signed", fill="previous")
    with pytest.raises(ValueError, match='mask_order="absolute"'):
        saliency_guided_loss(net, x, y, masking=masking, **options)
    for order in ("absolute", "sampled", "random"):
        saliency_guided_loss(net, x, y, masking=Masking(order=order, fill="previous"), **options)


@pytest.mark.parametrize("rows", [[[2], [5]], [[], [3]], [[4, 4, 4], [5]], [[]]])
def test_samples_that_cannot_tell_do_not_make_a_tie(rows):
    net, (x, y) = MeanBag(), make_batch(rows=rows)
    masking = Masking(order="signed", fill="unknown", fraction=1.0)
    masked = masked_input(net, x, y, masking, embedding=net.embedding)
    assert torch.equal(masked, (x != 0).long())


def test_one_sample_without_a_tie_is_enough():
    class Gated(MeanBag):
        def forward(self, x):
            hidden = self.embedding(x)
            hidden = torch.cat([hidden[:-1], torch.tanh(3 * hidden[-1:])])
            valid = (x != 0)[:, :, None]
            return self.layers((hidden * valid).sum(1) / valid.sum(1).clamp_min(1))

    net, (x, y) = Gated(), make_batch()
    masking = Masking(order="signed", fill="unknown")
    masked = masked_input(net, x, y, masking, embedding=net.embedding)
    assert ((masked != x).sum(1) <= (x != 0).sum(1) // 2).all()


def test_a_gradient_that_has_vanished_is_no_tie_of_the_pooling():
    net, (x, y) = MeanBag(), make_batch()
    nn.init.zeros_(net.layers[2].weight)
    masking = Masking(order="signed", fill="constant", fill_value=0)
    masked = masked_input(net, x, y, masking, embedding=net.embedding)
    assert ((masked == 0) & (x != 0)).sum(1).tolist() == [len(row) // 2 for row in ROWS]


# passes and gradients


def losses_of(net, x, y, **options):
    defaults = {
        "loss": nn.CrossEntropyLoss(),
        "divergence": "categorical_kl",
        "masking": Masking(fill="marginal"),
        "generator": torch.Generator(x.device).manual_seed(1),
        "embedding": net.embedding,
    }
    return saliency_guided_loss(net, x, y, **defaults | options)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("order", MASK_ORDERS)
def test_shared_pass_equals_the_separate_one(order, frozen, device):
    net, (x, y) = make_net(device), make_batch(device)
    net.embedding.weight.requires_grad_(not frozen)
    masking = Masking(order=order, fill="marginal")
    with captured_embedding(net.embedding, x) as captured:
        output = net(x)
    results = [
        losses_of(net, x, y, masking=masking, **options)
        for options in (
            {},
            {"saliency_pass": "shared"},
            {"saliency_pass": "shared", "output": output, "embedded": captured.output},
            {"saliency_pass": "shared", "output": output},
            {"output": output},
        )
    ]
    trained = [p for p in net.parameters() if p.requires_grad]
    gradients = [torch.autograd.grad(sum(r), trained, retain_graph=True) for r in results]
    for result, gradient in zip(results[1:], gradients[1:], strict=True):
        torch.testing.assert_close(result, results[0], atol=1e-14, rtol=0)
        torch.testing.assert_close(gradient, gradients[0], atol=1e-14, rtol=0)


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ({}, [(True, 1), (False, 1), (True, 1)]),
        ({"saliency_pass": "shared"}, [(True, 1), (True, 1)]),
        ({"masking": Masking(fill="unknown", order="random")}, [(True, 1), (True, 1)]),
        ({"masking": Masking(fill="unknown", fraction=0.1)}, [(True, 1)]),
    ],
    ids=["separate", "shared", "random", "nothing hidden"],
)
def test_saliency_runs_in_evaluation_mode_unless_shared(options, calls, device):
    net, (x, y) = make_net(device, dropout=0.5), make_batch(device)
    seen = []
    net.register_forward_pre_hook(lambda module, args: seen.append((module.training, 1)))
    losses_of(net, x, y, **options)
    assert seen == calls
    assert all(m.training for m in net.modules())


@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
def test_gradients_of_parameters_are_left_to_the_caller(saliency_pass, device):
    net, (x, y) = make_net(device), make_batch(device)
    kept = torch.ones_like(net.embedding.weight)
    net.embedding.weight.grad = kept
    total = sum(losses_of(net, x, y, saliency_pass=saliency_pass))
    assert net.embedding.weight.grad is kept
    assert (kept == 1).all()
    assert all(p.grad is None for p in net.parameters() if p is not net.embedding.weight)
    assert len(net.embedding._forward_hooks) == 0
    total.backward()
    assert net.head.weight.grad is not None


@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
def test_a_frozen_embedding_is_ranked_by_as_a_trained_one(saliency_pass, device):
    net, (x, y) = make_net(device), make_batch(device)
    results = []
    for trained in (True, False):
        net.embedding.weight.requires_grad_(trained)
        results.append(losses_of(net, x, y, saliency_pass=saliency_pass))
    torch.testing.assert_close(*results, atol=0, rtol=0)
    sum(results[1]).backward()
    assert net.embedding.weight.grad is None
    # also where nothing at all is trained
    net.requires_grad_(False)
    masked = [masked_input(net, x, y, Masking(fill="unknown"), embedding=net.embedding)]
    net.requires_grad_(True)
    masked.append(masked_input(net, x, y, Masking(fill="unknown"), embedding=net.embedding))
    assert torch.equal(*masked)


def test_a_masked_batch_serves_again(device):
    net, (x, y) = make_net(device), make_batch(device)
    masked = masked_input(net, x, y, Masking(fill="unknown"), embedding=net.embedding)
    _, consistency = losses_of(net, x, y, masked_x=masked, saliency_pass="shared")
    clean, hidden = net(x), net(masked)
    expected = F.kl_div(
        hidden.log_softmax(1), clean.log_softmax(1), log_target=True, reduction="sum"
    )
    torch.testing.assert_close(consistency, expected / len(x), atol=1e-12, rtol=0)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_probe_of_the_modes_takes_tokens(dropout, device):
    net, (x, _) = make_net(device, dropout=dropout), make_batch(device)
    assert passes_agree(net, [net], x) == (dropout == 0, dropout > 0)


def test_forked_masked_pass_of_tokens_is_seeded_by_the_generator(device):
    net, (x, y) = make_net(device, dropout=0.5), make_batch(device)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        generator = torch.Generator(device).manual_seed(seed)
        losses = losses_of(net, x, y, generator=generator, fork_generators=True)
        results.append(losses[1].item())
    assert results[0] == results[1] != results[2]


def test_both_terms_of_tokens_are_weighted_means(device):
    net, (x, y) = make_net(device), make_batch(device)
    weight = torch.arange(7.0, dtype=torch.float64, device=device)
    masking = Masking(fill="unknown")
    losses = losses_of(
        net, x, y, masking=masking, weight=weight, loss=nn.CrossEntropyLoss(reduction="none")
    )
    masked = masked_input(net, x, y, masking, embedding=net.embedding)
    clean, hidden = net(x).log_softmax(1), net(masked).log_softmax(1)
    terms = -clean.gather(1, y[:, None])[:, 0], (clean.exp() * (clean - hidden)).sum(1)
    for value, term in zip(losses, terms, strict=True):
        torch.testing.assert_close(value, (weight * term).sum() / 21, atol=1e-12, rtol=0)


# errors


@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
@pytest.mark.parametrize(("calls", "told"), [(0, "not at all"), (2, "more than once")])
def test_the_embedding_must_be_called_exactly_once(saliency_pass, calls, told):
    class Net(MeanBag):
        def forward(self, x):
            vectors = self.layers[0].weight.new_zeros(*x.shape, 4)
            for _ in range(calls):
                vectors = vectors + self.embedding(x)
            return self.layers(vectors.mean(1))

    net, (x, y) = Net(), make_batch()
    with pytest.raises(ValueError, match=rf"must call exactly once.*called {told}"):
        losses_of(net, x, y, saliency_pass=saliency_pass)
    assert all(m.training for m in net.modules())
    assert len(net.embedding._forward_hooks) == 0


def test_the_embedding_must_return_a_vector_a_token():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.EmbeddingBag(N_TOKENS, 3)

        def forward(self, x):
            return self.embedding(x)

    net, (x, y) = Net(), make_batch()
    with pytest.raises(ValueError, match=r"embedding must return one vector a token.*\(7, 3\)"):
        losses_of(net, x, y)


def test_integers_without_an_embedding_are_told_its_name():
    x, y = make_batch()
    with pytest.raises(TypeError, match=r"embedding='embedding'.*astype\('float32'\)"):
        masked_input(make_net(), x, y, Masking(fill="unknown"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8])
@pytest.mark.parametrize("order", ["absolute", "random"])
def test_an_embedding_is_for_integers(dtype, order):
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(TypeError, match=f"embedding is for tokens.*{dtype}"):
        losses_of(net, x.to(dtype), y, masking=Masking(fill="unknown", order=order))


def test_tokens_have_two_axes():
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(ValueError, match=r"Tokens must have shape .*got \(7, 6, 1\)"):
        losses_of(net, x[:, :, None], y, saliency_pass="shared")


@pytest.mark.parametrize("fraction", [0.0, 0.5])
@pytest.mark.parametrize("fill", ["sample_uniform", "feature_uniform", "mean"])
def test_fills_of_floats_do_not_fill_tokens(fill, fraction):
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(ValueError, match=rf"mask_fill must be one of .*tokens, got '{fill}'"):
        losses_of(net, x, y, masking=Masking(fill=fill, fraction=fraction))


@pytest.mark.parametrize("fraction", [0.0, 0.5])
@pytest.mark.parametrize("fill", ["unknown", "previous"])
def test_fills_of_tokens_do_not_fill_floats(fill, fraction):
    masking = Masking(fill=fill, fraction=fraction)
    with pytest.raises(ValueError, match=f"mask_fill='{fill}' replaces tokens"):
        masked_input(nn.Linear(4, 3), torch.zeros(2, 4), torch.zeros(2).long(), masking)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.5, r"mask_value must be the id of a token .*got 0.5"),
        (-1, r"mask_value must be ids of tokens, 0 to 8, got -1"),
        (9, r"mask_value must be ids of tokens, 0 to 8, got 9"),
    ],
)
def test_a_constant_is_the_id_of_a_token(value, message):
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(ValueError, match=message):
        losses_of(net, x, y, masking=Masking(fill="constant", fill_value=value))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x, generator: x.float(),
            r"integer tensor .*, got \(7, 6\) of torch.float32",
        ),
        (lambda x, generator: x[:, :3], r"integer tensor .*\(7, 6\), got \(7, 3\) of torch.int64"),
        (lambda x, generator: 1, r"integer tensor .*\(7, 6\), got \(\) of int"),
        (lambda x, generator: x - 100, r"mask_fill must return ids of tokens, 0 to 8, got -9\d"),
        (lambda x, generator: x + 100, r"mask_fill must return ids of tokens, 0 to 8, got 10\d"),
    ],
)
def test_a_callable_returns_ids(function, message):
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(ValueError, match=message):
        losses_of(net, x, y, masking=Masking(fill=function))


def test_what_was_embedded_comes_with_its_output():
    net, (x, y) = make_net(), make_batch()
    with captured_embedding(net.embedding) as captured:
        output = net(x)
    masking, embedded = Masking(fill="unknown"), captured.output
    options = {"embedding": net.embedding}
    with pytest.raises(ValueError, match="embedded must come with the output"):
        losses_of(net, x, y, embedded=embedded, saliency_pass="shared")
    with pytest.raises(ValueError, match=r"embedded must come with .* without output"):
        masked_input(net, x, y, masking, embedded=embedded, **options)
    with pytest.raises(ValueError, match=r"embedded must .*\(7, 6, n_dimensions\), got \(7, 5, 4"):
        masked_input(net, x, y, masking, output=output, embedded=embedded[:, 1:], **options)


def test_no_gradient_path_to_the_embedding_is_a_type_error():
    class Cut(MeanBag):
        def forward(self, x):
            return self.layers(self.embedding(x).detach().mean(1))

    net, (x, y) = Cut(), make_batch()
    with pytest.raises(TypeError, match="no gradient path"):
        losses_of(net, x, y)
