"""Masks of what is relevant: as callers pass them, as a net sees them, and what chance has."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing

from sgt_sklearn.metrics._relevance_input import PADDING, read_samples


@dataclass(frozen=True)
class OneMask:
    """A mask that serves all samples, as the net sees them."""

    mask: Any


def read_masks(relevance, X, n_rows, name, transforms):
    """Return a mask for each row of X, or a `OneMask`.

    Parameters
    ----------
    relevance : array-like or list
        What the caller passed.
    X : object
        The samples that it belongs to.
    n_rows : int
        Their number.
    name : str
        Their name, for messages.
    transforms : bool
        Whether steps before the net may change the axes of X.
    """
    # masks of unequal length have no number of axes
    ragged = isinstance(relevance, (list, tuple)) and len({np.shape(m) for m in relevance}) > 1
    if not ragged:
        relevance = np.atleast_1d(relevance)
        inner = X.get("X", X) if isinstance(X, Mapping) else X
        if relevance.ndim == _n_axes(inner) - 1:
            return OneMask(relevance)
    if len(relevance) == n_rows:
        return relevance
    if transforms and not ragged:
        # the shape of a sample, as the net sees it, is known after the fit only
        return OneMask(relevance)
    raise ValueError(
        f"relevance must have a mask for each of the {n_rows} rows of {name}, or one of the shape "
        f"of a sample, got {len(relevance)} rows."
    )


def masks_as_seen(relevance, values, variable):
    """Return masks in the form of attributions, to be scored with them.

    Parameters
    ----------
    relevance : OneMask, list or ndarray
        What `read_masks` gave, of these samples.
    values : ndarray of shape (n_samples, ...), or list of ndarray
        Attributions; trailing NaN along the second axis are padding.
    variable : bool
        Whether samples differ in length, so that the second axis is as long as the longest of
        these samples.
    """
    listed = isinstance(values, (list, tuple))
    one = isinstance(relevance, OneMask)
    ragged = isinstance(relevance, (list, tuple))
    if not (listed or variable or ragged):
        if not one:
            return relevance
        missing = np.isnan(values)
        fits = missing.any() and np.shape(relevance.mask) == values.shape[1:]
        # of a mask for all, each sample has the part that it is long enough for
        return np.asarray(relevance.mask, dtype=float) * ~missing if fits else relevance.mask
    masks = [relevance.mask] * len(values) if one else relevance
    cut = [
        _cut(mask, row, i, one) for i, (mask, row) in enumerate(zip(masks, values, strict=True))
    ]
    if listed:
        return cut
    seen = np.zeros(values.shape)
    for row, mask in zip(seen, cut, strict=True):
        row[: len(mask)] = mask
    return seen


def chance_of_relevance(values, relevance):
    """Return what random attributions have on average, by metric.

    A value drawn for each cell alike has the share of relevant cells in mass, at the top and among
    the first k, as every cell is as likely to be there. Padding is no cell.
    """
    with warnings.catch_warnings():
        # the metric has told which samples are left out
        warnings.simplefilter("ignore")
        score, relevant = read_samples(values, relevance)
    n, k = (score != PADDING).sum(axis=1), relevant.sum(axis=1)
    share = float(np.mean(k / n))
    harmonic = np.cumsum(1 / np.arange(1, n.max() + 1))[n - 1]
    precision = (harmonic + (k - 1) / np.maximum(n - 1, 1) * (n - harmonic)) / n
    return {
        "pointing_game": share,
        "relevance_average_precision": float(np.mean(precision)),
        "relevance_mass_accuracy": share,
        "relevance_rank_accuracy": share,
        "relevance_roc_auc": 0.5,
    }


def _cut(mask, values, i, one):
    """Mask of a sample without what is beyond its length."""
    mask = np.asarray(mask)
    real = ~np.isnan(values).reshape(len(values), -1).all(axis=1)
    length, inner = int(real.sum()), values.shape[1:]
    fits = mask.ndim == values.ndim and all(
        a in (b, 1) for a, b in zip(mask.shape[1:], inner, strict=True)
    )
    if not fits or len(mask) < length or (not one and mask[length:].any()):
        raise ValueError(
            f"relevance must have a value for each of the {length} steps or tokens that the net "
            f"sees of sample {i} of the test data, False beyond them, got a mask of shape "
            f"{mask.shape}"
            + (f" with relevant cells beyond {length}." if fits and len(mask) >= length else ".")
        )
    return np.broadcast_to(mask[:length], (length, *inner))


def _n_axes(X):
    shape = getattr(X, "shape", None)
    return 1 + np.ndim(_safe_indexing(X, 0)) if shape is None or len(shape) == 1 else len(shape)
