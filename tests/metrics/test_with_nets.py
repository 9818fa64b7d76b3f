"""The metrics on this package's own estimators and real data."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.metrics import (
    comprehensiveness_gap,
    get_interpretability_scorer,
    get_interpretability_scorer_names,
    make_interpretability_scorer,
    removal_curve,
    sufficiency_gap,
)


@pytest.mark.parametrize("method", ["saliency", "input_x_gradient", "integrated_gradients"])
def test_classifier_on_breast_cancer(device, method):
    X, y = load_breast_cancer(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    net = SaliencyGuidedClassifier(max_epochs=10, device=device, random_state=0)
    net.fit(X_train, y_train)
    options = {"method": method, "random_state": 0}
    assert comprehensiveness_gap(net, X_test, **options) > 0.01
    assert sufficiency_gap(net, X_test, **options) > 0.01
    assert comprehensiveness_gap(net, X_test, outcome="flip", **options) > 0
    curve = removal_curve(net, X_test, y_test, **options)
    assert curve.scores[0] == pytest.approx(net.score(X_test, y_test))
    assert curve.gap > 0


def test_regressor_on_diabetes(device):
    X, y = load_diabetes(return_X_y=True)
    net = SaliencyGuidedRegressor(max_epochs=10, device=device, random_state=0).fit(X, y)
    assert comprehensiveness_gap(net, X, random_state=0) > 0.05
    assert sufficiency_gap(net, X, random_state=0) > 0.05
    curve = removal_curve(net, X, y, random_state=0)
    assert curve.scores[0] == pytest.approx(net.score(X, y))
    assert curve.gap > 0


def test_grid_search_on_breast_cancer(device):
    X, y = load_breast_cancer(return_X_y=True)
    net = SaliencyGuidedClassifier(max_epochs=2, device=device, random_state=0)
    names = get_interpretability_scorer_names(relevance=False)
    scoring = {name: get_interpretability_scorer(name) for name in names}
    search = GridSearchCV(
        make_pipeline(StandardScaler(), net),
        {"saliencyguidedclassifier__consistency_weight": [0.0, 1.0]},
        scoring=scoring | {"accuracy": "accuracy"},
        refit="accuracy",
        cv=2,
    ).fit(X, y)
    for name in scoring:
        assert (search.cv_results_[f"mean_test_{name}"] > 0).all()


def test_pixels_of_images_are_replaced_with_all_channels(device):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 2, 8, 8)).astype(np.float32)
    y = np.arange(40) % 2
    X[y == 1, :, 2:5, 2:5] += 1.5
    net = SaliencyGuidedClassifier(max_epochs=3, device=device, random_state=0).fit(X, y)
    together = []

    def scorer(net, samples, y):
        changed = samples != X
        together.append((changed[:, 0] == changed[:, 1]).all())
        return 0.0

    removal_curve(net, X, y, scoring=scorer, random_state=0)
    assert all(together)


def test_noise_of_attributions_follows_random_state(device):
    X, y = load_breast_cancer(return_X_y=True)
    net = SaliencyGuidedClassifier(max_epochs=2, device=device, random_state=0).fit(X, y)
    scorer = make_interpretability_scorer("comprehensiveness_gap", method="smooth_grad")
    assert scorer(net, X[:50]) == scorer(net, X[:50])
