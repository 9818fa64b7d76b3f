"""Losses of weighted samples."""

import torch


def weighted_loss(values, weight, *, reduction="mean"):
    """Reduce the losses of the samples of a batch, each with its weight.

    Parameters
    ----------
    values : torch.Tensor of shape (n_samples, ...)
        Unreduced losses; several values of a sample are averaged (summed for "sum").
    weight : torch.Tensor of shape (n_samples,)
        Weights, not negative.
    reduction : {"mean", "sum", "none"}, default="mean"
        ``sum w_i l_i / sum w_i``, which is 0 where the weights sum to 0; ``sum w_i l_i``; or the
        values times their weights.

    Returns
    -------
    torch.Tensor
        A scalar; for "none", the shape of `values`.

    Raises
    ------
    ValueError
        If there is not one value, or row of values, a weight.

    Examples
    --------
    >>> import torch
    >>> weighted_loss(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 1.0]))
    tensor(2.)
    """
    if values.ndim == 0 or len(values) != len(weight):
        raise ValueError(
            "Weighted samples need one loss a sample: loss and divergence must return values of "
            f"shape ({len(weight)}, ...), got shape {tuple(values.shape)}. A criterion must obey "
            "reduction='none'."
        )
    if reduction == "mean":
        # divided before the cast: weights may lie outside the range of the losses' type
        weight = weight.to(torch.promote_types(weight.dtype, values.dtype))
        divisor = weight.sum()
        weight = weight / torch.where(divisor == 0, torch.ones_like(divisor), divisor)
    weight = weight.to(values)
    if reduction == "none":
        return weight.reshape(-1, *(1,) * (values.ndim - 1)) * values
    if values.ndim > 1:
        values = values.flatten(1)
        values = values.sum(1) if reduction == "sum" else values.mean(1)
    return (weight * values).sum()
