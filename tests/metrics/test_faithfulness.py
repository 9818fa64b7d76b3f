"""comprehensiveness, sufficiency and their gaps against loops, closed forms and controls."""

import math

import numpy as np
import pytest

from sgt_sklearn.metrics import (
    _perturbation,
    comprehensiveness,
    comprehensiveness_gap,
    sufficiency,
    sufficiency_gap,
)

RAW = [comprehensiveness, sufficiency]
GAPS = [comprehensiveness_gap, sufficiency_gap]
FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5)


def slow_changes(change, X, attributions, labels, *, keep, n_draws, seed, fractions=FRACTIONS):
    """Mean change under the order of the attributions and under a random one, sample by sample.

    `change(i, x)` compares the model's outputs for sample i and for its perturbed version x.
    """
    n_samples = len(X)
    names = sorted(set(np.ravel(labels).tolist()))
    rng = np.random.RandomState(seed)
    by_order = {"attribution": [], "random": []}
    for _ in range(n_draws):
        keys = rng.random_sample((n_samples, len(names)))
        shifts = rng.randint(1, n_samples, size=(n_samples, len(names)), dtype=np.int32)
        for i in range(n_samples):
            members = [np.abs(attributions[i][labels == name]) for name in names]
            score = [sum(map(float, cells)) / len(cells) for cells in members]
            everything = range(len(names))
            orders = {
                "attribution": sorted(everything, key=lambda g: (-score[g], keys[i, g])),
                "random": sorted(everything, key=lambda g: keys[i, g]),
            }
            for kind, order in orders.items():
                for fraction in fractions:
                    k = max(1, math.floor(fraction * len(names) + 1e-9))
                    x = X[i].copy()
                    for g in order[k:] if keep else order[:k]:
                        donor = X[(i + shifts[i, g]) % n_samples]
                        x[labels == names[g]] = donor[labels == names[g]]
                    by_order[kind].append(change(i, x))
    return {kind: np.mean(values) for kind, values in by_order.items()}


def expected_value(metric, changes):
    ordered, at_random = changes["attribution"], changes["random"]
    return {
        comprehensiveness: ordered,
        sufficiency: ordered,
        comprehensiveness_gap: ordered - at_random,
        sufficiency_gap: at_random - ordered,
    }[metric]


@pytest.fixture(params=[(6,), (3, 4), (2, 3, 2)], ids=["2-d", "3-d", "4-d"])
def data(request):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((14, *request.param))
    flat = X.reshape(14, -1)
    return X, np.array(["a", "b", "c"])[(flat[:, 0] > 0).astype(int) + (flat[:, 1] > 0.5)]


@pytest.mark.parametrize("outcome", ["probability", "flip"])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("metric", RAW + GAPS)
def test_classifier_equals_a_loop_over_samples(doubles, data, metric, grouped, outcome):
    X, y = data
    model = doubles.LinearSoftmax().fit(X, y)
    cells = np.arange(X[0].size).reshape(X.shape[1:])
    labels = cells % 5 if grouped else cells
    before = model.predict_proba(X)
    top = before.argmax(axis=1)

    def change(i, x):
        after = model.predict_proba(x[None])[0]
        if outcome == "flip":
            return float(after.argmax() != top[i])
        return before[i, top[i]] - after[top[i]]

    attributions = model.attribute(X, standardized=True)
    keep = metric in (sufficiency, sufficiency_gap)
    changes = slow_changes(change, X, attributions, labels, keep=keep, n_draws=3, seed=7)
    value = metric(
        model,
        X,
        outcome=outcome,
        groups=labels if grouped else None,
        n_draws=3,
        random_state=7,
    )
    assert value == pytest.approx(expected_value(metric, changes), abs=1e-12)


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("metric", RAW + GAPS)
def test_regressor_equals_a_loop_over_samples(doubles, metric, n_outputs):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((11, 5)) * [1, 10, 0.1, 3, 1]
    coef = rng.standard_normal((n_outputs, 5))
    y = X @ coef.T + rng.standard_normal((11, n_outputs))
    model = doubles.LinearRegressor(coef if n_outputs > 1 else coef[0]).fit(X, y)

    def change(i, x):
        return np.mean(np.abs(coef @ (x - X[i])) / y.std(axis=0))

    attributions = model.attribute(X)
    keep = metric in (sufficiency, sufficiency_gap)
    labels = np.arange(5)
    changes = slow_changes(change, X, attributions, labels, keep=keep, n_draws=4, seed=3)
    value = metric(model, X, n_draws=4, random_state=3)
    assert value == pytest.approx(expected_value(metric, changes), abs=1e-12)


