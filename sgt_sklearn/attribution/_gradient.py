"""Input gradients that leave the parameters and their gradients alone."""

from contextlib import contextmanager
from functools import cache

import torch


def parent_modules(forward):
    """List the torch modules behind a forward callable, itself if it is one.

    Parameters
    ----------
    forward : callable
        A module, a bound method of one, or any other callable.

    Returns
    -------
    tuple of torch.nn.Module
        Empty for a callable that does not name its module.

    Examples
    --------
    >>> import torch
    >>> layer = torch.nn.Linear(2, 1)
    >>> parent_modules(layer) == parent_modules(layer.forward) == (layer,)
    True
    >>> parent_modules(torch.sin)
    ()
    """
    owner = forward if isinstance(forward, torch.nn.Module) else getattr(forward, "__self__", None)
    return (owner,) if isinstance(owner, torch.nn.Module) else ()


@contextmanager
def evaluation_mode(modules):
    """Put modules into evaluation mode and give each submodule its own mode back afterwards.

    cuDNN is off inside where there are recurrent layers, whose backward pass it refuses in
    evaluation mode.

    Parameters
    ----------
    modules : iterable of torch.nn.Module
        The modules, submodules included.

    Yields
    ------
    None
        The modes are restored on leaving, also after an error.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout().eval())
    >>> with evaluation_mode([net]):
    ...     net.training
    False
    >>> [layer.training for layer in net]
    [True, False]
    """
    submodules = [m for module in modules for m in module.modules()]
    training = [m for m in submodules if m.training]
    recurrent = any(isinstance(m, torch.nn.RNNBase) for m in submodules)
    cudnn = torch.backends.cudnn.enabled
    for module in training:
        module.training = False
    try:
        if recurrent:
            # cudnn.flags() would also read and write the precision flags, and raises where the
            # user gave convolutions and recurrent layers different ones
            torch.backends.cudnn.enabled = False
        yield
    finally:
        if recurrent:
            torch.backends.cudnn.enabled = cudnn
        for module in training:
            module.training = True


def gradient_with_respect_to(output, x, *, output_gradient=None, retain_graph=False):
    """Differentiate an output with respect to an input already in its graph, row by row.

    Parameters
    ----------
    output : torch.Tensor of shape (n_samples, ...)
        Values, each row depending on its own row of `x` only.
    x : torch.Tensor of shape (n_samples, ...)
        The input, requiring gradients.
    output_gradient : torch.Tensor of the shape of `output`, default=None
        Weights of the values of a row, whose weighted sum is differentiated; None is all ones.
    retain_graph : bool, default=False
        Keep the graph for a later backward pass.

    Returns
    -------
    torch.Tensor of shape (n_samples, ...)
        The gradient; gradients of parameters are neither computed nor touched.

    Raises
    ------
    TypeError
        If the output does not depend on `x` through differentiable operations.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0, 2.0]], requires_grad=True)
    >>> gradient_with_respect_to((x**2).sum(1), x)
    tensor([[2., 4.]])
    """
    message = (
        "The module's output has no gradient path to its input: saliency is the gradient of the "
        "output with respect to the input, so forward() must be differentiable (no detach(), "
        "no_grad(), argmax or integer conversion on the way). Change the module, or set "
        "consistency_weight=0 to train without guidance."
    )
    if not (output.requires_grad and x.requires_grad):
        raise TypeError(message)
    if output_gradient is None:
        output_gradient = torch.ones_like(output)
    if output.is_cuda:
        _enter_backward_thread(output.device)
    (gradient,) = torch.autograd.grad(
        output, x, output_gradient, retain_graph=retain_graph, allow_unused=True
    )
    if gradient is None:
        raise TypeError(message)
    return gradient


@cache
def _enter_backward_thread(device):
    """Make the CUDA context current in the thread of autograd, once a process and device.

    A backward pass from a given output gradient starts with a matrix product. As the first work of
    that thread it makes cuBLAS find no context, and torch warn; any other kernel brings one.
    """
    with torch.enable_grad():
        torch.ones((), device=device, requires_grad=True).exp().backward()


def check_floating_point(x):
    """Raise TypeError for an input without a gradient."""
    if not x.is_floating_point():
        raise TypeError(
            f"x must be a floating-point tensor to have a gradient, got {x.dtype}. "
            "Convert it with x.float(), or attribute to the embedding of integer inputs."
        )


def input_gradient(function, x):
    """Gradient of ``function(x)`` with respect to `x`, row by row.

    Parameters
    ----------
    function : callable
        Maps a tensor of the shape of `x` to one scalar a sample, shape (n_samples,).
    x : torch.Tensor of shape (n_samples, ...)
        A floating-point input.

    Returns
    -------
    torch.Tensor of shape (n_samples, ...)
        The gradient at `x`, detached.

    Raises
    ------
    TypeError
        If `x` is not floating point or the function has no gradient path to it.

    Examples
    --------
    >>> import torch
    >>> input_gradient(lambda x: (x**3).sum(1), torch.tensor([[1.0, 2.0]]))
    tensor([[ 3., 12.]])
    """
    check_floating_point(x)
    with torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        # a copy, as the module may work in place on what it gets
        return gradient_with_respect_to(function(leaf.clone()), leaf)
