"""
Grid search on a dask cluster
=============================

How strong should the guidance be? A grid search answers it with many fits that know nothing of
each other, which is what a cluster is for. scikit-learn hands its fits to joblib and joblib hands
them to dask: the estimator does not change, and neither do the results.

Here the cluster is two processes of this machine, and the same search runs once without it, to
compare. Run it with ``python examples/grid_search_dask.py`` (about 20 seconds) after
``pip install "dask[distributed]"``.
"""

# %%
import argparse
import os
import sys
import time

import numpy as np
import torch
from dask.distributed import Client, LocalCluster
from joblib import parallel_config
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.metrics import make_interpretability_scorer

# %%
# Data and search
# ---------------
# Wines with 27 columns of noise beside their 13 measurements. Two scores: the log likelihood of
# held-out labels, and how much better the most salient columns stand in for all of them than
# random columns do.

GRID = {"consistency_weight": [0, 1.0, 3.0], "mask_fraction": [0.3, 0.6]}


def noisy_wine(random_state=0):
    """178 wines, three cultivars, 40 columns."""
    X, y = load_wine(return_X_y=True)
    noise = np.random.default_rng(random_state).standard_normal((len(X), 27))
    return np.hstack([X, noise]), y


def make_search(max_epochs):
    """The search; an int random_state makes every fit the same wherever it runs."""
    return GridSearchCV(
        SaliencyGuidedClassifier(max_epochs=max_epochs, random_state=0),
        GRID,
        cv=3,
        scoring={
            "log_loss": "neg_log_loss",
            "sufficiency_gap": make_interpretability_scorer("sufficiency_gap"),
        },
        refit="log_loss",
        n_jobs=-1,
    )


# %%
# One process
# -----------


def search_here(X, y, max_epochs):
    """The search in this process."""
    return make_search(max_epochs).set_params(n_jobs=1).fit(X, y)


# %%
# The cluster
# -----------
# ``LocalCluster`` starts workers on this machine; ``Client("tcp://...")`` joins workers that run
# elsewhere. Give each worker one thread: fits that share a process would share torch's random
# generators. Dask tells its workers to compute on one thread each, and sums depend on the number
# of threads, so this process uses one thread too.


def search_on_cluster(X, y, max_epochs, n_workers=2):
    """The search on a cluster, and the ids of the worker processes that took part."""
    with (
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        with parallel_config("dask"):
            search = make_search(max_epochs).fit(X, y)
        return search, client.run(os.getpid)


# %%
# The same numbers
# ----------------


def differences(first, second):
    """What two searches disagree about, down to the last bit."""
    columns = [name for name in first.cv_results_ if "test" in name and "time" not in name]
    found = [
        name
        for name in columns
        if not np.array_equal(first.cv_results_[name], second.cv_results_[name])
    ]
    if first.best_params_ != second.best_params_:
        found.append("best_params_")
    pairs = zip(
        first.best_estimator_.module_.parameters(),
        second.best_estimator_.module_.parameters(),
        strict=True,
    )
    if not all(torch.equal(a, b) for a, b in pairs):
        found.append("parameters of best_estimator_")
    return found


def main():
    """Search twice; the exit status says whether both came to the same."""
    parser = argparse.ArgumentParser(description="Grid search on a dask cluster")
    parser.add_argument("--max-epochs", type=int, default=30)
    args = parser.parse_args()
    torch.set_num_threads(1)
    X, y = noisy_wine()

    start = time.perf_counter()
    here = search_here(X, y, args.max_epochs)
    print(f"one process: {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    cluster, processes = search_on_cluster(X, y, args.max_epochs)
    seconds = time.perf_counter() - start
    print(f"cluster of {len(processes)}: {seconds:.1f} s, its start included\n")

    print("weight  fraction  log loss  sufficiency gap")
    results = cluster.cv_results_
    for i, params in enumerate(results["params"]):
        print(
            f"{params['consistency_weight']:6g}  {params['mask_fraction']:8g}"
            f"  {-results['mean_test_log_loss'][i]:8.4f}"
            f"  {results['mean_test_sufficiency_gap'][i]:15.4f}"
        )
    print(f"\nchosen: {cluster.best_params_}")

    failures = [f"the cluster differs in {name}" for name in differences(here, cluster)]
    if os.getpid() in processes.values() or len(processes) != 2:
        failures.append(f"expected two processes beside this one, got {processes}")
    for failure in failures:
        print(f"NOT AS EXPECTED: {failure}", file=sys.stderr)
    return len(failures) > 0


# %%
# Worker processes import this file, so what runs stands behind this line.

if __name__ == "__main__":
    sys.exit(main())
