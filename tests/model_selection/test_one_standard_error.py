import math
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.metrics import make_interpretability_scorer
from sgt_sklearn.model_selection import one_standard_error_refit


def results(**by_name):
    with np.errstate(invalid="ignore"):
        return _results(by_name)


def _results(by_name):
    """`cv_results_` of a search whose settings have these values, one list of splits each."""
    found = {"params": [{}] * len(next(iter(by_name.values())))}
    for name, values in by_name.items():
        values = np.array(values, dtype=float)
        found |= {f"split{i}_test_{name}": values[:, i] for i in range(values.shape[1])}
        found[f"mean_test_{name}"] = values.mean(axis=1)
        found[f"std_test_{name}"] = values.std(axis=1)
    return found


def slow_choice(accuracy, *gaps):
    """Index by plain loops over lists, for values without ties or failures."""
    n = len(accuracy[0])
    means = [sum(values) / n for values in accuracy]
    best = max(range(len(means)), key=means.__getitem__)
    variance = sum((value - means[best]) ** 2 for value in accuracy[best]) / (n - 1)
    within = [i for i, m in enumerate(means) if m >= means[best] - math.sqrt(variance / n)]

    def mean_rank(i):
        return sum(sum(sum(gap[j]) >= sum(gap[i]) for j in within) for gap in gaps) / len(gaps)

    return min(within, key=lambda i: (mean_rank(i), -means[i], i))


@pytest.mark.parametrize("n_gaps", [1, 3])
@pytest.mark.parametrize("seed", range(20))
def test_equals_a_slow_loop(seed, n_gaps):
    rng = np.random.default_rng(seed)
    n_settings, n_splits = rng.integers(2, 12), rng.integers(2, 6)
    accuracy = rng.uniform(0.7, 0.9, (n_settings, n_splits)).tolist()
    gaps = rng.uniform(0.1, 0.5, (n_gaps, n_settings, n_splits)).tolist()
    names = [f"g{i}" for i in range(n_gaps)]
    found = results(acc=accuracy, **dict(zip(names, gaps, strict=True)))
    chosen = one_standard_error_refit(found, score="acc", interpretability=names)
    assert chosen == slow_choice(accuracy, *gaps)
    assert isinstance(chosen, int)


# mean .9, standard error .01 * sqrt(2) / sqrt(2) = .01
BEST = [0.89, 0.91]


@pytest.mark.parametrize(("score", "chosen"), [(0.8905, 1), (0.8895, 0)])
def test_the_bar_is_one_standard_error_below_the_best(score, chosen):
    found = results(accuracy=[BEST, [score] * 2], sufficiency_gap=[[0.1] * 2, [0.2] * 2])
    assert one_standard_error_refit(found) == chosen


def test_of_several_best_the_smallest_standard_error_counts():
    accuracy = [[0.8, 1.0], BEST, [0.885, 0.885]]
    found = results(accuracy=accuracy, removal_gap=[[0.1] * 2, [0.2] * 2, [0.3] * 2])
    assert one_standard_error_refit(found) == 1


def test_ties_go_to_the_higher_score_then_to_the_first():
    accuracy = [BEST, [0.895] * 2, [0.896] * 2, [0.896] * 2]
    found = results(accuracy=accuracy, sufficiency_gap=[[0.1] * 2] + [[0.2] * 2] * 3)
    assert one_standard_error_refit(found) == 2


def test_names_that_auto_stands_for():
    accuracy = [BEST, [0.9, 0.9]]
    found = results(
        comprehensiveness_gap=[[0.3] * 2, [0.2] * 2],
        log_loss=[[-0.1, -0.3], [-0.2, -0.2]],
        sufficiency_gap=[[0.1] * 2, [0.2] * 2],
    )
    assert one_standard_error_refit(found, interpretability="sufficiency_gap") == 1
    assert one_standard_error_refit(found, interpretability="comprehensiveness_gap") == 0
    # both: mean ranks are equal, and so are the scores
    assert one_standard_error_refit(found) == 0
    named = results(accuracy=accuracy, mine=[[0.1] * 2, [0.2] * 2])
    assert one_standard_error_refit(named, interpretability="mine") == 1
    # a gap of a search may be the score that is kept
    assert (
        one_standard_error_refit(
            found, score="sufficiency_gap", interpretability="comprehensiveness_gap"
        )
        == 1
    )


