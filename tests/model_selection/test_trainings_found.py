"""Where the net of a training is found, and what a training leaves of a search."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgt_sklearn.model_selection._trainings import make_trainings
from tests.model_selection.comparisons import ALL, net

pytest.importorskip("pandas")


def test_the_net_is_found_in_a_search_that_does_not_undo_a_training(quick):
    pipeline = make_pipeline(StandardScaler(), net())
    grid = {
        "saliencyguidedclassifier__consistency_weight": [0.5, 1.0],
        "saliencyguidedclassifier__mask_order": ["absolute", "signed"],
        "saliencyguidedclassifier__max_epochs": [1, 2],
    }
    search = GridSearchCV(pipeline, [grid, {"standardscaler__with_mean": [False]}], cv=2)
    built = {name: t.build(5) for name, t in make_trainings(search, ALL[2:]).items()}
    prefix = "estimator__saliencyguidedclassifier__"
    short = {"saliencyguidedclassifier__max_epochs": [1, 2]}
    assert built["guided"].param_grid == search.param_grid
    assert built["plain"].param_grid == [short, search.param_grid[1]]
    assert built["weight decay"].param_grid == [short, search.param_grid[1]]
    left = {name: grid[name] for name in grid if not name.endswith("mask_order")}
    assert built["random order"].param_grid == [left, search.param_grid[1]]
    assert {name: s.get_params()[f"{prefix}consistency_weight"] for name, s in built.items()} == {
        "plain": 0,
        "guided": 1.0,
        "random order": 1.0,
        "weight decay": 0,
    }
    decayed = built["weight decay"].get_params()
    assert decayed[f"{prefix}optimizer"] is torch.optim.AdamW
    found = quick(
        RandomizedSearchCV(pipeline, dict(list(grid.items())[:1]), n_iter=1, cv=2),
        controls=["random order"],
        metrics=["sufficiency_gap"],
    )
    assert np.isfinite(found["mean"]).all()


def test_a_grid_of_which_nothing_is_left():
    grid = {"consistency_weight": [0.5, 1.0]}
    search = GridSearchCV(net(consistency_weight=0), [grid, grid], cv=2)
    assert make_trainings(search, ())["plain"].build(0).param_grid == {}


def test_the_net_is_found_in_an_ensemble():
    ensemble = make_pipeline(StandardScaler(), BaggingClassifier(net(), 2))
    plain = make_trainings(ensemble, ())["plain"].build(3).get_params()
    assert plain["baggingclassifier__estimator__consistency_weight"] == 0
    assert plain["baggingclassifier__random_state"] == 3


@pytest.mark.parametrize(
    ("params", "grid", "lr"),
    [
        ({}, None, 3e-3),
        ({"module": "gru"}, None, 5e-3),
        ({"module": "gru", "lr": 0.1}, None, 0.1),
        ({}, {"lr": [0.1, 0.2]}, "auto"),
        ({}, {"module": ["gru", "tcn"]}, "auto"),
    ],
)
def test_weight_decay_keeps_the_learning_rate(params, grid, lr):
    estimator = net(**params) if grid is None else GridSearchCV(net(**params), grid)
    built = make_trainings(estimator, ["weight decay"])["weight decay"].build(0)
    assert (built if grid is None else built.estimator).lr == lr
    assert grid is None or built.param_grid == grid
