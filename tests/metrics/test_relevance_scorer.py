"""Scorers of known relevance, and their masks by metadata routing."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib import parallel_config
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, KFold, cross_validate, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, metrics
from sgt_sklearn.metrics import (
    get_interpretability_scorer,
    make_interpretability_scorer,
    relevance_average_precision,
)
from sgt_sklearn.preprocessing import TokenEncoder

NAMES = [
    "pointing_game",
    "relevance_average_precision",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
    "relevance_roc_auc",
]


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(120, 8, n_informative=3, shuffle=False, random_state=0)
    rng = np.random.default_rng(0)
    relevance = np.zeros(X.shape, dtype=bool)
    # other columns for each sample, so that a mask in the wrong order is noticed
    for row, n in zip(relevance, rng.integers(1, 5, 120), strict=True):
        row[rng.permutation(8)[:n]] = True
    return X * [1, 9, 1, 1, 0.1, 1, 1, 1], y, relevance


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def requested(name="relevance_average_precision", **options):
    return make_interpretability_scorer(name, **options).set_score_request(relevance=True)


@pytest.mark.parametrize("name", NAMES)
def test_scorer_equals_its_metric(data, device, name):
    X, y, relevance = data
    net = SaliencyGuidedClassifier(max_epochs=2, device=device, random_state=0).fit(X, y)
    metric = getattr(metrics, name)
    expected = metric(net.attribute(X, standardized=True), relevance)
    scorer = get_interpretability_scorer(name)
    assert scorer(net, X, y, relevance=relevance) == pytest.approx(expected, abs=1e-6)
    expected = metric(net.attribute(X, standardized=True, method="input_x_gradient"), relevance)
    scorer = make_interpretability_scorer(metric, method="input_x_gradient", relevance=relevance)
    assert scorer(net, X) == pytest.approx(expected, abs=1e-6)
    one = relevance[0]
    scorer = make_interpretability_scorer(metric, relevance=one, target=1)
    expected = metric(net.attribute(X, standardized=True, target=1), one)
    assert scorer(net, X) == pytest.approx(expected, abs=1e-6)


def test_constant_predictor_has_chance(doubles, data):
    X, y, relevance = data
    constant = doubles.LinearSoftmax(np.zeros((2, 8))).fit(X, y)
    chance = dict.fromkeys(NAMES, relevance.mean())
    # no attribution lies anywhere
    chance |= {"relevance_roc_auc": 0.5, "relevance_mass_accuracy": 0.0}
    for name, expected in chance.items():
        value = get_interpretability_scorer(name)(constant, X, relevance=relevance)
        assert value == pytest.approx(expected, abs=1e-12)
    notes = " ".join(make_interpretability_scorer.__doc__.split())
    assert '"relevance_mass_accuracy", where it scores 0' in notes


def requested_value(estimator, X, relevance, **options):
    scorer = make_interpretability_scorer("relevance_average_precision", **options)
    return scorer(estimator, X, relevance=relevance)


def fold_values(estimator, X, y, relevance, cv, **options):
    for train, test in cv.split(X):
        fitted = clone(estimator).fit(X[train], y[train])
        yield requested_value(fitted, X[test], relevance[test], **options)


@pytest.mark.parametrize("in_dict", [False, True])
def test_cross_validate_passes_the_masks_of_the_test_rows(doubles, data, routing, in_dict):
    X, y, relevance = data
    pipeline = make_pipeline(StandardScaler(), doubles.LinearSoftmax())
    cv = KFold(3, shuffle=True, random_state=0)
    expected = list(fold_values(pipeline, X, y, relevance, cv))
    scoring = {"r": requested(), "accuracy": "accuracy"} if in_dict else requested()
    params = {"relevance": relevance}
    found = cross_validate(pipeline, X, y, cv=cv, scoring=scoring, params=params)
    assert found["test_r" if in_dict else "test_score"] == pytest.approx(expected, abs=1e-12)
    assert len(set(expected)) == 3


def test_search_with_a_refit_callable_and_two_jobs(data, routing):
    X, y, relevance = data
    net = NeuralNetClassifier(
        nn.Linear,
        module__in_features=8,
        module__out_features=2,
        criterion=nn.CrossEntropyLoss,
        max_epochs=2,
        train_split=None,
        verbose=0,
    )
    seen = []

    def best_relevance(results):
        seen.append(results)
        return int(np.argmax(results["mean_test_r"]))

    search = GridSearchCV(
        make_pipeline(StandardScaler(), net),
        {"neuralnetclassifier__lr": [0.01, 0.5]},
        scoring={
            "accuracy": "accuracy",
            "r": requested(),
            "gap": make_interpretability_scorer("sufficiency_gap", n_draws=1),
            "infidelity": get_interpretability_scorer("neg_infidelity"),
            "sensitivity": make_interpretability_scorer("neg_max_sensitivity", n_draws=2),
        },
        refit=best_relevance,
        cv=2,
        n_jobs=2,
        error_score="raise",
    )
    X, labels = X.astype(np.float32), y.astype(np.int64)
    # processes take seconds to start; that scorers can be pickled is tested above
    with parallel_config(backend="threading"):
        search.fit(X, labels, relevance=relevance)
    (results,) = seen
    for name in ("r", "gap", "infidelity", "sensitivity"):
        assert np.isfinite(results[f"mean_test_{name}"]).all()
    assert search.best_index_ == np.argmax(results["mean_test_r"])
    assert 0 < requested_value(search, X, relevance) < 1


def test_learning_curve(doubles, data, routing):
    X, y, relevance = data
    options = {"cv": 2, "train_sizes": [0.5, 1.0], "shuffle": True, "random_state": 0}
    _, _, scores = learning_curve(
        doubles.LinearSoftmax(),
        X,
        y,
        scoring=requested(),
        params={"relevance": relevance},
        error_score="raise",
        **options,
    )
    assert scores.shape == (2, 2)
    assert (scores > 0.2).all()


def test_alias_and_copies(doubles, data, routing):
    X, y, relevance = data
    scorer = get_interpretability_scorer("relevance_average_precision")
    scorer.set_score_request(relevance="truth")
    for copy in (scorer, pickle.loads(pickle.dumps(scorer))):
        found = cross_validate(
            doubles.LinearSoftmax(), X, y, cv=2, scoring=copy, params={"truth": relevance}
        )
        assert (found["test_score"] > 0.2).all()


def test_function_of_the_user_with_metadata(doubles, data, routing):
    X, y, relevance = data

    def mean_relevance(estimator, X, y, relevance=None):
        return relevance.mean()

    scorer = make_interpretability_scorer(mean_relevance).set_score_request(relevance=True)
    found = cross_validate(
        doubles.LinearSoftmax(), X, y, cv=KFold(2), scoring=scorer, params={"relevance": relevance}
    )
    assert found["test_score"] == pytest.approx([relevance[:60].mean(), relevance[60:].mean()])


def test_columns_of_a_pipeline_are_folded_onto_the_original_ones(doubles):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "colour": rng.choice(list("rgb"), 60)})
    frame["b"] = rng.normal(size=60)
    y = (frame["colour"] == "r").astype(int)
    steps = make_column_transformer(
        (StandardScaler(), ["b", "a"]), (OneHotEncoder(sparse_output=False), ["colour"])
    )
    pipeline = make_pipeline(steps, doubles.LinearSoftmax()).fit(frame, y)
    # a, colour, b, as the caller has them
    mask = np.array([False, True, False])
    values = pipeline[-1].attribute(steps.transform(frame), standardized=True)
    folded = np.stack([values[:, 1], values[:, 2:].sum(axis=1), values[:, 0]], axis=1)
    expected = relevance_average_precision(folded, mask)
    with pytest.warns(UserWarning, match="make of 'colour'"):
        found = requested_value(pipeline, frame, mask)
    assert found == pytest.approx(expected, abs=1e-12)


def test_series_and_texts_take_lists_of_masks():
    rng = np.random.default_rng(0)
    y = np.arange(20) % 2
    series = [rng.normal(size=(3 + i % 3, 2)) + y[i] for i in range(20)]
    net = SaliencyGuidedClassifier(max_epochs=1, random_state=0).fit(series, y)
    masks = [rng.random(x.shape) < 0.5 for x in series]
    for mask in masks:
        mask[0] = [True, False]
    expected = relevance_average_precision(net.attribute(series, standardized=True), masks)
    assert requested_value(net, series, masks) == pytest.approx(expected, abs=1e-6)
    texts = ["some fine film", "some dull film", "fine music", "dull"] * 5
    net = SaliencyGuidedClassifier("text_bag", max_epochs=1, random_state=0)
    pipeline = make_pipeline(TokenEncoder(), net).fit(texts, y)
    masks = [np.isin(text.split(), ["fine", "dull"]) for text in texts]
    tokens = pipeline[:-1].transform(texts)
    values = net.attribute(tokens, method="input_x_gradient")
    values = [row[: len(mask)] for row, mask in zip(values, masks, strict=True)]
    with pytest.warns(sklearn.exceptions.UndefinedMetricWarning, match="no irrelevant"):
        roc = make_interpretability_scorer("relevance_roc_auc")(pipeline, texts, relevance=masks)
    with pytest.warns(sklearn.exceptions.UndefinedMetricWarning, match="no irrelevant"):
        assert roc == pytest.approx(metrics.relevance_roc_auc(values, masks), abs=1e-6)


def test_masks_may_be_padded_to_a_series_of_another_split(routing):
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    lengths = np.r_[3 + np.arange(16) % 3, np.full(8, 7)]
    series = [rng.normal(size=(n, 2)) + label for n, label in zip(lengths, y, strict=True)]
    padded = np.zeros((24, 7, 2), dtype=bool)
    padded[:, 0] = [True, False]
    net = SaliencyGuidedClassifier(max_epochs=1, random_state=0)
    fitted = net.fit(series, y)
    # without the long ones, of unequal and of equal lengths
    for rows in (np.arange(16), np.flatnonzero(lengths == 4)):
        some = [series[i] for i in rows]
        expected = relevance_average_precision(
            fitted.attribute(some, standardized=True), [padded[i, : lengths[i]] for i in rows]
        )
        for masks in (padded[rows], list(padded[rows]), padded[0]):
            assert requested_value(fitted, some, masks) == pytest.approx(expected, abs=1e-6)
    found = cross_validate(
        net,
        series,
        y,
        cv=KFold(3),
        scoring=requested(),
        params={"relevance": padded},
        error_score="raise",
    )
    assert np.isfinite(found["test_score"]).all()
    padded[0, 6] = True
    with pytest.raises(ValueError, match="relevance must"):
        requested_value(fitted, series[:16], padded[:16])


def test_mask_is_missing(doubles, data):
    X, y, relevance = data
    scorer = get_interpretability_scorer("relevance_average_precision")
    model = doubles.LinearSoftmax().fit(X, y)
    with pytest.raises(ValueError, match=r"got None. Request it .*set_score_request\(relevance=T"):
        scorer(model, X, y)
    with pytest.raises(RuntimeError, match="needs metadata routing, which is off"):
        scorer.set_score_request(relevance=True)
    with sklearn.config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError, match="relevance"):
            cross_validate(model, X, y, scoring=scorer, params={"relevance": relevance})
        with pytest.raises(
            TypeError, match="takes no metadata but relevance, got a request for w"
        ):
            scorer.set_score_request(weight=True)
        gap = get_interpretability_scorer("sufficiency_gap")
        with pytest.raises(TypeError, match="takes no metadata but none"):
            gap.set_score_request(relevance=True)
    with pytest.raises(TypeError, match="takes no metadata but none, got relevance"):
        gap(model, X, relevance=relevance)


@pytest.mark.parametrize(
    ("relevance", "match"),
    [
        (np.ones((120, 3), bool), "relevance must have the shape"),
        (np.full((120, 8), 0.5), "relevance must be boolean"),
        (np.zeros((120, 8), bool), "at least one relevant"),
    ],
)
def test_bad_masks(doubles, data, relevance, match):
    X, y, _ = data
    with pytest.raises(ValueError, match=match):
        requested_value(doubles.LinearSoftmax().fit(X, y), X, relevance)
