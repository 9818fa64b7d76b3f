"""Divergences between the outputs on the clean and on the masked input, one value a sample."""

from functools import partial

import torch
from torch.nn import functional as F


def _reduce(values, reduction):
    if values.ndim == 1:
        return values
    values = values.flatten(1)
    return values.sum(1) if reduction == "sum" else values.mean(1)


def categorical_kl(output, masked_output, *, reduction="mean"):
    """Kullback-Leibler divergence of softmax outputs, KL(clean || masked), classes on axis 1."""
    log_p = output.log_softmax(1)
    log_q = masked_output.log_softmax(1)
    # a sum over classes; axes behind them (positions) are reduced as the criterion reduces them
    return _reduce((log_p.exp() * (log_p - log_q)).sum(1), reduction)


def bernoulli_kl(output, masked_output, *, reduction="mean"):
    """Kullback-Leibler divergence of sigmoid outputs, KL(clean || masked)."""
    p = torch.sigmoid(output)
    on = F.logsigmoid(output) - F.logsigmoid(masked_output)
    off = F.logsigmoid(-output) - F.logsigmoid(-masked_output)
    return _reduce(p * on + (1 - p) * off, reduction)


def squared_difference(output, masked_output, *, reduction="mean"):
    """Squared difference: the KL of equal-variance Gaussians on the scale of ``MSELoss``."""
    return _reduce((output - masked_output) ** 2, reduction)


DIVERGENCES = {
    "categorical_kl": categorical_kl,
    "bernoulli_kl": bernoulli_kl,
    "squared_difference": squared_difference,
}


def make_divergence(consistency, *, reduction="mean"):
    """Resolve a divergence name or callable.

    Parameters
    ----------
    consistency : {"categorical_kl", "bernoulli_kl", "squared_difference"} or callable
        Name, or a function ``(output, masked_output) -> (n_samples,)``, returned as it is.
    reduction : {"mean", "sum"}, default="mean"
        How values of several outputs of one sample become one value.

    Returns
    -------
    callable
        A function ``(output, masked_output) -> (n_samples,)``.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> import torch
    >>> divergence = make_divergence("squared_difference")
    >>> divergence(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]]))
    tensor([2.])
    """
    if callable(consistency):
        return consistency
    if consistency not in DIVERGENCES:
        raise ValueError(
            f"consistency must be one of {sorted(DIVERGENCES)} or a callable "
            f"(output, masked_output) -> (n_samples,), got {consistency!r}."
        )
    return partial(DIVERGENCES[consistency], reduction=reduction)
