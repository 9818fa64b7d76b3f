"""Small explanations of every kind."""

import numpy as np

from sgt_sklearn.inspection import Explanation

RNG = np.random.default_rng(0)


def make(values, data=None, kind="tabular", **params):
    values = np.asarray(values, dtype=float) if not isinstance(values, list) else values
    data = np.zeros(np.shape(values)) if data is None else data
    params = {"method": "saliency", "output": "logit", "target": 1} | params
    return Explanation(values, data=data, kind=kind, **params)


def table(**params):
    values = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -0.5]])
    data = np.array([["a", 1.5, 2], ["b", 2.5, 3]], dtype=object)
    return make(values, data, feature_names=["word", "size", "count"], **params)


def series(**params):
    values = [np.arange(6.0).reshape(3, 2) - 2, np.array([[10.0, -20.0]])]
    return make(values, [np.ones((3, 2)), np.full((1, 2), 2.0)], "series", **params)


def images():
    values = RNG.standard_normal((2, 3, 4, 5))
    return make(values, values + 1, "image")


def tokens(**params):
    data = [["good", "film", "good"], ["bad", "film"]]
    return make([[1.0, 0.0, -3.0], [-2.0, 0.5]], data, "tokens", **params)