@pytest.fixture
def two_rows(doubles):
    """f(x) = 3 a + 2 b + c at (1, 1, 1) and (0, 0, 0): each row is the other's only donor."""
    X = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    model = doubles.LinearRegressor([3.0, 2.0, 1.0]).fit(X, [2.0, -2.0])
    return model, X


def test_closed_form_of_a_linear_model(two_rows):
    model, X = two_rows
    thirds = (1 / 3, 2 / 3, 1)
    # sd of y is 2; replacing the top 1, 2, 3 of 3 columns moves the output by 3, 5, 6
    value = comprehensiveness(model, X, fractions=thirds)
    assert value == pytest.approx((3 + 5 + 6) / 3 / 2)
    # keeping the top 1, 2, 3 leaves 3, 1, 0 of the move
    assert sufficiency(model, X, fractions=thirds) == pytest.approx((3 + 1 + 0) / 3 / 2)
    # k random columns move it by 2 k on average
    gap = comprehensiveness_gap(model, X, fractions=thirds, n_draws=2000, random_state=0)
    assert gap == pytest.approx((1 + 1 + 0) / 3 / 2, abs=0.01)
    gap = sufficiency_gap(model, X, fractions=thirds, n_draws=2000, random_state=0)
    assert gap == pytest.approx((1 + 1 + 0) / 3 / 2, abs=0.01)


def test_closed_form_with_other_replacements(doubles):
    X = np.random.default_rng(0).standard_normal((30, 4)) + 5
    coef = np.array([4.0, -3.0, 2.0, -1.0])
    model = doubles.LinearRegressor(coef).fit(X, X @ coef)
    scale = np.std(X @ coef)
    moved = (X - X.mean(axis=0)) * coef
    value = comprehensiveness(model, X, fractions=[0.5], replacement="mean")
    assert value == pytest.approx(np.abs(moved[:, :2].sum(axis=1)).mean() / scale)
    value = sufficiency(model, X, fractions=[0.5], replacement=lambda X, rng: np.zeros_like(X))
    assert value == pytest.approx(np.abs((X * coef)[:, 2:].sum(axis=1)).mean() / scale)


@pytest.mark.parametrize("outcome", ["probability", "flip"])
@pytest.mark.parametrize("replacement", ["marginal", "mean"])
@pytest.mark.parametrize("gap", GAPS)
def test_constant_predictor_has_no_gap(doubles, table, gap, replacement, outcome):
    X, y = table
    constant = doubles.LinearSoftmax(np.zeros((3, 6))).fit(X, y)
    options = {"replacement": replacement, "outcome": outcome}
    assert gap(constant, X, **options) == 0.0
    noise = np.random.default_rng(0).standard_normal(X.shape)
    assert gap(constant, X, attributions=noise, **options) == 0.0


@pytest.mark.parametrize("gap", GAPS)
def test_constant_regressor_has_no_gap(doubles, table, gap):
    X, y = table
    constant = doubles.LinearRegressor(np.zeros(6)).fit(X, y)
    assert gap(constant, X, attributions=X) == 0.0


def test_constant_predictor_wins_raw_sufficiency(doubles, table, softmax):
    X, y = table
    constant = doubles.LinearSoftmax(np.zeros((3, 6))).fit(X, y)
    assert sufficiency(constant, X) == 0.0 < sufficiency(softmax, X)


