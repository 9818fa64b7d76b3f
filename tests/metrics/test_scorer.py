import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgt_sklearn import metrics
from sgt_sklearn.metrics import (
    comprehensiveness_gap,
    get_interpretability_scorer,
    get_interpretability_scorer_names,
    infidelity_gap,
    make_interpretability_scorer,
    max_sensitivity_gap,
    removal_curve,
    sufficiency_gap,
)

NAMES = [
    "comprehensiveness_gap",
    "neg_infidelity",
    "neg_max_sensitivity",
    "removal_gap",
    "sufficiency_gap",
]
WITH_RELEVANCE = [
    "pointing_game",
    "relevance_average_precision",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
    "relevance_roc_auc",
]


def mean_attribution(estimator, X, y, *, power=1):
    return np.mean(np.abs(estimator.attribute(X)) ** power)


def test_names():
    assert get_interpretability_scorer_names() == sorted(NAMES + WITH_RELEVANCE)
    assert get_interpretability_scorer_names(relevance=False) == NAMES
    assert get_interpretability_scorer_names(relevance=True) == WITH_RELEVANCE
    with pytest.raises(TypeError, match="relevance must be True or False"):
        get_interpretability_scorer_names(relevance="no")


@pytest.mark.parametrize("name", NAMES)
def test_scorer_equals_its_metric(softmax, table, name):
    X, y = table
    expected = {
        "comprehensiveness_gap": lambda: comprehensiveness_gap(softmax, X, random_state=0),
        "neg_infidelity": lambda: infidelity_gap(softmax, X, random_state=0),
        "neg_max_sensitivity": lambda: max_sensitivity_gap(softmax, X, random_state=0),
        "removal_gap": lambda: removal_curve(softmax, X, y, random_state=0).gap,
        "sufficiency_gap": lambda: sufficiency_gap(softmax, X, random_state=0),
    }[name]()
    scorer = get_interpretability_scorer(name)
    assert scorer(softmax, X, y) == expected
    assert type(scorer(softmax, X, y)) is float
    assert scorer(softmax, X, y) > 0.005


@pytest.mark.parametrize("name", NAMES)
def test_constant_predictor_scores_zero(doubles, table, name):
    X, y = table
    constant = doubles.LinearSoftmax(np.zeros((3, 6))).fit(X, y)
    assert get_interpretability_scorer(name)(constant, X, y) == 0.0


def test_y_is_optional_where_the_metric_needs_none(softmax, table):
    for metric in ("comprehensiveness_gap", "sufficiency_gap", mean_attribution):
        assert make_interpretability_scorer(metric)(softmax, table[0]) > 0
    with pytest.raises(ValueError, match="y must hold the true targets"):
        get_interpretability_scorer("removal_gap")(softmax, table[0])


def test_options_reach_the_metric(softmax, table):
    X, y = table
    options = {"outcome": "flip", "fractions": (0.5,), "n_draws": 2, "target": 1}
    scorer = make_interpretability_scorer("sufficiency_gap", random_state=3, **options)
    assert scorer(softmax, X) == sufficiency_gap(softmax, X, random_state=3, **options)
    scorer = make_interpretability_scorer("removal_gap", scoring="f1_macro")
    expected = removal_curve(softmax, X, y, scoring="f1_macro", random_state=0).gap
    assert scorer(softmax, X, y) == expected
    scorer = make_interpretability_scorer("comprehensiveness_gap", target=0)
    expected = comprehensiveness_gap(softmax, X, target=0, random_state=0)
    assert scorer(softmax, X) == expected != comprehensiveness_gap(softmax, X, random_state=0)


def test_random_state_is_zero_unless_given(softmax, table):
    X, _ = table
    scorer = make_interpretability_scorer("sufficiency_gap")
    assert scorer(softmax, X) == scorer(softmax, X) == sufficiency_gap(softmax, X, random_state=0)
    fresh = make_interpretability_scorer("sufficiency_gap", random_state=None)
    assert fresh(softmax, X) != fresh(softmax, X)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (comprehensiveness_gap, "comprehensiveness_gap"),
        (infidelity_gap, "neg_infidelity"),
        (max_sensitivity_gap, "neg_max_sensitivity"),
        (metrics.relevance_roc_auc, "relevance_roc_auc"),
        (removal_curve, "removal_gap"),
        (sufficiency_gap, "sufficiency_gap"),
    ],
)
def test_functions_stand_for_their_names(function, name):
    assert repr(make_interpretability_scorer(function)) == repr(make_interpretability_scorer(name))


def test_callable_of_the_user(softmax, table):
    X, y = table
    scorer = make_interpretability_scorer(mean_attribution, power=2)
    assert scorer(softmax, X, y) == mean_attribution(softmax, X, y, power=2)
    assert repr(scorer) == "make_interpretability_scorer(mean_attribution, power=2)"


def test_repr():
    scorer = make_interpretability_scorer("comprehensiveness_gap", outcome="flip", n_draws=3)
    expected = "'comprehensiveness_gap', n_draws=3, outcome='flip', random_state=0"
    assert repr(scorer) == f"make_interpretability_scorer({expected})"
    assert repr(make_interpretability_scorer("removal_gap")) == (
        "make_interpretability_scorer('removal_gap', random_state=0)"
    )


