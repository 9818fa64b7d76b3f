"""Sample weights inside scikit-learn's tools, with and without metadata routing."""

import functools

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, make_scorer, r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metadata_routing import get_routing_for_object

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor

RNG = np.random.default_rng(2)
N = 45
X = RNG.standard_normal((N, 4))
LABELS = np.array(["no", "perhaps", "yes"])[np.digitize(X[:, 0] + X[:, 1], [-0.6, 0.6])]
NUMBERS = X[:, 0] - 2 * X[:, 3]
WEIGHTS = RNG.uniform(0.1, 4, N)
WEIGHTS[::9] = 0
ESTIMATORS = {
    "classifier": (SaliencyGuidedClassifier, LABELS),
    "regressor": (SaliencyGuidedRegressor, NUMBERS),
}

pytestmark = pytest.mark.usefixtures("deterministic_cuda")


def make(cls, device, **params):
    return cls(**{"max_epochs": 3, "lr": 0.02, "random_state": 0, "device": device} | params)


@pytest.fixture(params=ESTIMATORS)
def unfitted(request, device):
    return make(ESTIMATORS[request.param][0], device)


@pytest.fixture
def y(unfitted):
    return LABELS if isinstance(unfitted, SaliencyGuidedClassifier) else NUMBERS


def outputs(net, X):
    return net.predict_proba(X) if hasattr(net, "predict_proba") else net.predict(X)


def assert_equal_fits(found, expected, X=X):
    np.testing.assert_array_equal(outputs(found, X), outputs(expected, X))


def score_by_hand(y, predicted, weight):
    score = accuracy_score if y.dtype.kind == "U" else r2_score
    return score(y, predicted, sample_weight=weight)


# scores


def test_score_is_weighted(unfitted, y):
    net = unfitted.fit(X, y)
    weighted = net.score(X, y, sample_weight=WEIGHTS)
    assert weighted == pytest.approx(score_by_hand(y, net.predict(X), WEIGHTS), abs=1e-12)
    assert weighted != net.score(X, y)


# without routing


def test_pipeline_passes_weights_by_the_name_of_the_step(unfitted, y):
    pipe = Pipeline([("scale", StandardScaler()), ("net", clone(unfitted))])
    pipe.fit(X, y, net__sample_weight=WEIGHTS)
    scaled = StandardScaler().fit_transform(X)
    expected = clone(unfitted).fit(scaled, y, sample_weight=WEIGHTS)
    assert_equal_fits(pipe[-1], expected, scaled)
    assert pipe.score(X, y, sample_weight=WEIGHTS) == expected.score(scaled, y, WEIGHTS)


GRID = {"consistency_weight": [0.0, 2.0]}


def search(net, **params):
    return GridSearchCV(net, GRID, cv=KFold(3), **params)


def test_search_fits_with_the_weights_of_each_fold(unfitted, y):
    found = search(unfitted).fit(X, y, sample_weight=WEIGHTS)
    for k, (train, test) in enumerate(KFold(3).split(X)):
        net = clone(unfitted).set_params(consistency_weight=2.0)
        net.fit(X[train], y[train], sample_weight=WEIGHTS[train])
        # whether scores are weighted too depends on the version of scikit-learn
        scores = [net.score(X[test], y[test], sample_weight=w) for w in (None, WEIGHTS[test])]
        assert found.cv_results_[f"split{k}_test_score"][1] in scores
    best = clone(unfitted).set_params(**found.best_params_).fit(X, y, sample_weight=WEIGHTS)
    assert_equal_fits(found.best_estimator_, best)


# with routing


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_routing_through_a_pipeline(unfitted, y):
    net = clone(unfitted).set_fit_request(sample_weight=True)
    net.set_score_request(sample_weight=True)
    pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), net)
    pipe.fit(X, y, sample_weight=WEIGHTS)
    scaled = StandardScaler().fit_transform(X)
    expected = clone(unfitted).fit(scaled, y, sample_weight=WEIGHTS)
    assert_equal_fits(pipe[-1], expected, scaled)
    assert pipe.score(X, y, sample_weight=WEIGHTS) == expected.score(scaled, y, WEIGHTS)


