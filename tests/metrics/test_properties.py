"""What holds for all attributions, masks and models: invariance, range, chance and maximum."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score

from sgt_sklearn.metrics import (
    attribution_entropy,
    attribution_kurtosis,
    benchmark_precision_recall,
    comprehensiveness,
    comprehensiveness_gap,
    gini_sparseness,
    infidelity_gap,
    masking_consistency,
    max_sensitivity_gap,
    pointing_game,
    relevance_average_precision,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    relevance_roc_auc,
    removal_curve,
    sufficiency,
    sufficiency_gap,
)
from tests.metrics.conftest import LinearRegressor, LinearSoftmax

WITH_MASK = [
    relevance_average_precision,
    relevance_roc_auc,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    pointing_game,
]
SPREAD = [gini_sparseness, attribution_entropy, attribution_kurtosis]


def removal_gap(*args, **options):
    return removal_curve(*args, fractions=(0.3, 0.6), n_draws=2, **options).gap


GAPS = [
    comprehensiveness_gap,
    sufficiency_gap,
    infidelity_gap,
    max_sensitivity_gap,
    removal_gap,
]
quick = settings(max_examples=40, deadline=None)
shapes = st.tuples(st.integers(1, 5), st.integers(2, 9))
seeds = st.integers(0, 2**32 - 1)


def values(shape):
    # quarters: ties are likely, and no sum of them is rounded
    return hnp.arrays(np.float64, shape, elements=st.integers(-20, 20).map(lambda i: i / 4))


@st.composite
def explained(draw):
    """Attributions, and masks with a relevant and an irrelevant cell in each sample."""
    shape = draw(shapes)
    mask = draw(hnp.arrays(bool, shape))
    mask[:, 0], mask[:, 1] = True, False
    return draw(values(shape)), mask


@pytest.mark.parametrize("metric", WITH_MASK)
@quick
@given(explained(), st.floats(1e-6, 1e6), seeds)
def test_masks_invariance_range_and_maximum(metric, sample, scale, seed):
    attributions, mask = sample
    value = metric(attributions, mask)
    assert 0 <= value <= 1 + 1e-12
    order = np.random.default_rng(seed).permutation(mask.shape[1])
    assert metric(-scale * attributions, mask) == pytest.approx(value)
    assert metric(attributions[:, order], mask[:, order]) == pytest.approx(value)
    assert metric(np.where(mask, 1 + np.abs(attributions), 0), mask) == pytest.approx(1)
    chance = 0.5 if metric is relevance_roc_auc else mask.mean(axis=1).mean()
    assert metric(np.full(mask.shape, scale), mask) == pytest.approx(chance)


@quick
@given(explained(), seeds)
def test_masks_without_ties_equal_scikit_learn(sample, seed):
    _, mask = sample
    attributions = np.random.default_rng(seed).standard_normal(mask.shape)
    pairs = list(zip(mask, np.abs(attributions), strict=True))
    expected = np.mean([average_precision_score(*pair) for pair in pairs])
    assert relevance_average_precision(attributions, mask) == pytest.approx(expected)
    expected = np.mean([roc_auc_score(*pair) for pair in pairs])
    assert relevance_roc_auc(attributions, mask) == pytest.approx(expected)


@quick
@given(explained(), st.floats(1e-6, 1e6), seeds)
def test_benchmark_invariance_range_and_maximum(sample, scale, seed):
    attributions, mask = sample
    # the smallest cell is 0 after scaling; without a relevant and an irrelevant one above it
    # nothing is defined
    attributions = np.abs(attributions) + np.arange(1, mask.shape[1] + 1) / 64
    attributions = np.hstack([attributions, np.zeros((len(mask), 1))])
    mask = np.hstack([mask, np.zeros((len(mask), 1), bool)])
    scores = benchmark_precision_recall(attributions, mask)
    for name in ("aup", "aur", "aupr"):
        assert 0 <= scores[name] <= (0.8 if name != "aupr" else 1) + 1e-9
    order = np.random.default_rng(seed).permutation(mask.shape[1])
    for other, permuted in (
        (scale * attributions, mask),
        (attributions[:, order], mask[:, order]),
    ):
        again = benchmark_precision_recall(other, permuted)
        assert again.aup == pytest.approx(scores.aup)
        assert again.aur == pytest.approx(scores.aur)
    perfect = benchmark_precision_recall(np.where(mask, attributions, 0), mask)
    assert perfect.aup == pytest.approx(0.8)
    assert scores.aup <= perfect.aup + 1e-9


@pytest.mark.parametrize("metric", SPREAD)
@quick
@given(shapes.flatmap(values), st.floats(1e-6, 1e6), seeds)
def test_spread_invariance_and_range(metric, attributions, scale, seed):
    n = attributions.shape[1]
    low, high = {
        gini_sparseness: (0, 1 - 1 / n),
        attribution_entropy: (0, np.log(n)),
        attribution_kurtosis: (1, n - 2 + 1 / (n - 1)),
    }[metric]
    value = metric(attributions)
    assert low - 1e-9 <= value <= high + 1e-9
    order = np.random.default_rng(seed).permutation(n)
    assert metric(-scale * attributions) == pytest.approx(value)
    assert metric(attributions[:, order]) == pytest.approx(value)


@st.composite
def models(draw, n_samples=8):
    """A linear softmax, samples and labels."""
    rng = np.random.default_rng(draw(seeds))
    n_features = draw(st.integers(2, 6))
    X = rng.standard_normal((n_samples, n_features)) * rng.uniform(0.1, 10, n_features)
    coef = rng.standard_normal((draw(st.integers(2, 4)), n_features))
    y = np.arange(n_samples) % len(coef)
    return LinearSoftmax(coef).fit(X, y), X, y


def mean_fill(X, rng):
    return np.broadcast_to(X.mean(axis=0), X.shape)


@pytest.mark.parametrize("gap", GAPS)
@quick
@given(models(), seeds)
def test_constant_predictors_have_no_gap(gap, sample, seed):
    model, X, y = sample
    constant = LinearSoftmax(np.zeros_like(model.coef_)).fit(X, y)
    assert gap(constant, X, y, random_state=seed) == 0.0
    flat = LinearRegressor(np.zeros(X.shape[1])).fit(X, y)
    if gap not in (infidelity_gap, max_sensitivity_gap):
        # as good as any other attribution
        attributions = np.random.default_rng(seed).standard_normal(X.shape)
        assert gap(constant, X, y, attributions=attributions, random_state=seed) == 0.0
        assert gap(flat, X, y, attributions=attributions, random_state=seed) == 0.0


@quick
@given(models(), st.floats(1e-3, 1e3), seeds)
def test_faithfulness_invariance(sample, scale, seed):
    model, X, y = sample
    order = np.random.default_rng(seed).permutation(X.shape[1])
    permuted = LinearSoftmax(model.coef_[:, order]).fit(X[:, order], y)
    # other than those of the model, so that no two tie
    attributions = np.random.default_rng(seed).standard_normal(X.shape)
    options = {"replacement": mean_fill, "n_draws": 1, "random_state": 0}
    for metric in (comprehensiveness, sufficiency, masking_consistency):
        value = metric(model, X, attributions=attributions, **options)
        scaled = metric(model, X, attributions=-scale * attributions, **options)
        assert scaled == pytest.approx(value, abs=1e-12)
        other = metric(permuted, X[:, order], attributions=attributions[:, order], **options)
        assert other == pytest.approx(value, abs=1e-9)
        assert metric is masking_consistency or -1 <= value <= 1


@quick
@given(models(), seeds)
def test_perfect_attributions_reach_the_best_value(sample, seed):
    model, X, y = sample
    assume(len(model.coef_) == 2)
    model = LinearSoftmax(model.coef_[:2]).fit(X, y)
    winner = model.predict(X)
    # what the odds of the winner lose when a feature becomes the mean
    loss = (model.coef_[winner] - model.coef_[1 - winner]) * (X - X.mean(axis=0))
    # by rank, as values are compared by their size
    perfect = 1 + loss.argsort(axis=1).argsort(axis=1)
    other = np.random.default_rng(seed).standard_normal(X.shape)
    options = {"replacement": mean_fill, "n_draws": 1, "random_state": 0}
    best = comprehensiveness(model, X, attributions=perfect, **options)
    assert best >= comprehensiveness(model, X, attributions=other, **options) - 1e-9
    best = sufficiency(model, X, attributions=perfect, **options)
    assert best <= sufficiency(model, X, attributions=other, **options) + 1e-9
