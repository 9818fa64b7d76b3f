"""Precision and recall of the 2020 time series benchmark, against loops and by hand."""

import math
import warnings

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning

from sgt_sklearn.metrics import benchmark_precision_recall

AREAS = ("aup", "aur", "aupr")


def slow_benchmark(attributions, relevance):
    """The definition by loops over cells in order, ties broken by position."""
    precision, recall = [], []
    for percent in range(10, 100, 10):
        precisions, recalls = [], []
        for sample, mask in zip(attributions, relevance, strict=True):
            values = [abs(float(v)) for v in np.ravel(sample)]
            mask = np.ravel(mask).tolist()
            low, high = min(values), max(values)
            values = [(v - low) / (high - low) if high > low else 0.0 for v in values]
            places = sorted(range(len(values)), key=lambda i: -values[i])
            total, chosen = math.fsum(values), []
            for place in places[: len(values) - 1]:
                if math.fsum(values[i] for i in chosen) >= percent / 100 * total - 1e-9:
                    break
                chosen.append(place)
            tp = math.fsum(values[i] for i in chosen if mask[i])
            fp = math.fsum(values[i] for i in chosen if not mask[i])
            fn = math.fsum(v for i, v in enumerate(values) if mask[i] and i not in chosen)
            if tp + fp:
                precisions.append(tp / (tp + fp))
            if tp + fn:
                recalls.append(tp / (tp + fn))
        precision.append(sum(precisions) / len(precisions))
        recall.append(sum(recalls) / len(recalls))
    return {
        "precision": precision,
        "recall": recall,
        "aup": trapezoid(precision, [p / 10 for p in range(1, 10)]),
        "aur": trapezoid(recall, [p / 10 for p in range(1, 10)]),
        "aupr": trapezoid(
            *zip(*sorted(zip(precision, recall, strict=True), key=second), strict=True)
        ),
    }


def second(pair):
    return pair[1]


def trapezoid(y, x):
    return sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(len(x) - 1))


def draw(shape, seed=0):
    rng = np.random.default_rng(seed)
    attributions, relevance = rng.standard_normal(shape), rng.random(shape) < 0.3
    relevance.reshape(len(relevance), -1)[:, 0] = True
    return attributions, relevance


def close(scores, expected, rel=1e-9):
    assert set(scores) == set(expected)
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, rel=rel, abs=1e-12), name


