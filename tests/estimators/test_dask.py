"""Searches on a dask cluster."""

import contextlib
import importlib.util
import os
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from dask.distributed import Client, LocalCluster
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sgt_sklearn import SaliencyGuidedRegressor
from tests.estimators.bad_input import assert_same

ROOT = Path(__file__).parents[2]
# one thread a worker: fits share the global generators of their process
CLUSTER = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(**CLUSTER) as cluster:
        yield cluster


def test_search_on_a_dask_cluster_is_the_one_on_this_process(cluster):
    def process(estimator, X, y):
        return os.getpid()

    X, y = load_diabetes(return_X_y=True)
    search = GridSearchCV(
        Pipeline(
            [
                ("scale", StandardScaler()),
                (
                    "net",
                    SaliencyGuidedRegressor(max_epochs=3, mask_fill="marginal", random_state=3),
                ),
            ]
        ),
        {"net__mask_order": ["absolute", "sampled"], "net__consistency_weight": [0, 1.0]},
        cv=2,
        scoring={"r2": "r2", "error": "neg_mean_squared_error", "process": process},
        refit="r2",
        return_train_score=True,
    )
    here = clone(search).set_params(n_jobs=1).fit(X, y)
    with Client(cluster), joblib.parallel_config("dask"):
        there = clone(search).set_params(n_jobs=-1).fit(X, y)
    processes = [there.cv_results_[f"split{i}_test_process"] for i in range(2)]
    assert os.getpid() not in np.ravel(processes)
    names = [n for n in here.cv_results_ if ("_r2" in n or "_error" in n)]
    assert len(names) == 2 * 2 * 4 + 2  # test and train, two scores: splits, mean, std; ranks
    for name in names:
        assert np.array_equal(here.cv_results_[name], there.cv_results_[name]), name
    assert len(np.unique(here.cv_results_["mean_test_r2"])) >= 3
    assert here.best_params_ == there.best_params_
    assert_same(
        *(s.best_estimator_.named_steps["net"].module_.state_dict() for s in (here, there))
    )


def test_example_of_a_grid_search(cluster, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("example", ROOT / "examples/grid_search_dask.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)

    @contextlib.contextmanager
    def running_cluster(**options):
        assert options == CLUSTER
        yield cluster

    # starting one takes longer than all its fits
    monkeypatch.setattr(example, "LocalCluster", running_cluster)
    monkeypatch.setattr(sys, "argv", ["grid_search_dask.py", "--max-epochs", "2"])
    assert not example.main()
    assert "chosen: {'consistency_weight'" in capsys.readouterr().out