@pytest.mark.usefixtures("routing")
def test_routing_through_a_search_fits_and_scores_with_weights(unfitted, y):
    net = clone(unfitted).set_fit_request(sample_weight=True)
    found = search(net.set_score_request(sample_weight=True)).fit(X, y, sample_weight=WEIGHTS)
    for k, (train, test) in enumerate(KFold(3).split(X)):
        net = clone(unfitted).set_params(consistency_weight=0.0)
        net.fit(X[train], y[train], sample_weight=WEIGHTS[train])
        expected = net.score(X[test], y[test], sample_weight=WEIGHTS[test])
        assert found.cv_results_[f"split{k}_test_score"][0] == expected


@pytest.mark.usefixtures("routing")
def test_routing_through_cross_validate_by_another_name(device):
    net = make(SaliencyGuidedClassifier, device).set_fit_request(sample_weight="importance")
    scorer = make_scorer(log_loss, response_method="predict_proba", greater_is_better=False)
    scorer.set_score_request(sample_weight="importance")
    found = cross_validate(
        net,
        X,
        LABELS,
        cv=KFold(3),
        scoring=scorer,
        params={"importance": WEIGHTS},
        return_estimator=True,
    )
    for k, (train, test) in enumerate(KFold(3).split(X)):
        expected = make(SaliencyGuidedClassifier, device)
        expected.fit(X[train], LABELS[train], sample_weight=WEIGHTS[train])
        assert_equal_fits(found["estimator"][k], expected)
        loss = log_loss(LABELS[test], expected.predict_proba(X[test]), sample_weight=WEIGHTS[test])
        assert found["test_score"][k] == pytest.approx(-loss)


@pytest.mark.usefixtures("routing")
def test_routing_asks_what_to_do_with_weights(unfitted, y):
    with pytest.raises(ValueError, match="set_fit_request"):
        search(clone(unfitted)).fit(X, y, sample_weight=WEIGHTS)
    ignoring = clone(unfitted).set_fit_request(sample_weight=False)
    ignoring.set_score_request(sample_weight=False)
    found = search(ignoring).fit(X, y)
    assert_equal_fits(
        found.best_estimator_, clone(unfitted).set_params(**found.best_params_).fit(X, y)
    )


@pytest.mark.usefixtures("routing")
def test_requests_survive_clones_and_partial_fit_has_its_own(unfitted):
    net = unfitted.set_fit_request(sample_weight=True)
    net.set_partial_fit_request(sample_weight=False)
    for method, consumes in (("fit", {"sample_weight"}), ("partial_fit", set())):
        routing = get_routing_for_object(clone(net))
        assert routing.consumes(method, ["sample_weight"]) == consumes


# ensembles


def test_bagging_weighs_by_how_often_rows_are_drawn(device):
    bag = BaggingClassifier(make(SaliencyGuidedClassifier, device), n_estimators=2, random_state=0)
    bag.fit(X, LABELS, sample_weight=WEIGHTS)
    codes = np.unique(LABELS, return_inverse=True)[1]
    for net, drawn in zip(bag.estimators_, bag.estimators_samples_, strict=True):
        assert (WEIGHTS[drawn] > 0).all()
        counts = np.bincount(drawn, minlength=N)
        expected = clone(net).fit(X, codes, sample_weight=counts)
        assert_equal_fits(net, expected)
    np.testing.assert_allclose(bag.predict_proba(X).sum(1), 1, rtol=1e-6)


