import warnings

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, roc_auc_score

from sgt_sklearn.metrics import (
    pointing_game,
    relevance_average_precision,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    relevance_roc_auc,
)

METRICS = [
    pointing_game,
    relevance_average_precision,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    relevance_roc_auc,
]


def draw(shape, decimals, seed=0):
    rng = np.random.default_rng(seed)
    attributions = rng.standard_normal(shape).round(decimals)
    relevance = rng.random(shape) < 0.3
    relevance.reshape(len(relevance), -1)[:, 0] = True
    return attributions, relevance


def average_order(metric, sample, mask):
    """Mean of `metric` over the orders in which a sort may put tied cells, by sampling none:
    a tie of m cells takes each of its places with chance 1 / m."""
    scores = np.abs(np.ravel(sample)).tolist()
    mask = np.ravel(mask).tolist()
    chance_of_place = []
    for score, relevant in zip(scores, mask, strict=True):
        first = sum(other > score for other in scores)
        tied = sum(other == score for other in scores)
        chance_of_place.append((first, tied, relevant))
    return metric(chance_of_place)


def slow_rank(sample, mask):
    k = int(np.sum(mask))

    def found(cells):
        return sum(
            sum(1 / tied for place in range(first, first + tied) if place < k)
            for first, tied, relevant in cells
            if relevant
        )

    return average_order(found, sample, mask) / k


def slow_pointing(sample, mask):
    return average_order(
        lambda cells: sum(1 / tied for first, tied, relevant in cells if relevant and first == 0),
        sample,
        mask,
    )


def slow_mass(attributions, relevance):
    shares = []
    for sample, mask in zip(attributions, relevance, strict=True):
        total = inside = 0.0
        for value, relevant in zip(np.ravel(sample), np.ravel(mask), strict=True):
            total += abs(float(value))
            inside += abs(float(value)) if relevant else 0.0
        shares.append(inside / total if total else 0.0)
    return np.mean(shares)


@pytest.mark.parametrize("shape", [(20, 12), (9, 5, 4), (6, 2, 4, 5), (5, 2)])
@pytest.mark.parametrize("decimals", [8, 0], ids=["distinct", "ties"])
def test_equals_a_loop_over_samples(shape, decimals):
    attributions, relevance = draw(shape, decimals)
    expected = np.mean(
        [
            average_precision_score(mask.ravel(), np.abs(sample).ravel())
            for sample, mask in zip(attributions, relevance, strict=True)
        ]
    )
    assert relevance_average_precision(attributions, relevance) == pytest.approx(expected)
    expected = slow_mass(attributions, relevance)
    assert relevance_mass_accuracy(attributions, relevance) == pytest.approx(expected)
    for metric, slow in [(relevance_rank_accuracy, slow_rank), (pointing_game, slow_pointing)]:
        expected = np.mean([slow(*pair) for pair in zip(attributions, relevance, strict=True)])
        assert metric(attributions, relevance) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(20, 12), (9, 5, 4), (6, 2, 4, 5)])
@pytest.mark.parametrize("decimals", [8, 0], ids=["distinct", "ties"])
def test_roc_auc_equals_a_loop_over_samples(shape, decimals):
    attributions, relevance = draw(shape, decimals)
    relevance.reshape(len(relevance), -1)[:, 1] = False
    expected = np.mean(
        [
            roc_auc_score(mask.ravel(), np.abs(sample).ravel())
            for sample, mask in zip(attributions, relevance, strict=True)
        ]
    )
    assert relevance_roc_auc(attributions, relevance) == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS)
def test_perfect_and_opposite(metric):
    relevance = np.zeros((3, 10), dtype=bool)
    relevance[:, :4] = True
    assert metric(np.where(relevance, -2.0, 0.0), relevance) == 1.0
    worst = metric(np.where(relevance, 0.0, 1.0), relevance)
    # the four relevant cells tie at the end: precision 4 / 10 there
    assert worst == pytest.approx(0.4 if metric is relevance_average_precision else 0.0)


def test_by_hand():
    relevance = [True, False, True, False, True]
    attributions = [[5, 4, -4, 1, 0], [0, -3, 3, 0, 3]]
    # first: 5 and half of the tie of 4 and -4 take 2.5 of 3 places, 2 of them relevant but for the
    # irrelevant 4; second: all three 3s
    assert relevance_rank_accuracy(attributions, relevance) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert relevance_rank_accuracy([attributions[0]], [1, 0, 1, 1, 0]) == pytest.approx(2 / 3)
    assert relevance_rank_accuracy([attributions[0]], [1, 0, 1, 0, 0]) == pytest.approx(1.5 / 2)
    assert pointing_game(attributions, relevance) == pytest.approx((1 + 2 / 3) / 2)
    # of six pairs: 5 wins both, -4 wins one and ties one, 0 wins none
    assert relevance_roc_auc([attributions[0]], relevance) == pytest.approx(3.5 / 6)