@pytest.mark.parametrize("missing", ["accuracy", "sufficiency_gap"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_failed_setting_is_not_chosen(missing, value):
    values = {
        "accuracy": [[0.99, 0.99], BEST, [0.895] * 2],
        "sufficiency_gap": [[0.9, 0.9], [0.1] * 2, [0.2] * 2],
    }
    values[missing][0] = [values[missing][0][0], value]
    if missing == "accuracy":
        # its score is unknown, so it sets no bar
        assert one_standard_error_refit(results(**values)) == 2
    else:
        with pytest.warns(UserWarning, match=r"of the best accuracy, 0\.99, can be chosen"):
            assert one_standard_error_refit(results(**values)) == 1


def test_a_constant_predictor_is_never_chosen():
    # it has the best score, and the others are worse than a random order
    accuracy = [[0.91, 0.91], BEST, [0.895] * 2]
    gaps = [[0.0, 0.0], [-0.2, -0.2], [-0.1, -0.1]]
    with pytest.warns(UserWarning) as caught:
        assert one_standard_error_refit(results(accuracy=accuracy, sufficiency_gap=gaps)) == 1
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == 3
    assert "ignores its input ('sufficiency_gap' 0 in every split): it is at chance" in texts[0]
    assert "Chosen is the best of the others, 0.9." in texts[1]
    assert "sufficiency_gap -0.2 is not above 0" in texts[2]


def test_a_constant_predictor_within_the_band_is_told():
    accuracy = [[0.895] * 2, BEST, [0.895] * 2]
    gaps = [[0.0, 0.0], [0.1, 0.1], [0.2, 0.2]]
    with pytest.warns(UserWarning, match=r"best accuracy, 0\.9, .* at chance level"):
        assert one_standard_error_refit(results(accuracy=accuracy, sufficiency_gap=gaps)) == 2


def test_a_constant_predictor_far_below_the_best_is_no_news():
    accuracy = [[0.5] * 2, BEST]
    found = results(accuracy=accuracy, sufficiency_gap=[[0.0, 0.0], [0.1, 0.1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert one_standard_error_refit(found) == 1


def test_a_gap_of_zero_in_one_split_is_no_constant_predictor():
    found = results(accuracy=[BEST, [0.8] * 2], sufficiency_gap=[[0.0, 0.2], [0.1, 0.1]])
    assert one_standard_error_refit(found) == 0


def test_what_tells_a_constant_predictor():
    zero, some = [0.0, 0.0], [0.1, 0.1]
    values = {"acc": [BEST, BEST], "b_gap": [zero, some], "mine": [some, zero]}
    rule = {"score": "acc", "interpretability": ["b_gap", "mine"]}
    with pytest.warns(UserWarning, match="at chance level"):
        # by its gap: a linear model has no sensitivity either
        assert one_standard_error_refit(results(**values), **rule) == 1
    both = results(**values, a_gap=[some, some])
    # one gap above 0 is enough
    assert one_standard_error_refit(both, score="acc", interpretability=["a_gap", "b_gap"]) == 1
    with pytest.warns(UserWarning, match="at chance level"):
        assert (
            one_standard_error_refit(results(**values), score="acc", interpretability="mine") == 0
        )


@pytest.mark.parametrize("gaps", [[[0, 0], [0, 0]], [[0, 0], [np.nan, 0.1]]])
def test_nothing_can_be_chosen(gaps):
    with pytest.raises(ValueError, match="no setting can be chosen: each one failed or ignores"):
        one_standard_error_refit(results(accuracy=[BEST, BEST], sufficiency_gap=gaps))


@pytest.mark.parametrize(
    ("found", "options", "error", "match"),
    [
        (
            results(accuracy=[[0.9], [0.8]], sufficiency_gap=[[0.1], [0.2]]),
            {},
            ValueError,
            "cv must make at least 2 splits, .* got 1",
        ),
        (
            results(accuracy=[[np.nan] * 2] * 2, sufficiency_gap=[BEST, BEST]),
            {},
            ValueError,
            "no setting has a score 'accuracy' in every split",
        ),
        (results(score=[BEST]), {}, ValueError, "interpretability='auto' needs .* 'score'"),
        (
            results(accuracy=[BEST], r2=[BEST], removal_gap=[BEST]),
            {},
            ValueError,
            "score='auto' needs exactly one scorer .* got 'accuracy', 'r2'",
        ),
        (
            results(accuracy=[BEST], removal_gap=[BEST]),
            {"score": "f1"},
            ValueError,
            "score must name a scorer of the search, one of 'accuracy', 'removal_gap', got 'f1'",
        ),
        (
            results(accuracy=[BEST], removal_gap=[BEST]),
            {"interpretability": ["sufficiency_gap"]},
            ValueError,
            "interpretability must name a scorer of the search",
        ),
        (
            results(accuracy=[BEST], removal_gap=[BEST]),
            {"score": "accuracy", "interpretability": "accuracy"},
            ValueError,
            "interpretability must differ from score",
        ),
        ([1, 2], {}, TypeError, "cv_results must be the `cv_results_` of a search, got list"),
        (None, {"score": 3}, TypeError, "score must be the name of a scorer or 'auto', got 3"),
        (None, {"interpretability": []}, TypeError, "interpretability must be the name"),
        (None, {"interpretability": [1]}, TypeError, "interpretability must be the name"),
    ],
)
def test_bad_input(found, options, error, match):
    with pytest.raises(error, match=match):
        one_standard_error_refit(found, **options)


def test_the_rule_can_be_copied_pickled_and_read():
    rule = one_standard_error_refit(score="accuracy", interpretability=["a_gap", "b"])
    shown = "one_standard_error_refit(score='accuracy', interpretability=['a_gap', 'b'])"
    assert repr(rule) == shown
    search = GridSearchCV(SaliencyGuidedClassifier(), {}, refit=rule)
    for copy in (pickle.loads(pickle.dumps(rule)), clone(search).refit):
        assert copy == rule
        assert hash(copy) == hash(rule)
    assert rule != one_standard_error_refit(score="accuracy")
    assert rule != shown


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_never_a_constant_predictor_whatever_the_scores(data):
    n_settings, n_splits = data.draw(st.integers(2, 6)), data.draw(st.integers(2, 4))
    unit = st.floats(-1, 1, width=16)
    split = st.lists(unit, min_size=n_splits, max_size=n_splits)
    columns = st.lists(split, min_size=n_settings, max_size=n_settings)
    accuracy, first, second = (data.draw(columns) for _ in range(3))
    constant = data.draw(st.lists(st.booleans(), min_size=n_settings, max_size=n_settings))
    for i in np.flatnonzero(constant):
        first[i] = second[i] = [0.0] * n_splits
    values = results(accuracy=accuracy, removal_gap=first, sufficiency_gap=second)
    left = np.any(first, axis=1) | np.any(second, axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if left.any():
            assert left[one_standard_error_refit(values)]
        else:
            with pytest.raises(ValueError, match="no setting can be chosen"):
                one_standard_error_refit(values)


class Scaled(torch.nn.Module):
    """A linear map of the scaled input; with a scale of 0 it ignores it."""

    def __init__(self, n_features=4, n_outputs=2, scale=1.0):
        super().__init__()
        self.linear, self.scale = torch.nn.Linear(n_features, n_outputs), scale

    def forward(self, X):
        return self.linear(self.scale * X)


def test_a_constant_net_in_a_search_is_not_chosen(device):
    X = np.random.default_rng(0).normal(size=(90, 4)).astype("float32")
    y = (np.arange(90) % 10 < 3).astype(int)  # nothing to learn: the majority class is best
    net = SaliencyGuidedClassifier(Scaled, lr=0.03, max_epochs=15, random_state=0, device=device)
    names = ("sufficiency_gap", "removal_gap")
    gaps = {name: make_interpretability_scorer(name, n_draws=1) for name in names}
    search = GridSearchCV(
        net,
        {"module__scale": [0.0, 1.0]},
        scoring={"accuracy": "accuracy"} | gaps,
        refit=one_standard_error_refit,
        cv=3,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, y)
    assert any("at chance level" in str(warning.message) for warning in caught)
    found = search.cv_results_
    assert search.best_params_ == {"module__scale": 1.0}
    assert found["mean_test_accuracy"][0] == pytest.approx(0.7)
    assert found["mean_test_sufficiency_gap"][0] == found["mean_test_removal_gap"][0] == 0
    assert found["mean_test_sufficiency_gap"][1] != 0


@pytest.fixture(scope="module")
def search():
    X, y = load_breast_cancer(return_X_y=True)
    X, _, y, _ = train_test_split(X, y, train_size=200, stratify=y, random_state=0)
    net = SaliencyGuidedClassifier(max_epochs=8, random_state=0)
    return GridSearchCV(
        make_pipeline(StandardScaler(), net),
        {"saliencyguidedclassifier__consistency_weight": [0, 1.0, 3.0]},
        scoring={
            "accuracy": "accuracy",
            "comprehensiveness_gap": make_interpretability_scorer(
                "comprehensiveness_gap", n_draws=1
            ),
            "sufficiency_gap": make_interpretability_scorer("sufficiency_gap", n_draws=1),
        },
        refit=one_standard_error_refit,
        cv=3,
    ).fit(X, y), (X, y)


def test_in_a_grid_search(search):
    search, (X, y) = search
    found = search.cv_results_

    def splits(name):
        columns = [found[f"split{i}_test_{name}"] for i in range(3)]
        return np.column_stack(columns).tolist()

    names = ("accuracy", "comprehensiveness_gap", "sufficiency_gap")
    assert search.best_index_ == slow_choice(*map(splits, names))
    assert search.best_params_ == found["params"][search.best_index_]
    assert search.predict(X).shape == y.shape
    assert pickle.loads(pickle.dumps(search)).best_index_ == search.best_index_


def test_in_a_randomized_search(search):
    search, (X, y) = search
    again = RandomizedSearchCV(
        search.estimator,
        search.param_grid,
        n_iter=2,
        scoring=search.scoring,
        refit=one_standard_error_refit(score="accuracy"),
        cv=2,
        random_state=0,
    ).fit(X, y)
    assert again.best_index_ in (0, 1)


# names and units


def chosen_without_a_warning(found, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return one_standard_error_refit(found, **options)


OWN = {"score": "acc", "interpretability": ["suff", "compr"]}


def test_own_names_are_gaps_that_must_all_be_zero():
    useful = {"acc": [[0.9] * 2, [0.5] * 2], "suff": [[0, 0], [0.1] * 2]}
    found = results(**useful, compr=[[0.5] * 2, [0.1] * 2])
    assert chosen_without_a_warning(found, **OWN) == 0
    # as under names that end in "gap"
    renamed = {"score": "acc", "interpretability": ["a_gap", "b_gap"]}
    same = results(acc=useful["acc"], a_gap=useful["suff"], b_gap=[[0.5] * 2, [0.1] * 2])
    with pytest.warns(UserWarning, match="a_gap 0 is not above 0") as caught:
        assert one_standard_error_refit(same, **renamed) == 0
    assert len(caught) == 1
    with pytest.warns(UserWarning) as caught:
        constant = results(**useful, compr=[[0, 1e-17], [0.1] * 2])
        assert one_standard_error_refit(constant, **OWN) == 1
    assert "ignores its input ('suff', 'compr' 0 in every split)" in str(caught[0].message)


def test_what_is_told_are_the_names_that_tell_it():
    values = {"acc": [BEST, BEST], "b_gap": [[0.0, 0.0], [0.1] * 2], "mine": [[0.3] * 2] * 2}
    with pytest.warns(UserWarning, match=r"ignores its input \('b_gap' 0 in every split\)"):
        rule = {"score": "acc", "interpretability": ["b_gap", "mine"]}
        assert one_standard_error_refit(results(**values), **rule) == 1


@pytest.mark.parametrize("name", ["neg_max_sensitivity", "neg_infidelity"])
def test_one_known_name_is_enough_without_gaps(name):
    values = {name: [[0.0, 0.0], [-0.1, -0.1]], "pointing_game": [[0.3] * 2] * 2}
    with pytest.warns(UserWarning, match="at chance level"):
        assert one_standard_error_refit(results(accuracy=[BEST, BEST], **values)) == 1


@pytest.mark.parametrize("name", ["removal_gap", "mine"])
@pytest.mark.parametrize("unit", [1e6, 1.0, 1e-3, 1e-5])
def test_units_of_a_gap_do_not_matter(name, unit):
    rng = np.random.default_rng(0)
    gaps = unit * (0.1 + rng.random((3, 2)))
    found = {"accuracy": [BEST, [0.895] * 2, [0.895] * 2], name: gaps}
    rule = {"score": "accuracy", "interpretability": name}
    best = int(gaps.mean(axis=1).argmax())
    assert chosen_without_a_warning(results(**found), **rule) == best
    # rounding, of whatever unit, in the best of them
    found[name] = np.where(np.arange(3)[:, None] == 0, 1e-8 * gaps, gaps)
    with pytest.warns(UserWarning, match="at chance level"):
        assert one_standard_error_refit(results(**found), **rule) == 1 + gaps[1:].mean(1).argmax()


def test_a_diverged_setting_does_not_set_the_unit():
    gaps = [[0.1] * 2, [0.2] * 2, [-1e9, 1e7]]
    found = {"r2": [BEST, BEST, [-1e9, -1e9]], "removal_gap": gaps}
    assert chosen_without_a_warning(results(**found)) == 1
    found["removal_gap"][1] = [0.0, 1e-9]
    with pytest.warns(UserWarning, match="at chance level"):
        assert one_standard_error_refit(results(**found)) == 0


def test_only_rounding_competes():
    found = results(r2=[BEST, [0.5] * 2], removal_gap=[[1e-11] * 2, [0.1] * 2])
    with pytest.warns(UserWarning) as caught:
        assert one_standard_error_refit(found) == 1
    assert ["at chance level" in str(warning.message) for warning in caught] == [True, False]


def test_gaps_of_probability_have_the_rounding_of_single_precision():
    found = results(accuracy=[BEST, BEST], sufficiency_gap=[[6e-8, -6e-8]] * 2)
    with pytest.raises(ValueError, match="no setting can be chosen"):
        one_standard_error_refit(found)


def test_values_too_small_to_tell_are_told():
    found = results(accuracy=[BEST, BEST], removal_gap=[[6e-8, 5e-8], [8e-8, 8e-8]])
    with pytest.warns(UserWarning, match="'removal_gap' are within 1e-07 of 0. If their unit is"):
        assert one_standard_error_refit(found) == 1