def test_boosting_passes_on_the_weights_of_each_round(device):
    # one weak net a round, so that there are errors to boost
    net = make(SaliencyGuidedClassifier, device, module__hidden=(2,))
    boosted = AdaBoostClassifier(net, n_estimators=3, random_state=0)
    start = WEIGHTS + 0.1  # of weights 0 it takes the logarithm
    boosted.fit(X, LABELS, sample_weight=start)
    weights = start / start.sum()
    for net, weight in zip(boosted.estimators_, boosted.estimator_weights_, strict=False):
        expected = clone(net).fit(X, LABELS, sample_weight=weights)
        np.testing.assert_allclose(outputs(net, X), outputs(expected, X), atol=1e-6)
        weights = weights * np.exp(weight * (net.predict(X) != LABELS))
        weights /= weights.sum()
    assert len(boosted.estimators_) > 1


def test_boosted_regression_draws_rows_by_weight(device):
    boosted = AdaBoostRegressor(make(SaliencyGuidedRegressor, device), n_estimators=2)
    boosted.set_params(random_state=0).fit(X, NUMBERS, sample_weight=WEIGHTS)
    assert np.isfinite(boosted.predict(X)).all()


def test_calibration_fits_with_the_weights_of_each_fold(device):
    net = make(SaliencyGuidedClassifier, device)
    calibrated = CalibratedClassifierCV(net, cv=KFold(3)).fit(X, LABELS, sample_weight=WEIGHTS)
    for part, (train, _) in zip(
        calibrated.calibrated_classifiers_, KFold(3).split(X), strict=True
    ):
        expected = clone(net).fit(X[train], LABELS[train], sample_weight=WEIGHTS[train])
        assert_equal_fits(part.estimator, expected)


def test_voting_and_stacking_pass_weights_to_each(device):
    net = make(SaliencyGuidedClassifier, device)
    parts = [("net", net), ("linear", LogisticRegression())]
    voting = VotingClassifier(parts, voting="soft").fit(X, LABELS, sample_weight=WEIGHTS)
    codes = np.unique(LABELS, return_inverse=True)[1]
    assert_equal_fits(voting.estimators_[0], clone(net).fit(X, codes, sample_weight=WEIGHTS))
    stacking = StackingClassifier(parts, cv=KFold(3)).fit(X, LABELS, sample_weight=WEIGHTS)
    assert_equal_fits(stacking.estimators_[0], clone(net).fit(X, codes, sample_weight=WEIGHTS))


def test_an_output_each_passes_weights_to_each(device):
    net, y = make(SaliencyGuidedRegressor, device), X[:, :2] * 3
    found = MultiOutputRegressor(net).fit(X, y, sample_weight=WEIGHTS)
    for k, part in enumerate(found.estimators_):
        assert_equal_fits(part, clone(net).fit(X, y[:, k], sample_weight=WEIGHTS))


def test_a_class_each_with_balanced_weights(device):
    net = make(SaliencyGuidedClassifier, device, class_weight="balanced")
    found = OneVsRestClassifier(net).fit(X, LABELS)
    for k, part in enumerate(found.estimators_):
        one = (found.classes_[k] == LABELS).astype(int)
        share = np.where(one == 1, one.mean(), 1 - one.mean())
        plain = clone(net).set_params(class_weight=None)
        expected = plain.fit(X, one, sample_weight=0.5 / share)
        np.testing.assert_allclose(outputs(part, X), outputs(expected, X), atol=1e-6)


def test_mean_of_a_search_over_class_weights(device):
    fit = functools.partial(make, SaliencyGuidedClassifier, device)
    grid = {"class_weight": [None, "balanced", {"yes": 5.0}]}
    found = GridSearchCV(fit(), grid, cv=KFold(3)).fit(X, LABELS)
    for k, class_weight in enumerate(grid["class_weight"]):
        scores = [
            fit(class_weight=class_weight).fit(X[a], LABELS[a]).score(X[b], LABELS[b])
            for a, b in KFold(3).split(X)
        ]
        assert found.cv_results_["mean_test_score"][k] == pytest.approx(np.mean(scores))
