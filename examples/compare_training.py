"""
Does guided training help?
==========================

A picture of one guided net proves little: another seed, masks drawn at random, or weight decay may
do as much. ``compare_training`` trains them all. Here on the measurements of 178 wines, beside
which we put 27 columns of noise, so that we know which columns cannot matter.

It needs pandas and matplotlib; run it with ``python examples/compare_training.py`` (about half a
minute). It writes ``demo/compare_training.png`` and ``demo/removal_curves.png``.
"""

# %%
import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.metrics import RemovalCurveDisplay
from sgt_sklearn.model_selection import TrainingComparisonDisplay, compare_training

N_NOISE = 27


def noisy_wine(random_state=0):
    """40 columns, of which the first 13 are measurements."""
    X, y = load_wine(return_X_y=True)
    noise = np.random.default_rng(random_state).standard_normal((len(X), N_NOISE))
    relevance = np.arange(X.shape[1] + N_NOISE) < X.shape[1]
    return np.hstack([X, noise]), y, relevance


def save(display, folder, name):
    folder = Path(folder)
    folder.mkdir(exist_ok=True, parents=True)
    display.figure_.savefig(folder / f"{name}.png", dpi=120)


# %%
# Four trainings, five seeds
# --------------------------
# The estimator is the guided one. The function makes the others of it: without guidance, with
# masks drawn at random, and with weight decay that is tuned by accuracy. A seed fixes split,
# initial weights and batches for all four, so that differences are paired.


def compare(X, y, relevance, *, max_epochs, n_seeds, n_jobs):
    estimator = make_pipeline(StandardScaler(), SaliencyGuidedClassifier(max_epochs=max_epochs))
    return compare_training(estimator, X, y, relevance=relevance, n_seeds=n_seeds, n_jobs=n_jobs)


# %%
# What came out
# -------------
# The average precision says how well the gradient ranks the measurements above the noise. Beside
# each mean stand the paired difference to plain training and in how many seeds it is above 0.


def show(table):
    columns = ["metric", "training", "mean", "difference", "standard_error", "wins", "chance"]
    print(table[columns].round(3).to_string(index=False, na_rep=""))
    means = table.pivot(index="metric", columns="training", values="mean")
    goals = means.drop(index="mean_confidence")
    best = goals.index[goals["guided"] > goals.drop(columns="guided").max(axis=1)]
    print("\nguided above all others in:", ", ".join(best) or "nothing")
    return means


# %%
# Removal curves
# --------------
# Where the gaps come from: accuracy while more and more columns take the values of another wine,
# those of the largest gradient first (solid) or in random order (dashed).


def removal_curves(X, y, *, max_epochs):
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    display = None
    for name, params in {"plain": {"consistency_weight": 0}, "guided": {}}.items():
        net = SaliencyGuidedClassifier(max_epochs=max_epochs, random_state=0, **params)
        model = make_pipeline(StandardScaler(), net).fit(X_train, y_train)
        display = RemovalCurveDisplay.from_estimator(
            model,
            X_test,
            y_test,
            name=name,
            ax=None if display is None else display.ax_,
            random_state=0,
        )
    return display


# %%
def main(max_epochs=50, n_seeds=5, n_jobs=None, folder="demo"):
    torch.set_num_threads(1)
    X, y, relevance = noisy_wine()
    table = compare(X, y, relevance, max_epochs=max_epochs, n_seeds=n_seeds, n_jobs=n_jobs)
    means = show(table)
    save(TrainingComparisonDisplay.from_comparison(table), folder, "compare_training")
    save(removal_curves(X, y, max_epochs=max_epochs), folder, "removal_curves")
    print(f"\nwrote compare_training.png and removal_curves.png to {folder}")
    return means


if __name__ == "__main__":
    matplotlib.use("Agg")
    parser = argparse.ArgumentParser(description="Does guided training help?")
    parser.add_argument("--n-jobs", type=int, help="models trained at the same time")
    main(n_jobs=parser.parse_args().n_jobs)
