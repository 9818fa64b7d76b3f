"""Explanations of every kind to draw, and readers of what was drawn."""

from functools import cache

import matplotlib
import numpy as np

matplotlib.use("Agg")

from sgt_sklearn.inspection import Explanation, SaliencyMapDisplay

RNG = np.random.default_rng(0)
draw = SaliencyMapDisplay.from_explanation
MINUS = "\N{MINUS SIGN}"


def make(values, data, kind, **params):
    params = {"method": "saliency", "output": "logit", "target": "yes"} | params
    return Explanation(values, data=data, kind=kind, **params)


def images(n_channels=1, **params):
    values = RNG.standard_normal((3, n_channels, 5, 7))
    return make(values, RNG.random(values.shape), "image", **params)


def series(n_features=3, **params):
    values = [RNG.standard_normal((8, n_features)), RNG.standard_normal((5, n_features))]
    data = [RNG.standard_normal(part.shape) for part in values]
    return make(values, data, "series", **params)


def table(n_samples=40, n_features=15, **params):
    values = RNG.standard_normal((n_samples, n_features)) * np.arange(1, n_features + 1)
    params = {"method": "integrated_gradients"} | params
    return make(values, RNG.standard_normal(values.shape), "tabular", **params)


def tokens(**params):
    values = [[3.0, -1.5, 0.0, 0.2], [1.0, -1.0]]
    data = [["good", "bad", "the", "film"], ["very", "dull"]]
    params = {"method": "integrated_gradients"} | params
    return make(values, data, "tokens", **params)


EVERY = [
    (images, "overlay"),
    (images, "side_by_side"),
    (series, "heatmap"),
    (lambda: series(20), "heatmap"),
    (lambda: series(1), "line"),
    (table, "bars"),
    (table, "mean_bars"),
    (table, "beeswarm"),
    (tokens, "tokens"),
]


@cache
def drawn(maker, kind):
    """A display without axes given, for tests that only look at it."""
    return draw(maker(), kind=kind)


def rgb(colour):
    return matplotlib.colors.to_rgb(colour)


def cells_inside(collection, shape, width=1.0):
    """Cells that an outline encloses, by counting the upright edges to their left."""
    counts = np.zeros(shape, dtype=int)
    for (x0, y0), (x1, y1) in collection.get_segments():
        if x0 == x1:
            column = round(x0 / width + 0.5)
            counts[round((y0 + y1) / 2), column:] += 1
    return counts % 2 == 1


def outlines(ax):
    return [c for c in ax.collections if c.get_label() == "relevant"]


def names_of(ax):
    return [label.get_text() for label in ax.get_yticklabels()]
