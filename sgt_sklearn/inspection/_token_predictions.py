"""Ids of tokens in front of an ensemble, which have no means and no numbers in between."""

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNet
from skorch.utils import to_numpy

from sgt_sklearn.estimators._explained_net import ExplainedNet
from sgt_sklearn.estimators._tokens import token_counts
from sgt_sklearn.guidance import UNKNOWN_TOKEN
from sgt_sklearn.inspection._baselines import marginal
from sgt_sklearn.inspection._ensembles import members_of


def token_lengths(estimator, X):
    """Number of tokens of each row, or None where X holds no ids that a net inside embeds.

    Parameters
    ----------
    estimator : fitted estimator
        An ensemble, or any other estimator.
    X : array-like of shape (n_samples, ...)
        What it predicts from.

    Returns
    -------
    ndarray of int, shape (n_samples,), or None
        Position behind the last token that is no padding.
    """
    if getattr(X, "ndim", 0) != 2 or getattr(X, "dtype", np.dtype(float)).kind not in "iu":
        return None
    ids = torch.as_tensor(np.array(X))
    embedding = _embedding(estimator, ids)
    if embedding is None:
        return None
    counts = token_counts(ids, embedding)
    return np.full(len(X), X.shape[1]) if counts is None else to_numpy(counts)


def _embedding(estimator, ids):
    """Where the first net inside embeds ids, or None."""
    if isinstance(estimator, FrozenEstimator):
        return _embedding(estimator.estimator, ids)
    if hasattr(estimator, "best_estimator_"):
        return _embedding(estimator.best_estimator_, ids)
    if isinstance(estimator, NeuralNet):
        try:
            return ExplainedNet(estimator).embedding(ids)
        except TypeError:  # integers that are numbers
            return None
    found = (_embedding(member.estimator, ids) for member in members_of(estimator) or ())
    return next((embedding for embedding in found if embedding is not None), None)


def hidden_tokens(request, x, lengths):
    """Ids that take the place of hidden tokens, shape of x; padding stays as it is.

    Raises
    ------
    ValueError
        If the baseline is none of ids.
    """
    baseline = request.baseline
    if request.facts.baseline is None:
        return x
    if isinstance(baseline, str) and baseline in ("auto", "zeros"):
        hidden = np.full_like(x, UNKNOWN_TOKEN)
    elif isinstance(baseline, str) and baseline == "marginal":
        hidden = marginal(x, lengths, UNKNOWN_TOKEN, request.options, request.seed)
    else:
        hidden = None if isinstance(baseline, str) else np.asarray(baseline)
        if hidden is None or hidden.dtype.kind not in "iu":
            raise ValueError(
                f"baseline must be 'auto' (the unknown token), 'marginal' or an array of ids for "
                f"an input of tokens and method={request.method!r}, got {baseline!r:.80}."
            )
        try:
            hidden = np.broadcast_to(hidden, x.shape).astype(x.dtype)
        except ValueError:
            raise ValueError(
                f"baseline must broadcast to X, with shape {x.shape} or {x.shape[1:]}, got "
                f"{hidden.shape}."
            ) from None
    return np.where(np.arange(x.shape[1]) < lengths[:, None], hidden, x)
