"""Records of what is hidden from a sample, of a fit of a clone; and names of what is hidden."""

from collections.abc import Mapping

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from sgt_sklearn.callbacks import MaskRecorder
from sgt_sklearn.estimators import SaliencyGuidedMixin
from sgt_sklearn.inspection._unwrap import unwrap

_MOST_ROWS = 32


def fitted_records(estimator, X, y, sample, fit_params):
    """Fit a clone, and record what is hidden from a sample after each epoch.

    Parameters
    ----------
    estimator : SaliencyGuidedMixin or Pipeline
        What is cloned.
    X, y : array-like
        Training data.
    sample : int
        Row of X.
    fit_params : dict
        Passed on to `fit` of the net.

    Returns
    -------
    records : tuple of dict
        As of a ``MaskRecorder``; the sample is row 0.
    names : list of str or None
        Names of the columns that the net sees, or the words of the sample.
    token_names : ndarray of str objects, or None
        Names of ids, where a step encodes texts.
    """
    final, steps, seen = clone(estimator), [], X
    while isinstance(final, Pipeline):
        if len(final) > 1:
            before = final[:-1]
            seen = before.fit_transform(seen, y)
            steps += before.steps
        final = final.steps[-1][1]
    if not isinstance(final, SaliencyGuidedMixin):
        raise TypeError(
            "estimator must be a net of sgt_sklearn, or a pipeline that ends in one, got "
            f"{type(final).__name__}: put SaliencyGuidedMixin before the net class. For a net "
            "inside of something else, give it a sgt_sklearn.callbacks.MaskRecorder and call "
            "MaskingDisplay.from_recorder."
        )
    if final.consistency_weight == 0:
        raise ValueError(
            "consistency_weight must be above 0, as a net that is trained without guidance hides "
            "nothing, got 0."
        )
    first = next(iter(seen.values())) if isinstance(seen, Mapping) else seen
    rows = _rows(sample, _num_samples(first))
    recorder = MaskRecorder(_take(seen, rows), _take(y, rows))
    if final.callbacks == "disable":
        disabled = {f"callbacks__{name}": None for name, _ in final.get_default_callbacks()}
        final.set_params(callbacks=[recorder], **disabled)
    else:
        final.set_params(callbacks=[*(final.callbacks or []), recorder])
    final.fit(seen, y, **fit_params)
    numbered = [(f"{i}", step) for i, (_, step) in enumerate(steps)]
    found = unwrap(Pipeline([*numbered, ("net", final)]) if steps else final, X)
    encoder = found.token_encoder
    if encoder is None:
        return recorder.records_, found.feature_names, None
    # the words as they stand in the text, known or not, where the encoder reads the texts
    words = encoder.tokens_out(_take(X, rows[:1]))[0] if encoder is found.steps[0] else None
    return recorder.records_, words, encoder.get_token_names_out()


def _take(data, rows):
    if isinstance(data, Mapping):
        return {key: _take(value, rows) for key, value in data.items()}
    return _safe_indexing(data, rows)


def _rows(sample, n_samples):
    """The row of a sample, and others spread over the data."""
    if isinstance(sample, bool) or not isinstance(sample, (int, np.integer)):
        raise TypeError(f"sample must be an int, the row of X to be looked at, got {sample!r}.")
    if not -n_samples <= sample < n_samples:
        raise ValueError(f"sample must be a row of X, which has {n_samples}, got {sample}.")
    sample = int(sample) % n_samples
    others = np.linspace(0, n_samples - 1, min(n_samples, _MOST_ROWS)).round().astype(int)
    return [sample, *(int(row) for row in others if row != sample)][:_MOST_ROWS]


def names_for(kind, inputs, feature_names, token_names, known_names):
    """Names of the features or words of one sample; None where it has none of its own."""
    if kind == "image":
        return None
    n = inputs.shape[-1]
    if feature_names is not None:
        names = [str(name) for name in feature_names]
        if len(names) != n:
            what = {"tokens": "words of the sample", "series": "features"}.get(kind, "columns")
            raise ValueError(
                f"feature_names must be names of the {n} {what}, got {len(names)} names."
            )
        return names
    if kind == "tokens":
        if known_names is not None and len(known_names) == n:
            return list(known_names)
        if token_names is None:
            return [str(token) for token in inputs]
        names = np.asarray(token_names)
        if inputs.max() >= len(names):
            raise ValueError(
                f"token_names must name the ids up to {inputs.max()}, got {len(names)} names."
            )
        return [str(name) for name in names[inputs]]
    if known_names is not None and len(known_names) == n:
        return [str(name) for name in known_names]
    return [f"x{i}" for i in range(n)]