@pytest.mark.parametrize("metric", [*NAMES, mean_attribution])
def test_pickle_and_clone(softmax, table, metric):
    scorer = make_interpretability_scorer(metric)
    copy = pickle.loads(pickle.dumps(scorer))
    assert repr(copy) == repr(scorer)
    assert copy(softmax, *table) == scorer(softmax, *table)
    search = clone(GridSearchCV(softmax, {"penalty": [0.1]}, scoring=scorer))
    assert repr(search.scoring) == repr(scorer)


@pytest.mark.parametrize("routing", [False, True])
def test_grid_search_with_several_scorers(doubles, table, routing):
    X, y = table
    scoring = {name: get_interpretability_scorer(name) for name in NAMES}
    scoring["accuracy"] = "accuracy"
    pipeline = make_pipeline(StandardScaler(), doubles.LinearSoftmax())
    grid = {"linearsoftmax__penalty": [1e-3, 1.0, 1e6]}
    with sklearn.config_context(enable_metadata_routing=routing):
        search = GridSearchCV(pipeline, grid, scoring=scoring, refit="sufficiency_gap", cv=3)
        search.fit(X, y)
    results = search.cv_results_
    for name in scoring:
        assert np.isfinite(results[f"mean_test_{name}"]).all()
    # with nearly no weights left all probabilities are 1 / 3
    assert results["mean_test_sufficiency_gap"][2] == pytest.approx(0, abs=1e-4)
    assert search.best_index_ != 2
    assert search.score(X, y) == sufficiency_gap(search, X, random_state=0)


def test_cross_validation(softmax, table):
    X, y = table
    scorer = get_interpretability_scorer("comprehensiveness_gap")
    scores = cross_val_score(softmax, X, y, scoring=scorer, cv=3)
    again = cross_validate(
        softmax, X, y, scoring={"gap": scorer, "r": "accuracy"}, cv=3, error_score="raise"
    )
    assert scores.shape == (3,)
    assert (scores > 0).all()
    assert (scores == again["test_gap"]).all()


@pytest.mark.parametrize("name", ["comprehensiveness", "sufficiency"])
def test_raw_measures_are_refused(name):
    for metric in (name, getattr(metrics, name)):
        with pytest.raises(
            ValueError, match=f"no model wins by ignoring its input, got '{name}'.*'{name}_g"
        ):
            make_interpretability_scorer(metric)


@pytest.mark.parametrize(
    "name", ["gini_sparseness", "attribution_entropy", "attribution_kurtosis"]
)
def test_spread_is_refused(name):
    reason = (
        rf"no model wins by ignoring its input, got '{name}'.* ignores nearly all of its input .*"
        rf"`{name}\(estimator.attribute\(X, standardized=True\)\)`, or pass a callable"
    )
    for metric in (name, getattr(metrics, name)):
        with pytest.raises(ValueError, match=reason):
            make_interpretability_scorer(metric)
    with pytest.raises(ValueError, match=reason):
        get_interpretability_scorer(name)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("infidelity", "neg_infidelity"),
        ("masking_consistency", "sufficiency_gap"),
        ("max_sensitivity", "neg_max_sensitivity"),
    ],
)
def test_what_is_best_without_input_is_refused(name, instead):
    for metric in (name, getattr(metrics, name)):
        with pytest.raises(ValueError, match=f"by ignoring .* has the best.* Use '{instead}'"):
            make_interpretability_scorer(metric)


@pytest.mark.parametrize(
    "name", ["benchmark_precision_recall", "parameter_randomization", "remove_and_retrain"]
)
def test_what_is_several_numbers_is_refused(name):
    for metric in (name, getattr(metrics, name)):
        with pytest.raises(ValueError, match=f"one number, got '{name}', which is several"):
            make_interpretability_scorer(metric)


def test_bad_input():
    names = ", ".join(map(repr, sorted(NAMES + WITH_RELEVANCE)))
    with pytest.raises(ValueError, match=f"one of {names} or a callable .*, got 'beauty'"):
        make_interpretability_scorer("beauty")
    with pytest.raises(ValueError, match="got 'beauty'"):
        get_interpretability_scorer("beauty")
    with pytest.raises(TypeError, match=r"metric must be one of .* got 3 of type int"):
        make_interpretability_scorer(3)
    with pytest.raises(TypeError, match=r"name must be one of .* got None of type NoneType"):
        get_interpretability_scorer(None)
    with pytest.raises(TypeError, match=r"of 'removal_gap' must be among .*scoring.*outc"):
        make_interpretability_scorer("removal_gap", outcome="flip")
    with pytest.raises(TypeError, match="got scoring"):
        make_interpretability_scorer("comprehensiveness_gap", n_draws=3, scoring="accuracy")
    with pytest.raises(TypeError, match="got attributions"):
        make_interpretability_scorer("sufficiency_gap", attributions=np.ones((2, 2)))


@pytest.mark.parametrize("name", NAMES)
def test_named_scorers_need_attributions_of_the_estimator(table, name):
    X, y = table
    scorer = get_interpretability_scorer(name)
    with pytest.raises(TypeError, match=r"LogisticRegression.*pass `attributions=`"):
        scorer(LogisticRegression().fit(X, y), X, y)
