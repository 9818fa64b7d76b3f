"""Metrics and scorers of nets without `attribute`, ensembles, and estimators without gradients."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.inspection import explain
from sgt_sklearn.metrics import (
    comprehensiveness_gap,
    get_interpretability_scorer_names,
    make_interpretability_scorer,
    masking_consistency,
    removal_curve,
    sufficiency_gap,
)

METRICS = [comprehensiveness_gap, sufficiency_gap, masking_consistency]
MASK = np.arange(5) < 2


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((60, 5)) * [1, 9, 1, 0.1, 1]).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] / 9 > 0).astype(np.int64)


def plain_net():
    torch.manual_seed(0)
    module = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))
    options = {"criterion": nn.CrossEntropyLoss, "train_split": None, "verbose": 0}
    return NeuralNetClassifier(module, max_epochs=10, lr=0.3, batch_size=20, **options)


def own_net():
    return SaliencyGuidedClassifier(max_epochs=3, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    X, y = data
    estimators = {
        "plain": plain_net(),
        "pipeline": make_pipeline(StandardScaler(), plain_net()),
        "calibrated": CalibratedClassifierCV(own_net(), cv=2),
        "bagged": BaggingClassifier(own_net(), n_estimators=2, max_features=0.6, random_state=0),
        "voting": VotingClassifier([("a", own_net()), ("b", plain_net())], voting="soft"),
        "forest": RandomForestClassifier(10, random_state=0),
    }
    return {name: clone(estimator).fit(X, y) for name, estimator in estimators.items()}


def gradient(net, X, labels):
    x = torch.from_numpy(X).requires_grad_(True)
    net.module_.eval()
    net.module_(x)[np.arange(len(X)), labels].sum().backward()
    return x.grad.numpy()


@pytest.mark.parametrize("metric", METRICS)
def test_plain_net_equals_its_gradient_by_hand(fitted, data, metric):
    X, _ = data
    net = fitted["plain"]
    by_hand = gradient(net, X, net.predict(X)) * X.std(axis=0)
    value = metric(net, X, random_state=0)
    expected = metric(net, X, attributions=by_hand, random_state=0)
    assert value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["calibrated", "bagged", "voting"])
@pytest.mark.parametrize("metric", METRICS)
def test_ensembles_equal_the_mean_over_their_nets_by_hand(fitted, data, metric, name):
    X, _ = data
    ensemble = fitted[name]
    labels = ensemble.predict(X)
    spread = X.std(axis=0)
    parts = []
    if name == "calibrated":
        nets = [(part.estimator, np.arange(5)) for part in ensemble.calibrated_classifiers_]
    elif name == "bagged":
        nets = zip(ensemble.estimators_, ensemble.estimators_features_, strict=True)
    else:
        nets = [(net, np.arange(5)) for net in ensemble.estimators_]
    for net, columns in nets:
        values = np.zeros_like(X)
        values[:, columns] = gradient(net, X[:, columns], labels)
        # of ours the deviation in training, which is that of the rows the net has seen
        statistics = getattr(net, "_statistics_", None)
        values[:, columns] *= spread[columns] if statistics is None else statistics.scale
        parts.append(values)
    value = metric(ensemble, X, random_state=0)
    expected = metric(ensemble, X, attributions=np.mean(parts, axis=0), random_state=0)
    assert value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_forest_equals_ablation_by_hand(fitted, data, metric):
    X, _ = data
    forest = fitted["forest"]
    before = forest.predict_proba(X)
    rows, top = np.arange(len(X)), before.argmax(axis=1)
    by_hand = np.empty(X.shape)
    for j in range(X.shape[1]):
        hidden = X.copy()
        hidden[:, j] = X[:, j].mean()
        by_hand[:, j] = (before - forest.predict_proba(hidden))[rows, top]
    value = metric(forest, X, method="feature_ablation", random_state=0)
    expected = metric(forest, X, attributions=by_hand, random_state=0)
    assert value == pytest.approx(expected, abs=1e-9)
    with pytest.raises(
        TypeError, match=r"gradients, got RandomForest.*'feature_ablation'.*Or pass"
    ):
        metric(forest, X)


@pytest.mark.parametrize("method", ["deep_lift", "feature_ablation", "gradient_shap"])
def test_methods_of_explain_work_for_our_nets(data, method):
    X, y = data
    net = own_net().fit(X, y)
    values = explain(net, X, method=method, random_state=0).values
    curve = removal_curve(net, X, y, method=method, random_state=0)
    expected = removal_curve(net, X, y, attributions=values, random_state=0)
    assert curve.gap == pytest.approx(expected.gap, abs=1e-9)


@pytest.mark.parametrize("name", get_interpretability_scorer_names())
@pytest.mark.parametrize("kind", ["plain", "pipeline", "calibrated", "bagged", "voting", "forest"])
def test_scorers(fitted, data, kind, name):
    X, y = data
    options = {}
    if name in get_interpretability_scorer_names(relevance=True):
        options["relevance"] = MASK
    if kind == "forest":
        options["method"] = "feature_ablation"
    scorer = make_interpretability_scorer(name, **options)
    if kind == "forest" and name == "neg_infidelity":
        with pytest.raises(ValueError, match="derivatives"):
            scorer(fitted[kind], X, y)
        return
    score = scorer(fitted[kind], X, y)
    assert type(score) is float
    # two of five columns tell the class, and the mask names them
    assert score > (0.4 if "relevance" in options else 0)
