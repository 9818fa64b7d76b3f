"""
Time series: where and when
===========================

Two data sets. In RareFeature it is known which cells tell the class: 40 steps of 6 among 50
features; so explanations can be compared with the truth. BasicMotions is real: what a watch
measures while its wearer stands, walks, runs or plays badminton. Each network is trained plain,
guided, and with the control that hides random cells.

It needs the data that the package aeon ships (``pip install --no-deps "aeon==1.6.*"``) and
matplotlib; run it with ``python examples/time_series.py``. It writes ``demo/time_series.png`` and
``demo/motions.png``.
"""

# %%
import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.base import clone

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.datasets import load_time_series, make_relevance_time_series
from sgt_sklearn.metrics import (
    benchmark_precision_recall,
    comprehensiveness_gap,
    relevance_average_precision,
    sufficiency_gap,
)


def make_models(max_epochs, seed=0, **params):
    """The same network, trained in three ways from the same weights and batches."""
    guided = SaliencyGuidedClassifier(max_epochs=max_epochs, random_state=seed, **params)
    return {
        "plain": clone(guided).set_params(consistency_weight=0),
        "guided": guided,
        "control": clone(guided).set_params(mask_order="random"),
    }


def print_table(title, rows):
    print(f"\n{title}")
    columns = list(rows["chance"])
    print(f"{'':10}" + "".join(f"{column:>12}" for column in columns))
    for name, row in rows.items():
        print(f"{name:10}" + "".join(f"{row[column]:12.3f}" for column in columns))


# %%
# Known truth
# -----------
# ``relevance`` says which cells tell the class. Average precision, AUP and AUPR ask whether they
# come first when cells are sorted by the absolute gradient.


def score_relevance(values, relevance):
    curve = benchmark_precision_recall(values, relevance)
    return {
        "AP": relevance_average_precision(values, relevance),
        "AUP": curve.aup,
        "AUPR": curve.aupr,
    }


def rare_feature(n_samples, max_epochs):
    X, y, relevance = make_relevance_time_series(
        "rare_feature", n_samples=n_samples + 200, random_state=0
    )
    X, test = X.astype(np.float32), slice(n_samples, None)
    random = np.random.default_rng(0).normal(size=X[test].shape)
    largest = np.bincount(y[test]).max() / len(y[test])
    rows = {"chance": {"accuracy": largest} | score_relevance(random, relevance[test])}
    maps = {"truth": relevance[test]}
    for name, model in make_models(max_epochs).items():
        model.fit(X[:n_samples], y[:n_samples])
        maps[name] = np.abs(model.attribute(X[test], output="margin"))
        rows[name] = {"accuracy": model.score(X[test], y[test])}
        rows[name] |= score_relevance(maps[name], relevance[test])
    print_table("RareFeature: accuracy, and how well gradients find the relevant cells", rows)
    return rows, maps


def draw_maps(path, maps):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(maps), figsize=(3 * len(maps), 3.2), sharey=True, layout="constrained"
    )
    for axis, (name, values) in zip(axes, maps.items(), strict=True):
        sample = values[0].astype(float)
        # the largest few gradients would leave the rest black
        limit = np.quantile(sample, 0.99) or 1.0
        axis.imshow(sample.T, vmin=0, vmax=limit, cmap="magma", origin="lower", aspect="auto")
        axis.set(title=name, xlabel="time step")
    axes[0].set_ylabel("feature")
    figure.suptitle("Absolute gradient of one test series; the truth on the left")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)


# %%
# Real motions
# ------------
# Nobody knows which steps and sensors matter here. What can be asked is whether the network's
# answer depends on the cells that the explanation names more than on random ones.


def motions(max_epochs, n_seeds=3):
    data = load_time_series("BasicMotions")
    X, y = data.data, np.array(data.target_names)[data.target]
    X_test, y_test = X[data.test], y[data.test]
    largest = max(np.mean(y_test == label) for label in np.unique(y_test))
    found, maps = {}, {}
    for seed in range(n_seeds):
        for name, model in make_models(max_epochs, seed, batch_size=8).items():
            model.fit(X[data.train], y[data.train])
            row = {
                "accuracy": model.score(X_test, y_test),
                "compr. gap": comprehensiveness_gap(model, X_test, random_state=0),
                "suff. gap": sufficiency_gap(model, X_test, random_state=0),
            }
            found.setdefault(name, []).append(row)
            maps[name] = model.attribute(X_test, standardized=True)
    rows = {"chance": {"accuracy": largest, "compr. gap": 0.0, "suff. gap": 0.0}}
    for name, seeds in found.items():
        rows[name] = {column: np.mean([row[column] for row in seeds]) for column in seeds[0]}
    print_table(
        f"BasicMotions: accuracy, and gaps of explanations to a random order, {n_seeds} seeds",
        rows,
    )
    return rows, maps, X_test, y_test, data.feature_names


def draw_motions(path, maps, X, y, feature_names):
    """One series of each class, its background coloured by what speaks for the answer."""
    import matplotlib.pyplot as plt

    labels = np.unique(y)
    names = ("plain", "guided")
    figure, axes = plt.subplots(
        len(names), len(labels), figsize=(3.4 * len(labels), 5), layout="constrained"
    )
    for row, name in zip(axes, names, strict=True):
        for axis, label in zip(row, labels, strict=True):
            i = np.flatnonzero(y == label)[0]
            values = maps[name][i]
            limit = np.quantile(np.abs(values), 0.99)
            image = axis.imshow(
                values.T,
                vmin=-limit,
                vmax=limit,
                cmap="RdBu_r",
                aspect="auto",
                origin="lower",
                interpolation="nearest",
            )
            spread = X[i].std(axis=0) * 5
            lines = np.arange(X.shape[2]) + (X[i] - X[i].mean(axis=0)) / np.maximum(spread, 1e-9)
            axis.plot(lines, color="black", linewidth=0.6)
            axis.set(title=f"{label}, {name}", xlabel="time step", ylim=(-0.5, X.shape[2] - 0.5))
            axis.set_yticks(range(X.shape[2]), feature_names)
    figure.colorbar(image, ax=axes, label="gradient x sd (of each panel's scale)", ticks=[])
    figure.savefig(path, dpi=120)


# %%
def main(n_samples=1000, max_epochs=60, motion_epochs=60, n_seeds=3, folder="demo"):
    torch.set_num_threads(1)
    found, maps = rare_feature(n_samples, max_epochs)
    draw_maps(Path(folder, "time_series.png"), maps)
    real, *rest = motions(motion_epochs, n_seeds)
    draw_motions(Path(folder, "motions.png"), *rest)
    print(f"\nwrote {Path(folder, 'time_series.png')} and {Path(folder, 'motions.png')}")
    return {"rare_feature": found, "motions": real}


if __name__ == "__main__":
    matplotlib.use("Agg")
    parser = argparse.ArgumentParser(description="Explanations of time series.")
    parser.add_argument("--epochs", type=int, default=60)
    main(max_epochs=parser.parse_args().epochs)
