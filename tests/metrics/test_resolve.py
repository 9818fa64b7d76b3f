"""Pipelines, searches and containers lead to the net and the space it sees."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, OneHotEncoder, StandardScaler

from sgt_sklearn.metrics import (
    comprehensiveness,
    comprehensiveness_gap,
    get_interpretability_scorer,
    removal_curve,
    sufficiency_gap,
)


@pytest.fixture
def unscaled(table):
    X, y = table
    return X * [1, 50, 0.1, 3, 1, 7] + 4, y


@pytest.fixture
def expected(doubles, unscaled):
    X, y = unscaled
    scaled = StandardScaler().fit_transform(X)
    net = doubles.LinearSoftmax(penalty=0.1).fit(scaled, y)
    return {
        comprehensiveness_gap: comprehensiveness_gap(net, scaled, random_state=0),
        sufficiency_gap: sufficiency_gap(net, scaled, random_state=0),
        "removal": removal_curve(net, scaled, y, random_state=0).gap,
    }


def nestings(net):
    yield make_pipeline(StandardScaler(), net)
    yield make_pipeline("passthrough", StandardScaler(), None, net)
    yield make_pipeline(FunctionTransformer(), make_pipeline(StandardScaler(), net))
    yield GridSearchCV(make_pipeline(StandardScaler(), net), {"linearsoftmax__penalty": [0.1]})
    search = GridSearchCV(net, {"penalty": [0.1]}, cv=2)
    yield make_pipeline(StandardScaler(), search)


@pytest.mark.parametrize("which", range(5))
def test_nested_estimators_equal_the_net_in_its_space(doubles, unscaled, expected, which):
    X, y = unscaled
    estimator = list(nestings(doubles.LinearSoftmax(penalty=0.1)))[which].fit(X, y)
    for gap in (comprehensiveness_gap, sufficiency_gap):
        assert gap(estimator, X, random_state=0) == pytest.approx(expected[gap], abs=1e-12)
    curve = removal_curve(estimator, X, y, random_state=0)
    assert curve.gap == pytest.approx(expected["removal"], abs=1e-12)


def test_scoring_is_called_with_the_last_step(doubles, unscaled):
    X, y = unscaled
    pipeline = make_pipeline(StandardScaler(), doubles.LinearSoftmax()).fit(X, y)
    seen = []

    def scorer(net, samples, y):
        seen.append((net, samples))
        return net.score(samples, y)

    removal_curve(pipeline, X, y, fractions=[0.0], n_draws=1, scoring=scorer)
    assert seen[0][0] is pipeline[-1]
    np.testing.assert_allclose(seen[0][1], pipeline[:-1].transform(X))


def test_attributions_and_groups_live_in_the_space_of_the_net(doubles):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, (50, 2))
    y = (X[:, 0] == 1).astype(int)
    encoder = OneHotEncoder(sparse_output=False)
    pipeline = make_pipeline(encoder, doubles.LinearSoftmax()).fit(X, y)
    groups = np.repeat([0, 1], 3)
    one_hot = pipeline[:-1].transform(X)
    valid = []

    def scorer(net, samples, y):
        valid.append((samples.reshape(-1, 2, 3).sum(axis=2) == 1).all())
        return 0.0

    removal_curve(pipeline, X, y, groups=groups, scoring=scorer, random_state=0)
    # one-hot columns that share a label stay one-hot
    assert all(valid)
    first = np.broadcast_to(np.repeat([1.0, 0.0], 3), one_hot.shape)
    assert comprehensiveness_gap(pipeline, X, attributions=first, groups=groups) > 0.1
    with pytest.raises(ValueError, match=r"sees it, \(50, 6\), got \(50, 2\). In a pipeline"):
        comprehensiveness_gap(pipeline, X, attributions=X)


class Grouped(LogisticRegression):
    """A model whose user has a say in its groups, as with our estimators."""

    feature_groups = "auto"
    feature_groups_ = np.arange(5)

    def attribute(self, X, **options):
        return np.broadcast_to(self.coef_[0], X.shape)


@pytest.fixture
def mixed():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.standard_normal(60), "colour": rng.choice(list("rgb"), 60)})
    frame.insert(0, "z", rng.standard_normal(60))
    y = (frame["size"] + (frame["colour"] == "r") > 0.3).astype(int)
    steps = make_column_transformer(
        (StandardScaler(), ["z"]), (OneHotEncoder(), ["colour"]), (StandardScaler(), ["size"])
    )
    return frame, y, steps


@pytest.mark.parametrize("frozen", [False, True])
def test_columns_of_one_original_column_are_replaced_together(mixed, frozen):
    frame, y, steps = mixed
    pipeline = make_pipeline(steps, Grouped()).fit(frame, y)
    one_hot = []

    def scorer(net, samples, y):
        one_hot.append((samples[:, 1:4].sum(axis=1) == 1).all())
        return 0.0

    estimator = FrozenEstimator(pipeline) if frozen else pipeline
    removal_curve(estimator, frame, y, scoring=scorer, random_state=0)
    assert all(one_hot)
    value = comprehensiveness_gap(estimator, frame, random_state=0)
    explicit = [0, 1, 1, 1, 2]
    assert value == comprehensiveness_gap(estimator, frame, groups=explicit, random_state=0)
    assert value != comprehensiveness_gap(estimator, frame, groups="cell", random_state=0)


@pytest.mark.parametrize("chosen", ["cell", np.array([0, 0, 0, 1, 1])])
def test_groups_that_the_user_of_the_estimator_set_come_first(mixed, chosen):
    frame, y, steps = mixed
    pipeline = make_pipeline(steps, Grouped()).fit(frame, y)
    pipeline[-1].feature_groups = pipeline[-1].feature_groups_ = chosen
    value = comprehensiveness_gap(pipeline, frame, random_state=0)
    assert value == comprehensiveness_gap(pipeline, frame, groups=chosen, random_state=0)
    assert value != comprehensiveness_gap(pipeline, frame, groups=[0, 1, 1, 1, 2], random_state=0)


def test_draws_do_not_depend_on_names_of_columns(doubles):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 12))
    model = doubles.LinearSoftmax().fit(X, np.arange(40) % 2)
    pipeline = make_pipeline(MaxAbsScaler(), doubles.LinearSoftmax(model.coef_))
    pipeline.fit(X / np.abs(X).max(axis=0), np.arange(40) % 2)
    value = sufficiency_gap(pipeline, X / np.abs(X).max(axis=0), random_state=0)
    # x10 sorts before x2
    expected = sufficiency_gap(pipeline[-1], X / np.abs(X).max(axis=0), random_state=0)
    assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("transformed", [False, True])
def test_data_frames_keep_their_column_names(doubles, table, transformed):
    X, y = table
    frame = pd.DataFrame(X, columns=list("abcdef"), index=np.arange(len(X)) + 100)
    model = LogisticRegression()
    if transformed:
        model = make_pipeline(StandardScaler(), model).set_output(transform="pandas")
    model.fit(frame, y)
    coef = np.broadcast_to(np.arange(6), X.shape)
    # the estimator warns, an error here, when it is asked without the names it was fitted with
    value = comprehensiveness_gap(model, frame, attributions=coef, random_state=0)
    values = X
    if transformed:
        model, values = model[-1], StandardScaler().fit_transform(X)
    plain = LogisticRegression().fit(values, y)
    expected = comprehensiveness_gap(plain, values, attributions=coef, random_state=0)
    assert value == pytest.approx(expected, abs=1e-12)
    names = []

    class Net(doubles.LinearSoftmax):
        def attribute(self, X, **options):
            names.append(list(X.columns))
            return super().attribute(X, **options)

    comprehensiveness_gap(Net().fit(frame, y), frame)
    get_interpretability_scorer("sufficiency_gap")(Net().fit(frame, y), frame)
    assert names == [list("abcdef")] * 2


def test_lists_and_float32(softmax, table):
    X, _ = table
    X = X.round(3)
    value = comprehensiveness(softmax, X, random_state=0)
    assert comprehensiveness(softmax, X.tolist(), random_state=0) == value
    single = comprehensiveness(softmax, X.astype(np.float32), random_state=0)
    assert single == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("metric", [comprehensiveness, sufficiency_gap, removal_curve])
def test_not_fitted(doubles, table, metric):
    X, y = table
    net = doubles.LinearSoftmax()
    for estimator in (net, make_pipeline(StandardScaler(), net), GridSearchCV(net, {})):
        with pytest.raises(NotFittedError):
            metric(estimator, X, y)


def test_search_without_refit(doubles, table):
    search = GridSearchCV(doubles.LinearSoftmax(), {"penalty": [0.1]}, refit=False).fit(*table)
    with pytest.raises(ValueError, match=r"kept its best estimator.*refit=False"):
        comprehensiveness(search, table[0])


def test_pipeline_without_a_predictor(table):
    pipeline = Pipeline([("scale", StandardScaler()), ("nothing", "passthrough")]).fit(*table)
    with pytest.raises(TypeError, match=r"must end in a classifier .*'passthrough'"):
        comprehensiveness(pipeline, table[0])


def test_estimator_without_the_methods_that_are_needed(table):
    X, y = table
    model = LogisticRegression().fit(X, y)
    with pytest.raises(TypeError, match=r"LogisticRegression.*pass `attributions=` of shape \(60"):
        comprehensiveness(model, X)
    no_probabilities = RidgeClassifier().fit(X, y)
    with pytest.raises(TypeError, match=r'`predict_proba`.*Use outcome="flip"'):
        comprehensiveness(no_probabilities, X, attributions=X)
    coef = np.broadcast_to(np.abs(no_probabilities.coef_).sum(axis=0), X.shape)
    options = {"attributions": coef, "outcome": "flip", "random_state": 0}
    assert comprehensiveness_gap(no_probabilities, X, **options) > 0.1


def test_not_an_estimator(table):
    with pytest.raises(TypeError, match="not an estimator instance"):
        comprehensiveness("model", table[0])
    with pytest.raises(TypeError, match="is a class, not an instance"):
        comprehensiveness(LogisticRegression, table[0])