@pytest.mark.parametrize("outcome", ["probability", "flip"])
@pytest.mark.parametrize("gap", GAPS)
def test_true_attributions_have_a_gap(softmax, table, gap, outcome):
    assert gap(softmax, table[0], outcome=outcome, random_state=0) > 0.05


@pytest.mark.parametrize("gap", GAPS)
def test_reversed_attributions_have_a_negative_gap(softmax, table, gap):
    X, _ = table
    reverse = 1 / np.abs(softmax.attribute(X))
    assert gap(softmax, X, attributions=reverse, random_state=0) < -0.05


@pytest.mark.parametrize("outcome", ["probability", "flip"])
@pytest.mark.parametrize("gap", GAPS)
def test_random_attributions_have_no_gap_on_average(doubles, table, gap, outcome):
    X, y = table
    models = [doubles.NoisyAttributions(seed=seed).fit(X, y) for seed in range(40)]
    gaps = [gap(model, X, outcome=outcome, random_state=model.seed) for model in models]
    standard_error = np.std(gaps, ddof=1) / np.sqrt(len(gaps))
    assert abs(np.mean(gaps)) < 3 * standard_error
    assert standard_error < 0.01


@pytest.mark.parametrize("gap", GAPS)
def test_attributions_without_an_order_have_exactly_no_gap(softmax, table, gap):
    X, _ = table
    assert gap(softmax, X, attributions=np.ones_like(X), random_state=0) == 0.0
    assert gap(softmax, X, attributions=np.zeros_like(X), random_state=0) == 0.0


@pytest.mark.parametrize("metric", RAW + GAPS)
def test_only_the_order_of_absolute_attributions_matters(softmax, table, metric):
    X, _ = table
    attributions = softmax.attribute(X)
    value = metric(softmax, X, attributions=attributions, random_state=0)
    changed = -5 * np.abs(attributions) ** 3
    assert metric(softmax, X, attributions=changed, random_state=0) == value


@pytest.mark.parametrize("metric", RAW + GAPS)
def test_batches_of_predictions_do_not_matter(softmax, table, metric, monkeypatch):
    X, _ = table
    attributions = softmax.attribute(X)
    value = metric(softmax, X, attributions=attributions, random_state=0)
    monkeypatch.setattr(_perturbation, "MAX_BYTES", 7 * X[0].nbytes)
    sizes = []

    def count(samples):
        sizes.append(len(samples))
        return type(softmax).predict_proba(softmax, samples)

    monkeypatch.setattr(softmax, "predict_proba", count, raising=False)
    assert metric(softmax, X, attributions=attributions, random_state=0) == value
    assert max(sizes) == 7


def test_fractions_are_stacked_into_few_calls(softmax, table, monkeypatch):
    calls = []

    def count(samples):
        calls.append(len(samples))
        return type(softmax).predict_proba(softmax, samples)

    monkeypatch.setattr(softmax, "predict_proba", count, raising=False)
    comprehensiveness_gap(softmax, table[0], attributions=table[0], n_draws=2)
    assert calls == [60, 600, 600]


def global_state():
    return np.random.get_state()[1].copy()  # noqa: NPY002


def test_random_state(softmax, table):
    X, _ = table
    state = global_state()
    value = comprehensiveness_gap(softmax, X, random_state=0)
    assert comprehensiveness_gap(softmax, X, random_state=0) == value
    assert comprehensiveness_gap(softmax, X, random_state=1) != value
    rng = np.random.RandomState(0)
    assert comprehensiveness_gap(softmax, X, random_state=rng) == value
    assert comprehensiveness_gap(softmax, X, random_state=rng) != value
    assert (global_state() == state).all()
    np.random.seed(0)  # noqa: NPY002
    assert comprehensiveness_gap(softmax, X) == value


def test_more_draws_vary_less(softmax, table):
    X, _ = table
    few, many = (
        np.std([sufficiency_gap(softmax, X, n_draws=n, random_state=s) for s in range(15)])
        for n in (1, 16)
    )
    assert many < few / 2


