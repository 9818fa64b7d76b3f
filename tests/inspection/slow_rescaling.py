"""Temporal saliency rescaling of one series as it is defined, one masked copy at a time."""

import copy
import math


def slow_rescaling(attribute, x, baseline, quantile=0.55):
    """Relevance of a series, list of steps of features, by plain Python floats.

    `attribute` explains one such list; `baseline` is a list of that shape.
    """
    n_steps, n_features = len(x), len(x[0])
    original = attribute(x)

    def change(hidden):
        masked = copy.deepcopy(x)
        for t, f in hidden:
            masked[t][f] = baseline[t][f]
        values = attribute(masked)
        return sum(
            abs(float(original[t][f]) - float(values[t][f]))
            for t in range(n_steps)
            for f in range(n_features)
        )

    scores = scaled([change([(t, f) for f in range(n_features)]) for t in range(n_steps)])
    threshold = linear_quantile(scores, quantile)
    relevance = []
    for t in range(n_steps):
        phi = [0.1] * n_features
        if scores[t] > threshold:
            phi = scaled([change([(t, f)]) for f in range(n_features)])
        relevance.append([scores[t] * p for p in phi])
    return relevance


def scaled(values):
    low, high = min(values), max(values)
    if high == low:
        return [1.0 if high > 0 else 0.0 for _ in values]
    return [(value - low) / (high - low) for value in values]


def linear_quantile(values, quantile):
    ordered = sorted(values)
    place = quantile * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
