import math

import pytest
import torch

from sgt_sklearn.guidance import MASK_ORDERS, group_scores, lowest_groups, ranking_scores

SEEDS = range(3)
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def seeded(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


# scores


@pytest.mark.parametrize("shape", [(6,), (4, 3), (2, 3, 4)])
def test_group_scores_are_means_over_the_members(shape, device):
    values = torch.randn(5, *shape, dtype=torch.float64, device=device)
    labels = (torch.randperm(math.prod(shape)) % 4).reshape(shape).to(device)
    scores = group_scores(values, labels, 4)
    for i in range(5):
        for group in range(4):
            expected = values[i][labels == group].mean()
            torch.testing.assert_close(scores[i, group], expected)


def test_without_groups_every_cell_is_its_own():
    values = torch.randn(5, 2, 3)
    assert torch.equal(group_scores(values), values.reshape(5, 6))


def test_scores_of_signed_and_absolute_are_the_formulas():
    gradient, scale = torch.randn(5, 6), torch.rand(6)
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    signed = ranking_scores(gradient, order="signed", scale=scale, groups=labels, n_groups=3)
    torch.testing.assert_close(signed, group_scores(gradient, labels, 3))
    absolute = ranking_scores(gradient, order="absolute", scale=scale, groups=labels, n_groups=3)
    torch.testing.assert_close(absolute, group_scores(gradient.abs() * scale, labels, 3))


@pytest.mark.parametrize("order", ["absolute", "sampled"])
def test_units_do_not_change_the_scores(order):
    gradient, scale = torch.randn(5, 6), torch.rand(6)
    units = torch.tensor([1.0, 1024.0, 1 / 1024, 2.0, 1.0, 0.5])
    scores = [
        ranking_scores(g, order=order, scale=sd, generator=seeded())
        for g, sd in [(gradient, scale), (gradient / units, scale * units)]
    ]
    assert torch.equal(*scores)


def test_signed_order_takes_no_notice_of_the_scale():
    gradient = torch.randn(5, 6)
    scores = ranking_scores(gradient, order="signed", scale=torch.rand(6))
    assert torch.equal(scores, gradient)


@pytest.mark.parametrize("order", MASK_ORDERS)
@pytest.mark.parametrize("groups", [None, torch.tensor([0, 1, 1, 0, 2, 2])])
def test_noise_is_one_draw_of_shape_samples_by_groups(order, groups, device):
    gradient = torch.randn(5, 6, dtype=torch.float64, device=device)
    groups = groups if groups is None else groups.to(device)
    n_groups = 6 if groups is None else 3
    generators = [seeded(1, device), seeded(1, device)]
    before = torch.get_rng_state()
    options = {"groups": groups, "n_groups": n_groups, "generator": generators[0]}
    scores = ranking_scores(gradient, order=order, **options)
    assert scores.shape == (5, n_groups)
    if order in ("sampled", "random"):
        noise = torch.rand(
            5, n_groups, dtype=torch.float64, device=device, generator=generators[1]
        )
        expected = noise
        if order == "sampled":
            expected = group_scores(gradient.abs(), groups, n_groups).log()
            expected = expected - (-noise.log()).log()
        torch.testing.assert_close(scores, expected)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_noise_is_finite_in_every_dtype(dtype):
    gradient = torch.ones(100, 5000, dtype=dtype)
    scores = ranking_scores(gradient, order="sampled", generator=seeded())
    assert scores.dtype == dtype
    assert not scores.isnan().any()
    assert (scores > -torch.inf).all()


@pytest.mark.parametrize("order", ["Signed", "auto", None])
def test_unknown_order(order):
    with pytest.raises(ValueError, match=r"order must be one of .*, got"):
        ranking_scores(torch.ones(1, 2), order=order)


# what the random orders keep


@pytest.mark.parametrize("seed", SEEDS)
def test_sampled_keeps_groups_in_proportion_to_their_scores(seed):
    weights = torch.tensor([0.5, 1.0, 3.0, 5.5])
    n, p = 20_000, weights / 10
    scores = ranking_scores(weights.expand(n, 4), order="sampled", generator=seeded(seed))
    kept = ~lowest_groups(scores, 3)
    # five standard errors
    assert ((kept.double().mean(0) - p).abs() < 5 * (p * (1 - p) / n).sqrt()).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_sampled_keeps_two_groups_as_draws_without_replacement(seed):
    w, n = [0.1, 0.3, 0.6], 20_000
    gradient = torch.tensor(w).expand(n, 3)
    scores = ranking_scores(gradient, order="sampled", generator=seeded(seed))
    hidden = lowest_groups(scores, 1).double().mean(0)
    for j, share in enumerate(hidden.tolist()):
        a, b = (w[i] for i in range(3) if i != j)
        # hidden is what comes third: a before b, or b before a
        p = a * b / (1 - a) + b * a / (1 - b)
        assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / n)


