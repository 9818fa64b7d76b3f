"""Values that replace cells."""

import numpy as np
import torch

from sgt_sklearn.guidance import UNKNOWN_TOKEN, Masking, fill_values, masked_input
from sgt_sklearn.metrics._checks import as_numeric_array, check_option

REPLACEMENTS = ("auto", "marginal", "mean", "unknown")


def check_replacement(replacement):
    """Return `replacement` if it is one, whatever the samples are."""
    if callable(replacement):
        return replacement
    return check_option(
        replacement, "replacement", REPLACEMENTS, " or a callable (X, rng) -> array"
    )


def resolve_replacement(replacement, samples):
    """Return the replacement that "auto" stands for, or raise where one does not fit."""
    if callable(replacement):
        return replacement
    if replacement == "auto":
        replacement = "unknown" if samples.tokens else "marginal"
    if samples.tokens and replacement == "mean":
        raise ValueError(
            'replacement must be "unknown", "marginal" or a callable for tokens, got "mean": ids '
            "have no mean."
        )
    if replacement == "unknown" and not samples.tokens:
        raise ValueError(
            'replacement "unknown" is for tokens, integers of shape (n_samples, n_tokens), got X '
            f'of shape {samples.array.shape} and {samples.array.dtype}. Use "marginal".'
        )
    if replacement == "marginal" and len(samples) < 2:
        way_out = "unknown" if samples.tokens else "mean"
        raise ValueError(
            'X must have at least 2 samples for replacement="marginal", which takes values of '
            f'another sample, got {len(samples)}. Use replacement="{way_out}" or a callable, or '
            "pass more rows."
        )
    return replacement


def draw_replacement(samples, groups, replacement, rng):
    """Return one value for every cell, shape (n_samples, n_cells); on padding any."""
    X = samples.array
    if callable(replacement):
        values = _of_callable(samples, replacement, rng)
    elif replacement == "unknown":
        values = np.full_like(X, UNKNOWN_TOKEN)
    elif replacement == "mean":
        values = np.broadcast_to(feature_means(X, samples.valid), X.shape)
    elif samples.tokens:
        values = _tokens_of_others(X, rng)
    elif samples.valid is None:
        return _of_donors(X.reshape(len(X), -1), groups, rng)
    else:
        values = _of_longer_series(samples, groups, rng)
    return values.reshape(len(X), -1)


def _of_callable(samples, replacement, rng):
    X = samples.array
    padding = None if samples.valid is None else ~samples.valid
    shown = X.copy()
    if padding is not None and not samples.tokens:
        shown[padding] = np.nan
    values = replacement(shown, rng)
    shape = getattr(values, "shape", None)
    if padding is not None and shape == X.shape:
        values = np.where(padding, X, values)
    if shape in (None, X.shape):
        values = as_numeric_array(values, "replacement")
    if values.shape != X.shape:
        raise ValueError(
            f"replacement must return an array of the shape of X, {X.shape}, got "
            f"{tuple(values.shape)}. It is called as replacement(X, rng)."
        )
    if samples.tokens:
        ids = values if padding is None else values[~padding]
        if values.dtype.kind not in "iu" or ids.min() < 1:
            got = values.dtype if values.dtype.kind not in "iu" else ids.min()
            raise ValueError(
                f"replacement must return ids of tokens, integers of 1 or more, got {got}."
            )
    return values


def _of_donors(flat, groups, rng):
    n_samples = len(flat)
    n_donors = flat.shape[1] if groups.nested else groups.n_groups
    labels = np.arange(n_donors) if groups.nested else groups.labels
    # a shift of 1 .. n - 1 rows is uniform over the other samples
    shift = rng.randint(1, n_samples, size=(n_samples, n_donors), dtype=np.int32)
    donors = (np.arange(n_samples, dtype=np.int32)[:, None] + shift) % n_samples
    return flat[donors[:, labels], np.arange(flat.shape[1])]


def _of_longer_series(samples, groups, rng):
    labels = None
    if not groups.single:
        labels = torch.from_numpy(groups.labels.reshape(samples.shape))
    values = fill_values(
        torch.from_numpy(samples.array),
        "marginal",
        groups=labels,
        generator=_generator(rng),
        lengths=torch.from_numpy(samples.lengths),
    )
    return values.numpy()


def _tokens_of_others(X, rng):
    # nothing but the fill, as every token is hidden
    everything = Masking(fraction=1.0, order="random", fill="marginal")
    values = masked_input(
        None,
        torch.from_numpy(X.astype(np.int64)),
        None,
        everything,
        generator=_generator(rng),
        embedding=torch.nn.Identity(),
    )
    return values.numpy().astype(X.dtype)


def _generator(rng):
    return torch.Generator().manual_seed(int(rng.randint(2**31 - 1)))


def feature_means(X, valid):
    """Return the mean of each feature, in as many axes as X, which it broadcasts to."""
    feature_axis = X.ndim - 1 if X.ndim <= 3 else 1
    others = tuple(axis for axis in range(X.ndim) if axis != feature_axis)
    where = True if valid is None else valid
    mean = X.mean(axis=others, dtype=np.float64, keepdims=True, where=where)
    return mean.astype(X.dtype if X.dtype.kind == "f" else np.float64)
