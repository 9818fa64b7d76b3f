"""Standardisation of the input inside the network."""

import torch
from torch import nn


class StandardizedInput(nn.Module):
    """A network that standardises its input first, so that gradients keep the units of the input.

    Parameters
    ----------
    module : torch.nn.Module
        The network that gets ``(x - mean) / scale``.
    mean, scale : array-like that broadcasts to one sample
        Statistics of the training data; a zero in `scale` (a constant feature) counts as 1.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.modules import StandardizedInput
    >>> StandardizedInput(torch.nn.Identity(), mean=[1.0], scale=[2.0])(torch.tensor([[5.0]]))
    tensor([[2.]])
    """

    def __init__(self, module, mean, scale):
        super().__init__()
        self.module = module
        dtype = torch.get_default_dtype()
        scale = torch.as_tensor(scale, dtype=dtype)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=dtype))
        # a factor, because the gradient of a division costs several times that of a product
        self.register_buffer("factor", torch.where(scale == 0, 1.0, 1 / scale))

    def forward(self, X, lengths=None):
        """Standardise and pass on.

        Parameters
        ----------
        X : torch.Tensor of shape (n_samples, ...)
            Input in its own units.
        lengths : torch.Tensor of int64, shape (n_samples,), default=None
            Number of valid steps of each series, for modules that take it; passed on if given.

        Returns
        -------
        torch.Tensor
            The output of the wrapped module.
        """
        standardized = (X - self.mean).mul_(self.factor)
        return self.module(standardized) if lengths is None else self.module(standardized, lengths)
