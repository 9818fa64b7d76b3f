"""Convolutional network for images."""

from functools import partial

from torch import nn

from sgt_sklearn.modules._layers import check_layers, make_activation

_NORMALIZATIONS = {"batch": nn.BatchNorm2d, "group": partial(nn.GroupNorm, 1)}


class CNN(nn.Sequential):
    """Convolutional network: blocks of convolution, activation and max pooling, then an MLP head.

    Parameters
    ----------
    n_channels, height, width : int
        Size of the images; inputs have shape (n_samples, n_channels, height, width).
    n_outputs : int
        Number of outputs: logits of the classes, or regression targets.
    channels : tuple of int, default=(16, 32)
        Output channels of the convolution blocks. Each block halves height and width (rounded up)
        by max pooling.
    kernel_size : int, default=5
        Odd size of the kernels; padding keeps the image size.
    hidden : tuple of int, default=(64,)
        Sizes of the hidden layers between the last block and the output.
    activation : {"relu", "gelu", "silu", "softplus", "tanh"} or module class, default="relu"
        Activation of all layers.
    normalization : {"batch", "group"} or None, default=None
        Normalisation after each convolution; "group" has one group (layer normalisation).
    dropout : float, default=0.0
        Dropout probability after each hidden layer.

    Raises
    ------
    ValueError
        If `kernel_size` is even, or `activation`, `normalization` or `dropout` is none of these.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.modules import CNN
    >>> net = CNN(n_channels=1, height=28, width=28, n_outputs=10)
    >>> net(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        n_channels,
        height,
        width,
        n_outputs,
        channels=(16, 32),
        kernel_size=5,
        hidden=(64,),
        activation="relu",
        normalization=None,
        dropout=0.0,
    ):
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size!r}.")
        check_layers(activation, normalization, dropout, normalizations=_NORMALIZATIONS)
        layers = []
        size = n_channels
        for width_out in channels:
            layers.append(nn.Conv2d(size, width_out, kernel_size, padding=kernel_size // 2))
            if normalization is not None:
                layers.append(_NORMALIZATIONS[normalization](width_out))
            layers += [make_activation(activation), nn.MaxPool2d(2, ceil_mode=True)]
            size, height, width = width_out, -(-height // 2), -(-width // 2)
        layers.append(nn.Flatten())
        size = size * height * width
        for width_out in hidden:
            layers += [nn.Linear(size, width_out), make_activation(activation)]
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
            size = width_out
        layers.append(nn.Linear(size, n_outputs))
        super().__init__(*layers)
