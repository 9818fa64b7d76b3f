"""Validation of what callers pass to the metrics, in one error form."""

import numbers

import numpy as np
from sklearn.utils import check_random_state


def describe(value):
    """Return a short text for `value` that fits into an error message."""
    shape = getattr(value, "shape", None)
    text = repr(value) if shape is None else f"an array of shape {tuple(shape)}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def as_numeric_array(value, name):
    """Return `value` as a finite real array, or raise naming the parameter."""
    try:
        array = np.asarray(value)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} must be convertible to one numpy array, which failed: {error}. Pass "
            "samples of one shape, on the CPU and detached."
        ) from error
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} must be an array of real numbers, got {type(value).__name__} of dtype "
            f"{array.dtype}. Convert it to floats first."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be finite, got {np.count_nonzero(~np.isfinite(array))} NaN or "
            "infinite values. Drop or impute them first."
        )
    return array


def check_attributions(attributions, name="attributions"):
    """Return attributions as a float64 array of shape (n_samples, n_cells...)."""
    array = as_numeric_array(attributions, name)
    if array.ndim < 2 or array.size == 0:
        raise ValueError(
            f"{name} must hold at least one sample and one cell, with samples along the first "
            f"of at least two axes, got shape {array.shape}. Reshape a single sample with "
            f"`{name}[None]`."
        )
    return array.astype(np.float64, copy=False)


def check_relevance(relevance, attributions):
    """Return a boolean mask of the shape of `attributions`."""
    mask = as_numeric_array(relevance, "relevance")
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise ValueError(
            "relevance must be boolean (True or 1 = relevant), got other values than 0 and 1. "
            "Threshold it first, for example `relevance > 0`."
        )
    full = attributions.shape
    wanted = {len(full): full, len(full) - 1: full[1:]}.get(mask.ndim)
    fits = wanted is not None and all(a in (b, 1) for a, b in zip(mask.shape, wanted, strict=True))
    if not fits:
        raise ValueError(
            f"relevance must have the shape of `attributions`, {full}, or that of one sample, "
            f"{full[1:]}, to serve all samples (an axis of length 1 repeats), got {mask.shape}."
        )
    return np.broadcast_to(mask.astype(bool), full)


def check_fractions(fractions, *, zero_allowed):
    """Return `fractions` as a 1-d float64 array inside [0, 1] or (0, 1]."""
    interval = "[0, 1]" if zero_allowed else "(0, 1]"
    if isinstance(fractions, (str, dict)):
        raise TypeError(
            f"fractions must be a sequence of numbers in {interval}, got {fractions!r}."
        )
    array = np.asarray(as_numeric_array(fractions, "fractions"), dtype=np.float64)
    low = array >= 0 if zero_allowed else array > 0
    if array.ndim != 1 or array.size == 0 or not (low & (array <= 1)).all():
        raise ValueError(
            f"fractions must be a non-empty sequence of numbers in {interval}, got "
            f"{fractions!r}. Pass shares of the groups to replace, for example (0.1, 0.3)."
        )
    return array


def check_n_draws(n_draws):
    """Return `n_draws` if it is a positive integer."""
    if not isinstance(n_draws, numbers.Integral) or isinstance(n_draws, bool):
        raise TypeError(
            f"n_draws must be an integer >= 1, got {n_draws!r} of type {type(n_draws).__name__}."
        )
    if n_draws < 1:
        raise ValueError(f"n_draws must be an integer >= 1, got {n_draws}. The default is 5.")
    return int(n_draws)


def check_option(value, name, options, extra=""):
    """Return `value` if it is one of the strings in `options`."""
    allowed = ", ".join(repr(option) for option in options) + extra
    if not isinstance(value, str):
        raise TypeError(
            f"{name} must be one of {allowed}, got {describe(value)} of type "
            f"{type(value).__name__}."
        )
    if value not in options:
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
    return value


def check_flag(value, name):
    """Return `value` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {describe(value)}.")
    return bool(value)


def check_generator(random_state):
    """Return a RandomState; for None a fresh one, so that numpy's global one stays as it is."""
    check_random_state(random_state)
    if isinstance(random_state, np.random.RandomState):
        return random_state
    return np.random.RandomState(random_state)
