"""remove_and_retrain against models that are trained by hand."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.metrics import remove_and_retrain
from sgt_sklearn.preprocessing import TokenEncoder


@pytest.fixture(scope="module")
def data():
    X = np.random.default_rng(0).standard_normal((200, 10))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    return X[:120], y[:120], X[120:], y[120:]


def slow_curves(model, data, order_of, fractions, fill, score):
    """Scores with the top k cells of each sample, one by one, replaced, and trained anew."""
    X_train, y_train, X_test, y_test = data
    scores = []
    for fraction in fractions:
        parts = []
        for name, X in (("train", X_train), ("test", X_test)):
            masked = X.copy()
            for i, row in enumerate(masked):
                for j in order_of(name, i)[: int(fraction * X.shape[1] + 1e-9)]:
                    row[j] = fill[j]
            parts.append(masked)
        scores.append(score(clone(model).fit(parts[0], y_train), parts[1], y_test))
    return np.array(scores)


@pytest.mark.parametrize("scoring", [None, "f1"])
def test_equals_models_trained_by_hand(doubles, data, scoring):
    X_train, y_train, X_test, _ = data
    fractions = (0.0, 0.2, 0.5)
    model = doubles.LinearSoftmax().fit(X_train, y_train)
    values = {"train": model.attribute(X_train, standardized=True)}
    values["test"] = model.attribute(X_test, standardized=True)
    rng = np.random.RandomState(7)
    keys = {"train": rng.random_sample((120, 10)), "test": rng.random_sample((80, 10))}

    def by_attribution(name, i):
        return np.argsort(-np.abs(values[name][i]))

    def at_random(name, i):
        return np.argsort(keys[name][i])

    def score(model, X, y):
        predicted = model.predict(X)
        return np.mean(predicted == y) if scoring is None else f1_score(y, predicted)

    fill = X_train.mean(axis=0)
    curve = remove_and_retrain(model, *data, fractions=fractions, scoring=scoring, random_state=7)
    expected, at_random = (
        slow_curves(model, data, order, fractions, fill, score)
        for order in (by_attribution, at_random)
    )
    assert curve.scores == pytest.approx(expected, abs=1e-12)
    assert curve.random_scores == pytest.approx(at_random, abs=1e-12)
    assert curve.gap == pytest.approx(np.mean(at_random - expected))
    assert curve.gap > 0.02
    assert curve.fractions.tolist() == list(fractions)


def test_one_model_for_each_order_and_fraction(doubles, data):
    fits = []

    class Counted(doubles.LinearSoftmax):
        def fit(self, X, y):
            fits.append(X)
            return super().fit(X, y)

    model = Counted().fit(data[0], data[1])
    fits.clear()
    remove_and_retrain(model, *data, fractions=(0.0, 0.3, 0.6), n_draws=2, random_state=0)
    # one where nothing is replaced, two for each other fraction, in each draw
    assert len(fits) == 2 * (1 + 2 * 2)


def test_estimators_in_pipelines_and_searches_and_not_fitted_ones(doubles, data):
    X_train, y_train, X_test, y_test = data
    options = {"fractions": (0.0, 0.5), "random_state": 0}
    scaler = StandardScaler().fit(X_train)
    seen = scaler.transform(X_train), y_train, scaler.transform(X_test), y_test
    expected = remove_and_retrain(doubles.LinearSoftmax(), *seen, **options)
    pipeline = make_pipeline(StandardScaler(), doubles.LinearSoftmax())
    fitted = clone(pipeline).fit(X_train, y_train)
    search = GridSearchCV(pipeline, {"linearsoftmax__penalty": [1e-2]}, cv=2)
    before = fitted[-1].coef_.copy()
    for estimator in (pipeline, fitted, search):
        curve = remove_and_retrain(estimator, *data, **options)
        assert curve.scores == pytest.approx(expected.scores, abs=1e-12)
        assert curve.random_scores == pytest.approx(expected.random_scores, abs=1e-12)
    assert (fitted[-1].coef_ == before).all()
    assert not hasattr(pipeline[-1], "coef_")


def test_given_attributions_of_a_regressor():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 4))
    y = X @ [3.0, 1.0, 0.0, 0.0]
    given = [np.broadcast_to([4.0, 3.0, 2.0, 1.0], part.shape) for part in (X[:60], X[60:])]
    curve = remove_and_retrain(
        LinearRegression(),
        X[:60],
        y[:60],
        X[60:],
        y[60:],
        attributions=tuple(given),
        fractions=(0.0, 0.25, 0.5),
        random_state=0,
    )
    assert curve.scores[0] == curve.random_scores[0] == pytest.approx(1)
    for score, first in zip(curve.scores[1:], (1, 2), strict=True):
        model = LinearRegression().fit(X[:60, first:], y[:60])
        assert score == pytest.approx(model.score(X[60:, first:], y[60:]), abs=1e-6)
    assert curve.gap > 0.1


def test_order_without_information_scores_zero(doubles, data):
    X_train, _, X_test, _ = data
    equal = tuple(np.ones_like(X) for X in (X_train, X_test))
    curve = remove_and_retrain(
        doubles.LinearSoftmax(), *data, attributions=equal, fractions=(0.3,), random_state=0
    )
    assert curve.gap == 0.0
    constant = doubles.LinearSoftmax(np.zeros((2, 10)))
    curve = remove_and_retrain(constant, *data, fractions=(0.3, 0.6), random_state=0)
    assert curve.gap == 0.0


def test_draws_and_random_state(doubles, data):
    options = {"fractions": (0.4,), "replacement": "marginal"}
    model = doubles.LinearSoftmax()
    one = remove_and_retrain(model, *data, random_state=1, **options)
    assert one == remove_and_retrain(model, *data, random_state=1, **options)
    state = np.random.RandomState(1)
    first = remove_and_retrain(model, *data, random_state=state, **options)
    second = remove_and_retrain(model, *data, random_state=state, **options)
    assert first.scores == one.scores != second.scores
    both = remove_and_retrain(model, *data, random_state=1, n_draws=2, **options)
    # a second draw goes on with the generator, as a second call does
    assert both.scores == pytest.approx((one.scores + second.scores) / 2)


def test_networks(data, device):
    net = SaliencyGuidedClassifier(max_epochs=5, device=device, random_state=0)
    curve = remove_and_retrain(net, *data, fractions=(0.0, 0.5), random_state=0)
    assert curve.scores[0] == curve.random_scores[0] > 0.6
    assert curve.gap > 0.05
    plain = net.fit(data[0], data[1]).score(data[2], data[3])
    assert curve.scores[0] == pytest.approx(plain)


def test_series_of_unequal_length_and_texts(device):
    rng = np.random.default_rng(0)
    y = np.arange(30) % 2
    series = [rng.normal(size=(3 + i % 3, 2)) + 2 * y[i] for i in range(30)]
    net = SaliencyGuidedClassifier(max_epochs=2, device=device, random_state=0)
    split = series[:20], y[:20], series[20:], y[20:]
    curve = remove_and_retrain(net, *split, fractions=(0.5,), random_state=0)
    assert np.isfinite(curve.gap)
    texts = ["some fine film", "some dull film", "fine music", "dull"] * 8
    y = np.arange(32) % 2
    pipeline = make_pipeline(TokenEncoder(), net.set_params(module="text_bag"))
    split = texts[:20], y[:20], texts[20:], y[20:]
    curve = remove_and_retrain(pipeline, *split, fractions=(0.5,), random_state=0)
    assert np.isfinite(curve.gap)


def test_bad_input(doubles, data):
    X_train, y_train, X_test, _ = data
    model = doubles.LinearSoftmax().fit(X_train, y_train)
    with pytest.raises(TypeError, match=r"attributions must be a tuple of those of X_train and"):
        remove_and_retrain(model, *data, attributions=X_train)
    with pytest.raises(ValueError, match=r"attributions must have the shape of X .* \(80, 10\)"):
        remove_and_retrain(model, *data, attributions=(X_train, X_train))
    with pytest.raises(ValueError, match=r"fractions must be .* in \[0, 1\]"):
        remove_and_retrain(model, *data, fractions=(1.5,))
    with pytest.raises(TypeError, match="scoring must be a name"):
        remove_and_retrain(model, *data, scoring=3)
    with pytest.raises(ValueError, match="y_test must hold the targets"):
        remove_and_retrain(model, X_train, y_train, X_test, None)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        remove_and_retrain(model, X_train, y_train, X_test, y_train)
    with pytest.raises(TypeError, match=r"pass `attributions=`|feature_ablation"):
        remove_and_retrain(LogisticRegression(), *data)
