import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, make_scorer, r2_score

from sgt_sklearn.metrics import removal_curve

FRACTIONS = tuple(i / 10 for i in range(10))


def slow_curves(model, metric, X, y, attributions, labels, *, n_draws, seed):
    """Scores under the order of the attributions and a random one, sample by sample."""
    n_samples, n_groups = len(X), labels.max() + 1
    rng = np.random.RandomState(seed)
    curves = np.zeros((2, len(FRACTIONS)))
    for _ in range(n_draws):
        keys = rng.random_sample((n_samples, n_groups))
        shifts = rng.randint(1, n_samples, size=(n_samples, n_groups), dtype=np.int32)
        for f, fraction in enumerate(FRACTIONS):
            k = math.floor(fraction * n_groups + 1e-9)
            replaced = np.stack([X, X])
            for i in range(n_samples):
                score = [np.abs(attributions[i][labels == g]).mean() for g in range(n_groups)]
                order = sorted(range(n_groups), key=lambda g: (-score[g], keys[i, g]))
                at_random = sorted(range(n_groups), key=lambda g: keys[i, g])
                for kind, groups in enumerate((order, at_random)):
                    for g in groups[:k]:
                        donor = X[(i + shifts[i, g]) % n_samples]
                        replaced[kind, i][labels == g] = donor[labels == g]
            for kind in range(2):
                curves[kind, f] += metric(y, model.predict(replaced[kind])) / n_draws
    return curves


@pytest.mark.parametrize("scoring", [None, "accuracy", make_scorer(accuracy_score)])
@pytest.mark.parametrize("shape", [(6,), (3, 4), (2, 3, 3)])
def test_classifier_equals_a_loop_over_samples(doubles, shape, scoring):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, *shape))
    y = np.array(["no", "yes"])[(X.reshape(12, -1)[:, 0] > 0).astype(int)]
    labels = np.arange(X[0].size).reshape(shape) // 2
    model = doubles.LinearSoftmax().fit(X, y)
    attributions = model.attribute(X, standardized=True)
    expected = slow_curves(model, accuracy_score, X, y, attributions, labels, n_draws=3, seed=5)
    curve = removal_curve(model, X, y, groups=labels, scoring=scoring, n_draws=3, random_state=5)
    np.testing.assert_allclose(curve.fractions, FRACTIONS)
    np.testing.assert_allclose(curve.scores, expected[0], atol=1e-12)
    np.testing.assert_allclose(curve.random_scores, expected[1], atol=1e-12)
    assert curve.gap == pytest.approx(np.mean(expected[1] - expected[0]), abs=1e-12)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regressor_equals_a_loop_over_samples(doubles, n_outputs):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((15, 4))
    coef = np.array([[4.0, 1, 0.5, 2], [0, 2, 1, 1]])[:n_outputs].squeeze()
    y = X @ coef.T + 0.1 * rng.standard_normal((15, 2))[:, :n_outputs].squeeze()
    model = doubles.LinearRegressor(coef).fit(X, y)
    expected = slow_curves(
        model, r2_score, X, y, model.attribute(X), np.arange(4), n_draws=2, seed=5
    )
    curve = removal_curve(model, X, y, n_draws=2, random_state=5)
    np.testing.assert_allclose(curve.scores, expected[0], atol=1e-12)
    np.testing.assert_allclose(curve.random_scores, expected[1], atol=1e-12)
    assert curve.gap > 0


def test_nothing_is_replaced_at_fraction_zero(softmax, table):
    X, y = table
    curve = removal_curve(softmax, X, y, fractions=[0.0, 0.1])
    # a tenth of six columns is none
    assert (curve.scores == softmax.score(X, y)).all()
    assert (curve.random_scores == softmax.score(X, y)).all()
    assert curve.gap == 0.0


def test_both_orders_meet_when_everything_is_replaced(softmax, table):
    curve = removal_curve(softmax, *table, fractions=[1.0], random_state=0)
    assert curve.scores == curve.random_scores


def test_constant_predictor_has_no_gap(doubles, table):
    X, y = table
    classifier = doubles.LinearSoftmax(np.zeros((3, 6))).fit(X, y)
    assert removal_curve(classifier, X, y, attributions=X).gap == 0.0
    regressor = doubles.LinearRegressor(np.zeros(6)).fit(X, y)
    assert removal_curve(regressor, X, y, attributions=X).gap == 0.0


def test_true_attributions_fall_faster_than_random(softmax, table):
    curve = removal_curve(softmax, *table, random_state=0)
    assert curve.gap > 0.05
    assert (curve.scores[2:6] < curve.random_scores[2:6]).all()


def test_random_attributions_have_no_gap_on_average(doubles, table):
    X, y = table
    models = [doubles.NoisyAttributions(seed=seed).fit(X, y) for seed in range(30)]
    gaps = [removal_curve(model, X, y, n_draws=2, random_state=model.seed).gap for model in models]
    standard_error = np.std(gaps, ddof=1) / np.sqrt(len(gaps))
    assert abs(np.mean(gaps)) < 3 * standard_error
    assert standard_error < 0.01


def test_random_state(softmax, table):
    curve = removal_curve(softmax, *table, random_state=0)
    again = removal_curve(softmax, *table, random_state=0)
    assert (curve.scores == again.scores).all()
    assert (curve.random_scores == again.random_scores).all()
    assert removal_curve(softmax, *table, random_state=1).gap != curve.gap


@pytest.mark.parametrize(
    ("y", "options", "error", "match"),
    [
        (None, {}, ValueError, "y must hold the true targets of X, got None"),
        (np.zeros(3), {}, ValueError, "inconsistent numbers of samples"),
        (np.zeros(60), {"fractions": [-0.1]}, ValueError, r"numbers in \[0, 1\], got \[-0.1\]"),
        (np.zeros(60), {"scoring": ["accuracy"]}, TypeError, "scoring must be a name .* list"),
        (np.zeros(60), {"scoring": "beauty"}, ValueError, "'beauty'"),
    ],
)
def test_bad_input(softmax, table, y, options, error, match):
    with pytest.raises(error, match=match):
        removal_curve(softmax, table[0], y, **options)