@pytest.mark.parametrize("metric", METRICS)
def test_uninformative_attributions_score_the_share_of_relevant_cells(metric):
    relevance = np.arange(10) < 3
    chance = 0.5 if metric is relevance_roc_auc else 0.3
    assert metric(np.full((2, 10), 0.1), relevance) == pytest.approx(chance)


@pytest.mark.parametrize("metric", METRICS)
def test_random_attributions_score_chance(metric):
    attributions = np.random.default_rng(0).exponential(size=(4000, 100))
    chance = 0.5 if metric is relevance_roc_auc else 0.3
    if metric is relevance_average_precision:
        # at place i, a hit sees 1 + (i - 1) * 29 / 99 hits on average
        chance = sum((1 + (i - 1) * 29 / 99) / i for i in range(1, 101)) / 100
        assert chance == pytest.approx(0.33, abs=0.001)
    tolerance = 0.02 if metric is pointing_game else 0.003
    assert metric(attributions, np.arange(100) < 30) == pytest.approx(chance, abs=tolerance)


def test_zero_attributions():
    relevance = np.arange(10) < 3
    assert relevance_average_precision(np.zeros((2, 10)), relevance) == pytest.approx(0.3)
    assert relevance_mass_accuracy(np.zeros((2, 10)), relevance) == 0.0
    assert relevance_rank_accuracy(np.zeros((2, 10)), relevance) == pytest.approx(0.3)
    assert pointing_game(np.zeros((2, 10)), relevance) == pytest.approx(0.3)
    assert relevance_roc_auc(np.zeros((2, 10)), relevance) == 0.5


@pytest.mark.parametrize("metric", METRICS)
def test_only_relevant_cells(metric):
    attributions, relevance = draw((3, 5), 8)
    relevance[0] = True
    with pytest.raises(ValueError, match="relevance must be True for some and False for other"):
        metric(attributions[:1], relevance[:1])
    relevance[1:, 0], relevance[1:, 1] = True, False
    expected = metric(attributions[1:], relevance[1:])
    if metric is not relevance_roc_auc:
        assert metric(attributions, relevance) == pytest.approx((1 + 2 * expected) / 3)
        return
    with pytest.warns(UndefinedMetricWarning, match="1 of 3 samples .* no irrelevant cell"):
        assert metric(attributions, relevance) == expected


@pytest.mark.parametrize("metric", METRICS)
def test_forms_of_the_mask(metric):
    attributions, _ = draw((6, 3, 4, 5), 8)
    mask = np.random.default_rng(1).random((6, 1, 4, 5)) < 0.5
    full = np.repeat(mask, 3, axis=1)
    value = metric(attributions, full)
    assert metric(attributions, mask) == value
    assert metric(attributions, full.astype(int)) == value
    assert metric(attributions, full.tolist()) == value
    one = metric(attributions, full[0])
    assert one == metric(attributions, np.broadcast_to(full[0], attributions.shape))
    assert one == metric(attributions, mask[0])


@pytest.mark.parametrize("metric", METRICS)
def test_invariant_to_scale_sign_and_order_of_cells(metric):
    attributions, relevance = draw((8, 12), 8)
    value = metric(attributions, relevance)
    order = np.random.default_rng(2).permutation(12)
    assert metric(-3 * attributions, relevance) == pytest.approx(value)
    assert metric(1e307 * attributions / np.abs(attributions).max(), relevance) == pytest.approx(
        value
    )
    assert metric(attributions[:, order], relevance[:, order]) == pytest.approx(value)


@pytest.mark.parametrize("metric", METRICS)
def test_samples_without_a_relevant_cell_are_left_out_with_a_warning(metric):
    attributions, relevance = draw((5, 6), 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = metric(attributions[:4], relevance[:4])
    relevance[4] = False
    with pytest.warns(UndefinedMetricWarning, match="1 of 5 samples have no relevant"):
        value = metric(attributions, relevance)
    assert value == expected
    with pytest.raises(ValueError, match="at least one relevant cell"):
        metric(attributions, np.zeros_like(relevance))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("attributions", "relevance", "error", "match"),
    [
        (np.ones((2, 3)), np.ones((2, 4), bool), ValueError, r"relevance .*\(2, 3\).*\(2, 4\)"),
        (np.ones((2, 3)), np.ones((1, 2, 3), bool), ValueError, "relevance must have the shape"),
        (np.ones((2, 3)), True, ValueError, r"got \(\)"),
        (np.ones((2, 3)), np.full((2, 3), 0.5), ValueError, "relevance must be boolean"),
        (np.ones((2, 3)), np.full((2, 3), np.nan), ValueError, "relevance must be finite"),
        (np.ones((2, 3)), np.full((2, 3), "a"), TypeError, "relevance must be an array of real"),
        (np.ones(3), np.ones(3, bool), ValueError, "attributions must"),
        (np.full((2, 3), np.nan), np.ones((2, 3), bool), ValueError, "attributions must be fin"),
    ],
)
def test_bad_input(metric, attributions, relevance, error, match):
    with pytest.raises(error, match=match):
        metric(attributions, relevance)
