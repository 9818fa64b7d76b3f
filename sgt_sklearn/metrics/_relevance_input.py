"""What the metrics of known relevance take: attributions and masks, of equal length or not."""

import inspect
import warnings

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from sgt_sklearn.metrics._checks import (
    as_numeric_array,
    check_attributions,
    check_relevance,
    describe,
)

PADDING = -1.0  # below every absolute attribution

_BLOCKS = {
    "arguments": """
        attributions : array-like of shape (n_samples, n_features) or (n_samples, ...), or list
            Attributions, samples along the first axis. Signs are ignored. Samples of unequal
            length are a list of arrays that differ in their first axis, or an array in which
            trailing NaN along the second axis are padding, which is not scored.

        relevance : array-like of bool, of the shape of `attributions` or of one sample, or list
            True (or 1) where a cell is relevant. A mask of shape `attributions.shape[1:]` serves
            all samples; an axis of length 1 is repeated, so `(n_samples, 1, height, width)` serves
            all channels. Padding is not relevant. A list of attributions of unequal length needs a
            list of masks.
        """,
    "raises": """
        ValueError
            If the shapes do not fit, a value is not finite, `relevance` is not boolean or True on
            padding, or no sample has both a relevant and an irrelevant cell.
        TypeError
            If an argument does not hold real numbers.
        """,
    "warns": """
        sklearn.exceptions.UndefinedMetricWarning
            If samples without a relevant cell were left out.
        """,
}


def with_relevance_parameters(function):
    """Fill lines `{{name}}` of the docstring of `function` with the shared blocks."""
    if function.__doc__:
        text = inspect.cleandoc(function.__doc__)
        for name, block in _BLOCKS.items():
            text = text.replace(f"{{{{{name}}}}}", inspect.cleandoc(block))
        function.__doc__ = text
    return function


def read_samples(attributions, relevance, *, irrelevant_needed=False):
    """Return absolute attributions and masks, flat per sample, of the samples that are scored.

    Attributions are `PADDING` where there is no cell. Scored are samples with a relevant cell, and
    with an irrelevant one where `irrelevant_needed`.
    """
    reader = _from_lists if _is_ragged(attributions) else _from_arrays
    score, relevant = reader(attributions, relevance)
    score, relevant = score.reshape(len(score), -1), relevant.reshape(len(score), -1)
    scored, what = relevant.any(axis=1), "relevant"
    if not scored.any():
        raise ValueError(
            "relevance must mark at least one relevant cell, got a mask that is False "
            "everywhere. True (or 1) means relevant: check that the mask is not inverted."
        )
    partial = scored & (~relevant & (score != PADDING)).any(axis=1)
    if not partial.any():
        raise ValueError(
            "relevance must be True for some and False for other cells of at least one "
            "sample, got masks that are True everywhere or False everywhere: every attribution "
            "is right by them."
        )
    if irrelevant_needed:
        scored, what = partial, "relevant cell or no irrelevant"
    if not scored.all():
        warnings.warn(
            f"{len(scored) - np.count_nonzero(scored)} of {len(scored)} samples have no {what} "
            "cell and are left out of the mean. Drop them first to silence this warning.",
            UndefinedMetricWarning,
            stacklevel=3,
        )
    return score[scored], relevant[scored]


def absolute_attributions(attributions):
    """Return absolute attributions, flat per sample, `PADDING` where there is no cell."""
    if _is_ragged(attributions):
        score = _padded_scores(_listed_samples(attributions))
    else:
        score, _ = _array_scores(attributions)
    return score.reshape(len(score), -1)


def _array_scores(attributions):
    """Return absolute attributions, and what of them is padding (None: nothing)."""
    array = np.asarray(attributions) if _converts(attributions) else attributions
    padding = _trailing_nan(array)
    if padding is None:
        return np.abs(check_attributions(attributions)), None
    score = np.abs(check_attributions(np.where(padding, 0, array)))
    return np.where(padding, PADDING, score), padding


