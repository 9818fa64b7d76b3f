"""Gradient attributions at the input itself."""

import torch

from sgt_sklearn.attribution._gradient import check_floating_point, input_gradient


def saliency(function, x):
    """Gradient of the output with respect to the input, signed.

    Parameters
    ----------
    function : callable
        Maps a tensor of the shape of `x` to one scalar a sample, shape (n_samples,).
    x : torch.Tensor of shape (n_samples, ...)
        The input to explain.

    Returns
    -------
    torch.Tensor of shape (n_samples, ...)
        Output units per input unit.

    References
    ----------
    Simonyan, Vedaldi, Zisserman. "Deep inside convolutional networks: visualising image
    classification models and saliency maps". ICLR workshop 2014. arXiv 1312.6034.

    Examples
    --------
    >>> import torch
    >>> saliency(lambda x: -3 * x[:, 0], torch.ones(1, 2))
    tensor([[-3., 0.]])
    """
    return input_gradient(function, x)


def input_x_gradient(function, x):
    """Input times gradient.

    Parameters
    ----------
    function : callable
        Maps a tensor of the shape of `x` to one scalar a sample, shape (n_samples,).
    x : torch.Tensor of shape (n_samples, ...)
        The input to explain.

    Returns
    -------
    torch.Tensor of shape (n_samples, ...)
        Output units.

    References
    ----------
    Shrikumar, Greenside, Shcherbina, Kundaje. "Not just a black box: learning important features
    through propagating activation differences". 2016. arXiv 1605.01713.

    Examples
    --------
    >>> import torch
    >>> input_x_gradient(lambda x: -3 * x[:, 0], torch.full((1, 2), 2.0))
    tensor([[-6., 0.]])
    """
    return x.detach() * input_gradient(function, x)


def smooth_grad(function, x, *, noise_scale, n_samples=25, generator=None):
    """Gradient averaged over Gaussian noise around the input.

    Parameters
    ----------
    function : callable
        Maps a tensor of the shape of `x` to one scalar a sample, shape (n_samples,).
    x : torch.Tensor of shape (n_samples, ...)
        The input to explain.
    noise_scale : float or torch.Tensor that broadcasts to `x`
        Standard deviation of the noise, in units of `x`.
    n_samples : int, default=25
        Number of noisy copies of each row.
    generator : torch.Generator, default=None
        Source of the noise; None draws from torch's global generator.

    Returns
    -------
    torch.Tensor of shape (n_samples, ...)
        Output units per input unit.

    References
    ----------
    Smilkov, Thorat, Kim, Viegas, Wattenberg. "SmoothGrad: removing noise by adding noise". 2017.
    arXiv 1706.03825.

    Examples
    --------
    >>> import torch
    >>> smooth_grad(lambda x: -3 * x[:, 0], torch.ones(1, 2), noise_scale=0.1)
    tensor([[-3., 0.]])
    """
    check_floating_point(x)
    x = x.detach()
    total = torch.zeros_like(x)
    for _ in range(n_samples):
        noise = torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)
        total += input_gradient(function, x + noise_scale * noise)
    return total / n_samples
