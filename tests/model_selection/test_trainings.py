"""What each training is: a difference that is really there, and nothing else that differs."""

import functools

import numpy as np
import pytest
import torch
from scipy.stats import uniform
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    RepeatedKFold,
    ShuffleSplit,
    TunedThresholdClassifierCV,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from skorch import NeuralNetClassifier

from sgt_sklearn import (
    SaliencyGuidedClassifier,
    SaliencyGuidedMixin,
    SaliencyGuidedRegressor,
)
from sgt_sklearn.model_selection import compare_training
from sgt_sklearn.model_selection._trainings import make_trainings

pytest.importorskip("pandas")

PREFIX = "saliencyguidedclassifier__"


def net(*module, **params):
    return SaliencyGuidedClassifier(*module, **({"max_epochs": 1} | params))


@pytest.fixture(scope="module")
def flowers():
    return load_iris(return_X_y=True)


def compare(estimator, data, **options):
    options = {"metrics": [], "n_seeds": 1, "controls": False, "verbose": 0} | options
    return compare_training(estimator, *data, **options)


# guided training is guided


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"consistency_weight": 0}, "got consistency_weight=0: 'plain' training"),
        ({"mask_fraction": 0.0}, "got mask_fraction=0: 'plain' training"),
        ({"mask_order": "random"}, "got mask_order='random': 'random order' training"),
    ],
)
def test_a_net_that_is_not_guided(flowers, params, match):
    with pytest.raises(ValueError, match=f"estimator must be guided, {match}"):
        compare(net(**params), flowers)
    # a search may replace it
    (name,) = params
    other = {"consistency_weight": 1.0, "mask_fraction": 0.5, "mask_order": "absolute"}[name]
    make_trainings(GridSearchCV(net(**params), {name: [other]}), ())


@pytest.mark.parametrize(
    ("grid", "got"),
    [
        ({"consistency_weight": [0.0, 1.0]}, "got 0 for .*consistency_weight"),
        ([{"lr": [0.1]}, {"consistency_weight": np.arange(2)}], "got 0 for .*consistency_weight"),
        ({"mask_fraction": (0.5, 0)}, "got 0 for .*mask_fraction"),
        ({"mask_order": ["signed", "random"]}, "got 'random' for .*mask_order"),
    ],
)
@pytest.mark.parametrize("piped", [False, True])
def test_a_search_that_could_choose_no_guidance(flowers, grid, got, piped):
    estimator = net()
    if piped:
        estimator = make_pipeline(PCA(2), estimator)
        parts = grid if isinstance(grid, list) else [grid]
        grid = [{f"{PREFIX}{name}": values for name, values in part.items()} for part in parts]
    with pytest.raises(ValueError, match=f"must search over guided settings, {got}"):
        compare(GridSearchCV(estimator, grid, cv=2), flowers)


def test_distributions_are_taken_as_they_are():
    search = RandomizedSearchCV(net(), {"consistency_weight": uniform(0.1, 1)})
    assert make_trainings(search, ())["guided"].build(0).param_distributions.keys() == {
        "consistency_weight"
    }


# the control by weight decay


def confidence_by_hand(data, seed, **params):
    X, y = data
    X, X_test, y, _ = train_test_split(X, y, stratify=y, random_state=seed)
    model = net(
        consistency_weight=0,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=20.0,
        random_state=seed,
        **params,
    )
    return model.fit(X, y).predict_proba(X_test).max(axis=1).mean()


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"optimizer__param_groups": [("*", {"weight_decay": 0.0})]}, {}),
        (
            {"optimizer__param_groups": [("*.bias", {"weight_decay": 0.0, "lr": 0.1})]},
            {"optimizer__param_groups": [("*.bias", {"lr": 0.1})]},
        ),
        (
            {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "lr": 10.0},
            # a rate for SGD says nothing of AdamW
            {"lr": 3e-3},
        ),
        (
            {"optimizer": torch.optim.Adam, "optimizer__betas": (0.5, 0.9), "lr": 0.02},
            {"optimizer__betas": (0.5, 0.9), "lr": 0.02},
        ),
    ],
)
def test_weight_decay_acts_whatever_the_optimizer_of_the_net(flowers, given, taken):
    options = {"controls": ["weight decay"], "weight_decays": [20.0]}
    estimator = net(max_epochs=4, **given)
    found = compare(estimator, flowers, metrics=["mean_confidence"], **options)
    found = found.set_index(["training", "metric"])["mean"]["weight decay", "mean_confidence"]
    assert found == pytest.approx(confidence_by_hand(flowers, 0, max_epochs=4, **taken), abs=1e-6)
    # the caller's own is as it was
    assert {name: estimator.get_params()[name] for name in given} == given