def test_target(doubles, data):
    X, y = data
    model = doubles.LinearSoftmax().fit(X, y)
    attributions = model.attribute(X)
    before = model.predict_proba(X)
    zero = {"replacement": lambda X, rng: np.zeros_like(X), "fractions": [1.0]}
    after = model.predict_proba(np.zeros_like(X))

    def value(target):
        return comprehensiveness(model, X, attributions=attributions, target=target, **zero)

    assert value("b") == pytest.approx((before - after)[:, 1].mean())
    codes = np.searchsorted(model.classes_, y)
    assert value(y) == pytest.approx((before - after)[np.arange(len(y)), codes].mean())
    assert value("predicted") == pytest.approx(value(model.predict(X)))
    assert value("predicted") == pytest.approx((before.max(axis=1) - 1 / 3).mean())


def test_target_of_a_regressor_is_an_output(doubles):
    X = np.array([[1.0, 1.0], [0.0, 0.0]])
    model = doubles.LinearRegressor([[1.0, 0.0], [0.0, 4.0]]).fit(X, [[1, 4], [-1, -4]])
    options = {"attributions": X + 1, "fractions": [1.0]}
    assert comprehensiveness(model, X, **options) == pytest.approx((1 + 1) / 2)
    model.target_scale_ = np.array([1.0, 1.0])
    assert comprehensiveness(model, X, target=0, **options) == pytest.approx(1)
    assert comprehensiveness(model, X, target=1, **options) == pytest.approx(4)
    assert comprehensiveness(model, X, target=[0, 1], **options) == pytest.approx(2.5)


def test_attribute_is_asked_for_standardised_values(softmax, table, monkeypatch):
    X, y = table
    asked = []

    def attribute(samples, **options):
        asked.append((samples, options))
        return np.ones(np.shape(samples))

    monkeypatch.setattr(softmax, "attribute", attribute, raising=False)
    comprehensiveness(softmax, X, method="path_gradient", target=y)
    ((samples, options),) = asked
    assert np.array_equal(samples, X)
    assert options.pop("target") is y
    assert options == {"method": "path_gradient", "standardized": True}


def test_random_state_reaches_attributions_that_draw(doubles, table):
    X, y = table

    class Drawing(doubles.LinearSoftmax):
        def attribute(self, X, *, method, target, standardized, random_state):
            return np.random.RandomState(random_state).standard_normal(np.shape(X))

    model = Drawing().fit(X, y)
    for metric in RAW + GAPS:
        given = np.random.RandomState(5).standard_normal(X.shape)
        expected = metric(model, X, attributions=given, random_state=5)
        assert metric(model, X, random_state=5) == expected


def test_units_of_the_columns_do_not_matter(doubles, table):
    X, y = table
    units = np.array([1024.0, 1, 1 / 64, 1, 1, 8])
    coef = doubles.LinearSoftmax().fit(X, y).coef_
    value, rescaled = (
        comprehensiveness_gap(
            doubles.LinearSoftmax(coef / unit).fit(X * unit, y), X * unit, random_state=0
        )
        for unit in (np.ones(6), units)
    )
    assert rescaled == value


def test_scale_of_y(doubles, two_rows):
    model, X = two_rows
    assert comprehensiveness(model, X, fractions=[1.0]) == pytest.approx(6 / 2)
    bare = doubles.LinearRegressor(model.coef, keep_scale=False).fit(X, [0, 0])
    assert comprehensiveness(bare, X, [3, -3], fractions=[1.0]) == pytest.approx(6 / 3)
    # a constant y has no scale: the change stays in the units of y
    assert comprehensiveness(bare, X, [1, 1], fractions=[1.0]) == pytest.approx(6)
    with pytest.raises(ValueError, match="y must be given for a regressor without"):
        comprehensiveness(bare, X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        comprehensiveness(bare, X, [1, 2, 3])
    with pytest.raises(ValueError, match="y must have as many outputs"):
        comprehensiveness(bare, X, np.ones((2, 2)))