@pytest.mark.parametrize("shape", [(20, 12), (9, 5, 4), (6, 2, 4, 5), (5, 2), (4, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_equals_loops_over_cells(shape, seed):
    attributions, relevance = draw(shape, seed)
    close(
        benchmark_precision_recall(attributions, relevance),
        slow_benchmark(attributions, relevance),
    )


def test_samples_of_equal_attributions_have_neither():
    attributions, relevance = draw((6, 8))
    attributions[2] = 0.7
    attributions[4] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = benchmark_precision_recall(attributions, relevance)
    close(scores, slow_benchmark(attributions, relevance))
    others = [0, 1, 3, 5]
    close(scores, benchmark_precision_recall(attributions[others], relevance[others]))


def test_a_sample_that_misses_all_relevant_cells_has_no_recall():
    attributions = np.array([[0.0, 1, 2, 3], [4, 3, 2, 0]])
    relevance = np.array([[1, 0, 0, 0], [1, 0, 0, 0]])
    scores = benchmark_precision_recall(attributions, relevance)
    close(scores, slow_benchmark(attributions, relevance))
    assert (
        scores.recall == benchmark_precision_recall(attributions[1:], relevance[1:]).recall
    ).all()
    # 4, then 3 of a total of 9
    assert scores.precision == pytest.approx([0.5] * 4 + [4 / 14] * 3 + [4 / 18] * 2)


def test_by_hand():
    # scaled: 1, .75, .25, .5, 0; total 2.5
    attributions, relevance = [[-9, 7, -3, 5, 1]], [[1, 0, 1, 1, 0]]
    scores = benchmark_precision_recall(attributions, relevance)
    one, two, three, four = 1.0, 1 / 1.75, 1.5 / 2.25, 1.75 / 2.5
    # 10 to 40 % need up to 1.0; 50 to 70 % up to 1.75; 80 and 90 % up to 2.25
    assert scores.precision == pytest.approx([one] * 4 + [two] * 3 + [three] * 2)
    assert scores.recall == pytest.approx([1 / 1.75] * 7 + [1.5 / 1.75] * 2)
    area = 0.1 * (one / 2 + 3 * one + 3 * two + three + three / 2)
    assert scores.aup == pytest.approx(area)
    assert scores.aupr == pytest.approx((1.5 - 1) / 1.75 * (two + three) / 2)
    # the fifth cell is 0 after scaling: four cells hold everything, and are never needed
    assert four not in scores.precision


def test_never_all_cells():
    # all but the smallest, 0 after scaling, hold everything in any case; two cells: always one
    scores = benchmark_precision_recall([[2.0, 1.0]], [[True, False]])
    assert scores.precision.tolist() == scores.recall.tolist() == [1.0] * 9
    # half and half: 50 % is the first cell alone, 60 % would be both
    scores = benchmark_precision_recall([[1.0, 1.0, 0.0]], [[True, False, False]])
    assert scores.precision == pytest.approx([0.5] * 9)
    assert scores.recall == pytest.approx([0.5] * 5 + [1.0] * 4)


def test_thresholds_that_are_met_exactly():
    # ten equal cells hold 10 % each, by sums that do not round to multiples of .1
    for scale in (1.0, 0.1, 0.3, 7.0, 1e-300, 1e300):
        attributions = scale * np.array([[1.0] * 10 + [0.0] * 5])
        scores = benchmark_precision_recall(attributions, [[1] * 10 + [0] * 5])
        assert scores.recall == pytest.approx(np.arange(1, 10) / 10)
        assert scores.aur == pytest.approx(0.4)


@pytest.mark.parametrize("n_relevant", [10, 50])
def test_perfect_attributions_reach_the_maximum(n_relevant):
    relevance = np.zeros((4, 100), dtype=bool)
    for i in range(4):
        relevance[i, np.random.default_rng(i).permutation(100)[:n_relevant]] = True
    scores = benchmark_precision_recall(np.where(relevance, -2.0, 0.0), relevance)
    assert scores.precision.tolist() == [1.0] * 9
    assert scores.aup == pytest.approx(0.8)
    assert scores.aupr == pytest.approx(0.8)
    uneven = np.where(relevance, np.random.default_rng(0).exponential(size=(4, 100)), 0.0)
    scores = benchmark_precision_recall(uneven, relevance)
    assert scores.aup == pytest.approx(0.8)
    assert scores.aupr == pytest.approx(scores.recall[-1] - scores.recall[0])
    worst = np.where(relevance, 1e-6, 1.0)
    worst[np.arange(4), (~relevance).argmax(axis=1)] = 0.0
    scores = benchmark_precision_recall(worst, relevance)
    assert scores.precision.tolist() == scores.recall.tolist() == [0.0] * 9


def test_chance():
    rng = np.random.default_rng(0)
    relevance = np.arange(2500) < 240
    for attributions in (rng.standard_normal((300, 2500)), rng.exponential(size=(300, 2500))):
        scores = benchmark_precision_recall(attributions, relevance)
        share = 240 / 2500
        assert scores.aup == pytest.approx(0.8 * share, rel=0.02)
        assert scores.aupr == pytest.approx(0.8 * share, rel=0.03)
        assert scores.aur == pytest.approx(0.4, rel=0.01)


@pytest.mark.parametrize("ties", [False, True])
def test_invariant_to_scale_sign_and_order_of_cells(ties):
    attributions, relevance = draw((8, 12))
    if ties:
        attributions = attributions.round()
    expected = benchmark_precision_recall(attributions, relevance)
    order = np.random.default_rng(2).permutation(12)
    for values, masks in [
        (-3 * attributions, relevance),
        (0.1 * attributions, relevance),
        (1e307 * attributions / np.abs(attributions).max(), relevance),
        (attributions[:, order], relevance[:, order]),
        (attributions[::-1], relevance[::-1]),
        (attributions.reshape(8, 4, 3), relevance.reshape(8, 4, 3)),
    ]:
        close(benchmark_precision_recall(values, masks), expected)


def test_ties_count_as_the_mean_over_their_orders():
    rng = np.random.default_rng(0)
    attributions, relevance = rng.integers(0, 4, (6, 10)).astype(float), rng.random((6, 10)) < 0.4
    relevance[:, 0] = True
    attributions[:, 1:3] = [0, 3]
    orders = [rng.permutation(10) for _ in range(3000)]
    drawn = [slow_benchmark(attributions[:, order], relevance[:, order]) for order in orders]
    scores = benchmark_precision_recall(attributions, relevance)
    for name in ("precision", "recall"):
        mean = np.mean([one[name] for one in drawn], axis=0)
        assert scores[name] == pytest.approx(mean, abs=0.01)


def test_nothing_is_defined():
    relevance = np.arange(10) < 3
    with pytest.warns(UndefinedMetricWarning, match=r"Precision is 0: .*Recall is 0: "):
        scores = benchmark_precision_recall(np.full((2, 10), 0.3), relevance)
    assert [scores[name] for name in AREAS] == [0.0, 0.0, 0.0]
    with pytest.warns(UndefinedMetricWarning, match="^Recall is 0: the relevant cells"):
        scores = benchmark_precision_recall(np.where(relevance, 0.0, 1.0)[None], relevance)
    assert [scores[name] for name in AREAS] == [0.0, 0.0, 0.0]


def test_samples_without_a_relevant_cell_are_left_out_with_a_warning():
    attributions, relevance = draw((5, 6))
    expected = benchmark_precision_recall(attributions[:4], relevance[:4])
    relevance[4] = False
    with pytest.warns(UndefinedMetricWarning, match="1 of 5 samples have no relevant"):
        close(benchmark_precision_recall(attributions, relevance), expected)
    with pytest.raises(ValueError, match="at least one relevant cell"):
        benchmark_precision_recall(attributions, np.zeros_like(relevance))