def test_options_of_another_optimizer_are_not_searched_with_weight_decay():
    grid = {"optimizer__momentum": [0.5, 0.9], "optimizer__eps": [1e-8], "optimizer": [1, 2]}
    grid = {f"{PREFIX}{name}": values for name, values in grid.items()}
    search = GridSearchCV(make_pipeline(net(optimizer=torch.optim.SGD)), grid)
    built = {name: t.build(0) for name, t in make_trainings(search, ["weight decay"]).items()}
    assert built["weight decay"].param_grid == {f"{PREFIX}optimizer__eps": [1e-8]}
    assert built["plain"].param_grid == search.param_grid


class Plain(SaliencyGuidedMixin, NeuralNetClassifier):
    """A net without settings found for its module."""


@pytest.mark.parametrize(
    ("estimator", "lr"),
    [
        (net("gru", optimizer=torch.optim.SGD, lr=0.5), 5e-3),
        (net("gru", optimizer=functools.partial(torch.optim.Adam, eps=1e-6), lr=0.5), 0.5),
        (Plain(torch.nn.Linear, lr=0.5), 1e-3),
        (Plain(torch.nn.Linear, lr=0.5, optimizer=torch.optim.RAdam), 0.5),
    ],
)
def test_the_rate_of_weight_decay(estimator, lr):
    built = make_trainings(estimator, ["weight decay"])["weight decay"].build(0)
    assert built.lr == lr


def test_weight_decay_has_no_equal_of_lbfgs(flowers):
    estimator = net(optimizer=torch.optim.LBFGS, optimizer__max_iter=2, lr=0.5, batch_size=-1)
    with pytest.raises(ValueError, match="must leave out 'weight decay' for a net that LBFGS"):
        compare(estimator, flowers, controls=True)
    assert len(compare(estimator, flowers, controls=["random order"])) == 3


def test_groups_of_parameters_are_not_searched():
    search = GridSearchCV(net(), {"optimizer__param_groups": [[], [("*", {"lr": 0.1})]]})
    with pytest.raises(ValueError, match="must not search over estimator__optimizer__param_gro"):
        make_trainings(search, ())


# a seed sets everything


@pytest.mark.parametrize(
    "splitter", [KFold(3, shuffle=True), ShuffleSplit(2), RepeatedKFold(n_splits=2, n_repeats=2)]
)
def test_splitters_draw_by_the_seed(flowers, splitter):
    X, y = flowers
    search = GridSearchCV(net(), {"max_epochs": [1]}, cv=splitter)
    calibrated = make_pipeline(CalibratedClassifierCV(net(), cv=splitter))
    for seed in (3, 4):
        cvs = [t.build(seed).cv for t in make_trainings(search, ()).values()]
        cvs += [make_trainings(calibrated, ())["plain"].build(seed)[0].cv]
        folds = [[test.tolist() for _, test in cv.split(X, y)] for cv in cvs]
        assert folds[0] == folds[1] == folds[2]
        assert cvs[0].random_state == seed
    assert splitter.random_state is None


def test_a_splitter_that_does_not_draw_is_left_alone():
    search = GridSearchCV(net(), {"max_epochs": [1]}, cv=KFold(3))
    assert make_trainings(search, ())["plain"].build(3).cv.random_state is None


