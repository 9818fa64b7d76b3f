"""No scorer prefers a network that ignores its input; what was fitted to noise can win some."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.metrics import (
    get_interpretability_scorer,
    infidelity,
    masking_consistency,
    sufficiency,
)
from sgt_sklearn.model_selection import one_standard_error_refit

SCORERS = [
    "comprehensiveness_gap",
    "neg_infidelity",
    "neg_max_sensitivity",
    "removal_gap",
    "sufficiency_gap",
]


@pytest.fixture(scope="module")
def nets():
    X, y = make_classification(
        500, 20, n_informative=4, n_redundant=0, class_sep=1.5, random_state=0
    )
    X = X.astype(np.float32)
    train, test = (X[:350], y[:350]), (X[350:], y[350:])
    fitted = {
        name: SaliencyGuidedClassifier(
            consistency_weight=weight, max_epochs=15, random_state=0
        ).fit(*train)
        for name, weight in (("plain", 0.0), ("guided", 1.0), ("useless", 1000.0))
    }
    fitted["constant"] = SaliencyGuidedClassifier(max_epochs=1, random_state=0).fit(*train)
    with torch.no_grad():
        for parameter in fitted["constant"].module_.parameters():
            parameter.zero_()
    return fitted, test


def test_raw_measures_prefer_it(nets):
    fitted, (X, y) = nets
    assert fitted["guided"].score(X, y) > 0.85
    assert fitted["useless"].score(X, y) < 0.75
    for raw in (sufficiency, infidelity, masking_consistency):
        assert raw(fitted["useless"], X, random_state=0) < 0.01 * raw(
            fitted["guided"], X, random_state=0
        )
        assert raw(fitted["constant"], X, random_state=0) == 0.0


@pytest.mark.parametrize("name", SCORERS)
def test_scorers_do_not(nets, name):
    fitted, test = nets
    scores = {key: get_interpretability_scorer(name)(net, *test) for key, net in fitted.items()}
    assert min(scores["plain"], scores["guided"]) > 10 * abs(scores["useless"])
    assert min(scores["plain"], scores["guided"]) > 0.005
    assert scores["constant"] == 0.0


class OfPermutedLabels(SaliencyGuidedClassifier):
    """A network that can be fitted to noise."""

    def __init__(self, *args, permuted=False, **params):
        super().__init__(*args, **params)
        self.permuted = permuted

    def fit(self, X, y, **fit_params):
        labels = np.random.default_rng(0).permutation(y) if self.permuted else y
        return super().fit(X, labels, **fit_params)


def test_what_was_fitted_to_noise_wins_alone_but_not_beside_a_score():
    X, y = make_classification(240, 20, n_informative=5, n_redundant=0, random_state=0)
    # more epochs, so that the noise is learned
    grid = [{"permuted": [False]}, {"permuted": [True], "max_epochs": [80]}]
    search = GridSearchCV(
        OfPermutedLabels(max_epochs=10, consistency_weight=0.0, random_state=0),
        grid,
        cv=2,
        scoring={
            "accuracy": "accuracy",
            "neg_infidelity": get_interpretability_scorer("neg_infidelity"),
            "removal_gap": get_interpretability_scorer("removal_gap"),
        },
        refit=one_standard_error_refit(score="accuracy", interpretability="neg_infidelity"),
    ).fit(X.astype(np.float32), y)
    right, noise = range(2)
    accuracy, infidelity_gap, removal = (
        search.cv_results_[f"mean_test_{name}"]
        for name in ("accuracy", "neg_infidelity", "removal_gap")
    )
    assert accuracy[right] > accuracy[noise] + 0.2
    assert infidelity_gap[noise] > 1.2 * infidelity_gap[right]
    assert search.best_index_ == right
    assert removal[right] > 0.05 > removal[noise]
