"""No scorer prefers a network that has learned to ignore its input."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.metrics import (
    get_interpretability_scorer,
    infidelity,
    masking_consistency,
    sufficiency,
)

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