def test_sampled_hides_groups_without_gradient_first():
    gradient = torch.tensor([0.0, 1e-30, 5.0, 0.0]).expand(1000, 4)
    scores = ranking_scores(gradient, order="sampled", generator=seeded())
    assert (lowest_groups(scores, 2) == torch.tensor([True, False, False, True])).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_random_hides_every_group_as_often_whatever_the_gradient(seed):
    n, k, n_groups = 20_000, 2, 5
    gradient = torch.arange(5.0).expand(n, n_groups)
    hidden = lowest_groups(ranking_scores(gradient, order="random", generator=seeded(seed)), k)
    p = k / n_groups
    assert (hidden.double().mean(0) - p).abs().max() < 5 * math.sqrt(p * (1 - p) / n)


# the k lowest


@pytest.mark.parametrize("k", [0, 1, 4, 6, 7])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_k_lowest_are_those_of_sorted(k, dtype, device):
    scores = torch.stack([torch.randperm(7) for _ in range(20)]).to(device, dtype)
    hidden = lowest_groups(scores, k)
    assert hidden.dtype == torch.bool
    for row, marked in zip(scores.tolist(), hidden.tolist(), strict=True):
        assert [value in sorted(row)[:k] for value in row] == marked


TIES = {
    "all equal": torch.zeros(30, 9),
    "few values": torch.arange(270).reshape(30, 9) % 3 - 1.0,
    "zeros of both signs": torch.where(torch.arange(270).reshape(30, 9) % 2 == 0, 0.0, -0.0),
    "minus infinity": torch.full((30, 9), -torch.inf),
    "infinities": torch.tensor([torch.inf, -torch.inf, 0.0] * 3).expand(30, 9),
    "transposed": (torch.arange(270) % 4.0).reshape(9, 30).T,
}


@pytest.mark.parametrize("name", TIES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_exactly_k_are_marked_under_ties(name, dtype, device):
    scores = TIES[name].to(device, dtype)
    before = scores.clone()
    for k in range(10):
        hidden = lowest_groups(scores, k)
        assert (hidden.sum(1) == k).all()
        if 0 < k < 9:
            highest = scores.masked_fill(~hidden, -torch.inf).amax(1)
            lowest_kept = scores.masked_fill(hidden, torch.inf).amin(1)
            assert (highest <= lowest_kept).all()
    assert torch.equal(scores, before)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_exactly_k_are_marked_in_each_row_where_others_hold_nan(k, dtype, device):
    rows = [[torch.nan] * 4, [0.0] * 4, [0.0, torch.nan, 1.0, torch.nan], [3.0, 2.0, 1.0, 0.0]]
    hidden = lowest_groups(torch.tensor(rows, dtype=dtype, device=device), k)
    assert (hidden.sum(1) == k).all()
    assert torch.equal(hidden[3].cpu(), torch.tensor([False] * (4 - k) + [True] * k))


@pytest.mark.parametrize("seed", SEEDS)
def test_ties_favour_no_group(seed):
    generator, before = seeded(seed), torch.get_rng_state()
    scores, n, p = torch.zeros(1, 6), 3000, 1 / 3
    hidden = torch.cat([lowest_groups(scores, 2, generator=generator) for _ in range(n)])
    assert (hidden.double().mean(0) - p).abs().max() < 5 * math.sqrt(p * (1 - p) / n)
    assert torch.equal(torch.get_rng_state(), before)
