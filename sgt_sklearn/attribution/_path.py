"""Gradient attributions along the straight path from a baseline to the input."""

import numpy as np
import torch

from sgt_sklearn.attribution._gradient import check_floating_point, input_gradient


def path_gradient(function, x, *, baseline, n_steps=50):
    """Gradient averaged along the path from a baseline to the input.

    Integrated gradients without the factor ``x - baseline``: it measures how strongly the output
    reacts to each feature on the way, also where the gradient at `x` itself has saturated.

    Parameters
    ----------
    function : callable
        Maps a tensor of the shape of `x` to one scalar a sample, shape (n_samples,).
    x : torch.Tensor of shape (n_samples, ...)
        The input to explain.
    baseline : torch.Tensor that broadcasts to `x`
        Start of the path.
    n_steps : int, default=50
        Points of the Gauss-Legendre rule.

    Returns
    -------
    torch.Tensor of shape (n_samples, ...)
        Output units per input unit.

    Examples
    --------
    >>> import torch
    >>> path_gradient(lambda x: (x**2).sum(1), torch.tensor([[3.0]]), baseline=torch.zeros(1))
    tensor([[3.0000]])
    """
    check_floating_point(x)
    x = x.detach()
    points, weights = np.polynomial.legendre.leggauss(n_steps)
    total = torch.zeros_like(x)
    # one point at a time: memory stays that of one batch, and on MLPs this is faster as well
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        total += weight * input_gradient(function, baseline + point * (x - baseline))
    return total


def integrated_gradients(function, x, *, baseline, n_steps=50):
    """Integrated gradients: ``x - baseline`` times the gradient averaged along the path.

    Parameters
    ----------
    function : callable
        Maps a tensor of the shape of `x` to one scalar a sample, shape (n_samples,).
    x : torch.Tensor of shape (n_samples, ...)
        The input to explain.
    baseline : torch.Tensor that broadcasts to `x`
        Start of the path; attributions sum to ``function(x) - function(baseline)``.
    n_steps : int, default=50
        Points of the Gauss-Legendre rule.

    Returns
    -------
    torch.Tensor of shape (n_samples, ...)
        Output units.

    References
    ----------
    Sundararajan, Taly, Yan. "Axiomatic attribution for deep networks". ICML 2017.
    arXiv 1703.01365.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[3.0, 1.0]])
    >>> integrated_gradients(lambda x: (x**2).sum(1), x, baseline=torch.zeros(2))
    tensor([[9.0000, 1.0000]])
    """
    gradient = path_gradient(function, x, baseline=baseline, n_steps=n_steps)
    return (x.detach() - baseline) * gradient
