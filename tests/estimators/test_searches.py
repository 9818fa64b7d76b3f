"""The estimators inside scikit-learn's searches and meta-estimators."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from tests.estimators.noisy_table import (
    ESTIMATORS,
    FRAME,
    LABELS,
    SCORE,
    X,
    assert_same_predictions,
    make,
    targets_for,
)

# searches and validation


def test_grid_search_in_two_processes_over_module_optimizer_and_guidance(device):
    grid = {
        "module__hidden": [(), (8,)],
        "optimizer__weight_decay": [0.0, 0.1],
        "mask_fraction": [0.2, "auto"],
    }
    search = GridSearchCV(make(device=device), grid, cv=2, n_jobs=2, error_score="raise")
    search.fit(X, LABELS)
    assert len(search.cv_results_["params"]) == 8
    best = search.best_estimator_
    again = clone(make(device=device)).set_params(**search.best_params_).fit(X, LABELS)
    np.testing.assert_array_equal(best.predict_proba(X), again.predict_proba(X))
    hidden = [layer for layer in best.module_.modules() if isinstance(layer, nn.Linear)]
    assert len(hidden) == 1 + len(search.best_params_["module__hidden"])
    assert (
        best.optimizer_.param_groups[0]["weight_decay"]
        == search.best_params_["optimizer__weight_decay"]
    )
    assert search.score(X, LABELS) > 0.6


def test_every_candidate_of_a_search_gets_its_own_parameters(device):
    grid = {"mask_fraction": [0.0, 0.5], "mask_order": ["absolute", "random"]}
    grid |= {"consistency_weight": [0.0, 1.0]}
    search = GridSearchCV(make(device=device), grid, cv=2, error_score="raise", refit=False)
    search.fit(X, LABELS)
    nets = {}
    for params in search.cv_results_["params"]:
        net = make(device=device, **params).fit(X, LABELS)
        nets[tuple(params.values())] = net.predict_proba(X).tobytes()
    # without guidance or with nothing hidden all are the same net
    assert len(set(nets.values())) == 3


def test_random_search_draws_numpy_scalars(device):
    distributions = {"consistency_weight": np.linspace(0, 2, 5), "max_epochs": np.arange(1, 3)}
    search = RandomizedSearchCV(
        make(SaliencyGuidedRegressor, device),
        distributions,
        n_iter=3,
        cv=2,
        random_state=0,
        error_score="raise",
    )
    assert search.fit(X, SCORE).best_params_["max_epochs"] in (1, 2)


@pytest.mark.parametrize(
    ("estimator", "scorers"),
    [
        (SaliencyGuidedClassifier, ["accuracy", "neg_log_loss", "roc_auc_ovr", "f1_macro"]),
        (SaliencyGuidedRegressor, ["r2", "neg_mean_absolute_error", "neg_median_absolute_error"]),
    ],
)
def test_cross_validate_with_several_scorers(estimator, scorers, device):
    results = cross_validate(
        make(estimator, device),
        X,
        targets_for(estimator),
        scoring=scorers,
        cv=3,
        return_estimator=True,
        error_score="raise",
    )
    for scorer in scorers:
        assert np.isfinite(results[f"test_{scorer}"]).all()
    assert len({id(net.module_) for net in results["estimator"]}) == 3


def test_cross_val_predict_and_learning_curve(device):
    probabilities = cross_val_predict(make(device=device), X, LABELS, method="predict_proba", cv=2)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    _, _, scores = learning_curve(
        make(device=device), X, LABELS, train_sizes=[0.5, 1.0], cv=2, error_score="raise"
    )
    assert scores.shape == (2, 2)


# meta-estimators


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibrated_classifier(method, device):
    net = CalibratedClassifierCV(make(device=device, max_epochs=10), method=method, cv=2)
    net.fit(X, LABELS)
    assert net.classes_.tolist() == ["low", "middle", "up"]
    assert net.score(X, LABELS) > 0.6


@pytest.mark.parametrize(
    ("ensemble", "estimator"),
    [
        (BaggingClassifier, SaliencyGuidedClassifier),
        (BaggingRegressor, SaliencyGuidedRegressor),
    ],
)
def test_bagging(ensemble, estimator, device):
    net = ensemble(make(estimator, device, max_epochs=10), n_estimators=2, random_state=0)
    y = targets_for(estimator)
    net.fit(X, y)
    assert net.score(X, y) > 0.6
    assert net.estimators_[0].random_state != net.estimators_[1].random_state
    again = clone(net).fit(X, y)
    np.testing.assert_array_equal(net.predict(X), again.predict(X))


def test_voting_stacking_and_multiclass_wrappers(device):
    net = make(device=device)
    named = [("guided", net), ("plain", clone(net).set_params(consistency_weight=0))]
    for wrapper in (
        VotingClassifier(named, voting="soft"),
        StackingClassifier(named, LogisticRegression(max_iter=500), cv=2),
        OneVsRestClassifier(net),
    ):
        assert set(wrapper.fit(X, LABELS).predict(X)) <= set(LABELS)


def test_multi_output_wrapper_predicts_like_single_nets(device):
    net = make(SaliencyGuidedRegressor, device)
    both = MultiOutputRegressor(net).fit(X, np.column_stack([SCORE, X[:, 0]])).predict(X)
    np.testing.assert_array_equal(both[:, 0], clone(net).fit(X, SCORE).predict(X))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("prefit", [False, True])
def test_select_from_model_keeps_the_columns_that_matter(estimator, prefit, device):
    net = make(estimator, device, max_epochs=20)
    if prefit:
        net.fit(X, targets_for(estimator))
    selector = SelectFromModel(net, max_features=3, threshold=-np.inf, prefit=prefit)
    selector.fit(X, targets_for(estimator))
    assert selector.get_support().tolist() == [True, True, True, False, False]
    assert selector.transform(X).shape == (90, 3)


def test_recursive_feature_elimination_keeps_the_columns_that_matter(device):
    selector = RFE(make(device=device, max_epochs=20), n_features_to_select=3).fit(X, LABELS)
    assert selector.support_.tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_permutation_importance_agrees_on_the_columns_that_matter(estimator, device):
    y = targets_for(estimator)
    net = make(estimator, device, max_epochs=20).fit(X, y)
    importances = permutation_importance(net, X, y, n_repeats=2, random_state=0).importances_mean
    assert importances[:3].min() > importances[3:].max()
    assert net.feature_importances_[:3].min() > net.feature_importances_[3:].max()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_pipeline_with_a_scaler(estimator, device):
    y = targets_for(estimator)
    pipeline = make_pipeline(StandardScaler(), make(estimator, device))
    pipeline.set_output(transform="pandas").fit(FRAME, y)
    assert pipeline[-1].feature_names_in_.tolist() == FRAME.columns.tolist()
    scaled = StandardScaler().fit_transform(FRAME)
    net = make(estimator, device).fit(scaled, y)
    assert_same_predictions(pipeline[-1], pipeline[:-1].transform(FRAME), net, scaled)


def test_pipeline_on_real_unscaled_data(device):
    data, y = load_iris(return_X_y=True)
    net = make(device=device, max_epochs=15).fit(data * [1, 1000, 1e-3, 1], y)
    assert net.score(data * [1, 1000, 1e-3, 1], y) > 0.9