def test_estimators_in_a_grid_get_the_seed():
    pipeline = make_pipeline(PCA(2), net())
    listed = [PCA(2), GridSearchCV(PCA(3), {}, cv=ShuffleSplit(2)), "passthrough"]
    search = GridSearchCV(pipeline, {"pca": listed})
    first, second, third = make_trainings(search, ())["guided"].build(5).param_grid["pca"]
    assert (first.random_state, second.estimator.random_state) == (5, 5)
    assert second.cv.random_state == 5
    assert third == "passthrough"
    assert listed[0].random_state is None


def test_two_calls_with_a_shuffled_search_are_equal(flowers):
    cv = KFold(2, shuffle=True)
    search = GridSearchCV(net(max_epochs=2), {"lr": [1e-3, 1e-2, 3e-2]}, cv=cv)
    first, second = (compare(search, flowers, n_seeds=2) for _ in range(2))
    assert first.equals(second)


# ensembles


@pytest.mark.parametrize(
    "estimator",
    [
        BaggingClassifier(net(), 2),
        VotingClassifier([("net", net())], voting="soft"),
        make_pipeline(PCA(2), CalibratedClassifierCV(net(), cv=2)),
    ],
)
def test_ensembles_of_nets(flowers, estimator):
    options = {"metrics": ["mean_confidence", "sufficiency_gap"]}
    found = compare(estimator, flowers, metric_params={"n_draws": 1}, **options)
    assert np.isfinite(found["mean"]).all()


def test_a_transformed_target():
    X, y = load_diabetes(return_X_y=True)
    estimator = TransformedTargetRegressor(SaliencyGuidedRegressor(max_epochs=1))
    found = compare(estimator, (X[:80], y[:80]), metrics=["removal_gap"])
    assert np.isfinite(found["mean"]).all()


class Untouched(SaliencyGuidedClassifier):
    """Must not be trained."""

    def fit(self, X, y):
        raise AssertionError("trained before the estimator was checked")


@pytest.mark.parametrize(
    ("make", "metric", "error", "match"),
    [
        (
            lambda net: VotingClassifier([("net", net)]),
            "mean_confidence",
            ValueError,
            "'mean_confidence' only for an estimator with probabilities, .*voting='soft'",
        ),
        (
            lambda net: make_pipeline(PCA(2), VotingClassifier([("net", net)])),
            "sufficiency_gap",
            ValueError,
            "'sufficiency_gap' only for an estimator with probabilities, .*voting='soft'",
        ),
        (
            lambda net: StackingClassifier([("net", net)]),
            "sufficiency_gap",
            TypeError,
            r"got StackingClassifier. Pass methods=\['feature_ablation'\]",
        ),
        (
            lambda net: GridSearchCV(TunedThresholdClassifierCV(net), {}),
            "gini_sparseness",
            TypeError,
            "'gini_sparseness' by 'saliency', got TunedThresholdClassifierCV",
        ),
    ],
)
def test_ensembles_that_cannot_be_measured_are_refused_first(flowers, make, metric, error, match):
    with pytest.raises(error, match=match):
        compare(make(Untouched()), flowers, metrics=[metric])


def test_what_such_ensembles_can_have(flowers):
    X, y = flowers[0][::3], flowers[1][::3]
    voting = VotingClassifier([("net", net())])
    options = {"metric_params": {"n_draws": 1}}
    found = compare(voting, (X, y), metrics=["sufficiency_gap_flip"], **options)
    assert np.isfinite(found["mean"]).all()
    stacked = StackingClassifier([("net", net())], cv=2)
    found = compare(
        stacked, (X, y), metrics=["sufficiency_gap"], methods="feature_ablation", **options
    )
    assert np.isfinite(found["mean"]).all()
    assert len(compare(TunedThresholdClassifierCV(net(), cv=2), (X, y > 0))) == 2