def _from_arrays(attributions, relevance):
    score, padding = _array_scores(attributions)
    relevant = check_relevance(relevance, score)
    if padding is None:
        return score, relevant
    outside = (relevant & padding).reshape(len(relevant), -1).any(axis=1)
    if outside.any():
        raise ValueError(
            "relevance must be False on padding (where attributions are NaN), got True there in "
            f"sample {int(np.flatnonzero(outside)[0])}. Pass for example "
            "`relevance & ~numpy.isnan(attributions)`."
        )
    return score, relevant


def _trailing_nan(array):
    """Whether each cell is padding, or None where none is."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.ndim < 2:
        return None
    missing = np.isnan(array)
    if not missing.any():
        return None
    steps = missing.all(axis=tuple(range(2, array.ndim)))
    trailing = np.logical_and.accumulate(steps[:, ::-1], axis=1)[:, ::-1]
    # a sample of nothing but NaN has no cells to score: let it be refused
    trailing = trailing & ~steps.all(axis=1, keepdims=True)
    return np.broadcast_to(trailing.reshape(*steps.shape, *(1,) * (array.ndim - 2)), array.shape)


def _converts(attributions):
    try:
        np.asarray(attributions)
    except (ValueError, RuntimeError):
        return False
    return True


def _is_ragged(attributions):
    """Whether attributions are samples that differ in the length of their first axis."""
    if isinstance(attributions, np.ndarray) and attributions.dtype != object:
        return False
    if not isinstance(attributions, (list, tuple, np.ndarray)):
        return False
    try:
        shapes = {np.shape(sample) for sample in attributions}
    except (ValueError, RuntimeError):
        return False
    return len(shapes) > 1 and () not in shapes and len({shape[1:] for shape in shapes}) == 1


def _from_lists(attributions, relevance):
    n_samples = len(attributions)
    masks_are_listed = isinstance(relevance, (list, tuple)) or (
        isinstance(relevance, np.ndarray) and relevance.dtype == object
    )
    if not masks_are_listed or len(relevance) != n_samples:
        got = f"{len(relevance)} masks" if masks_are_listed else describe(relevance)
        raise ValueError(
            f"relevance must be a list of one mask for each of the {n_samples} arrays of "
            f"unequal length in attributions, got {got}."
        )
    samples = _listed_samples(attributions)
    masks = [
        _sample_mask(mask, sample, i)
        for i, (mask, sample) in enumerate(zip(relevance, samples, strict=True))
    ]
    score = _padded_scores(samples)
    relevant = np.zeros(score.shape, dtype=bool)
    for row, mask, sample in zip(relevant, masks, samples, strict=True):
        row[: len(sample)] = mask
    return score, relevant


def _listed_samples(attributions):
    samples = [
        as_numeric_array(sample, f"attributions[{i}]") for i, sample in enumerate(attributions)
    ]
    for i, sample in enumerate(samples):
        if sample.size == 0:
            raise ValueError(
                f"attributions[{i}] must hold at least one cell, got shape {sample.shape}. Leave "
                "such samples out."
            )
    return samples


def _padded_scores(samples):
    longest = max(len(sample) for sample in samples)
    score = np.full((len(samples), longest, *samples[0].shape[1:]), PADDING)
    for row, sample in zip(score, samples, strict=True):
        row[: len(sample)] = np.abs(sample.astype(np.float64, copy=False))
    return score


def _sample_mask(mask, sample, i):
    mask = as_numeric_array(mask, f"relevance[{i}]")
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"relevance[{i}] must be boolean (True or 1 = relevant), got other values than 0 and "
            "1. Threshold it first, for example `relevance > 0`."
        )
    fits = mask.ndim == sample.ndim and all(
        a in (b, 1) for a, b in zip(mask.shape, sample.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"relevance[{i}] must have the shape of attributions[{i}], {sample.shape} (an axis of "
            f"length 1 repeats), got {mask.shape}."
        )
    return mask.astype(bool)
