"""Temporal convolutional network for series."""

from torch import nn
from torch.nn import functional

from sgt_sklearn.modules._layers import (
    check_choice,
    check_layers,
    check_size_tuple,
    check_sizes,
    make_activation,
)
from sgt_sklearn.modules._sequence import POOLINGS, SeriesModule, make_dropout


class _CausalConv1d(nn.Conv1d):
    """Convolution over (n_samples, n_channels, n_timesteps) that sees no later step."""

    def forward(self, x):
        # padding the left alone is faster than padding both sides and cutting the right off
        return super().forward(
            functional.pad(x, ((self.kernel_size[0] - 1) * self.dilation[0], 0))
        )


class _ChannelNorm(nn.LayerNorm):
    """Layer normalisation of each step over its channels."""

    def forward(self, x):
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


_NORMALIZATIONS = {"layer": _ChannelNorm}


class _Block(nn.Module):
    """Two causal convolutions of one dilation, with a shortcut around them."""

    def __init__(self, n_in, n_out, kernel_size, dilation, activation, normalization, dropout):
        super().__init__()
        layers = []
        for size in (n_in, n_out):
            layers.append(_CausalConv1d(size, n_out, kernel_size, dilation=dilation))
            if normalization is not None:
                layers.append(_NORMALIZATIONS[normalization](n_out))
            layers += [make_activation(activation), make_dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.shortcut = nn.Identity() if n_in == n_out else nn.Conv1d(n_in, n_out, 1)
        self.activation = make_activation(activation)

    def forward(self, x):
        return self.activation(self.layers(x) + self.shortcut(x))


class TCN(SeriesModule):
    """Temporal convolutional network: dilated causal residual blocks, pooled over time.

    Each block is two causal convolutions, each with activation and dropout, and a shortcut around
    both (a convolution of width 1 where the number of channels changes); block i, from 0, has
    dilation 2**i. A step of the last block sees the
    ``receptive_field = 1 + 2 * (kernel_size - 1) * (2**n_blocks - 1)`` steps up to itself.

    Parameters
    ----------
    n_features : int
        Number of features of a step; inputs have shape (n_samples, n_timesteps, n_features).
    n_outputs : int
        Number of outputs: logits of the classes, or regression targets.
    channels : tuple of int, default=(32, 32, 32, 32)
        Channels of the blocks.
    kernel_size : int, default=3
        Width of the convolutions; with four blocks, 3 sees 61 steps.
    activation : {"relu", "gelu", "silu", "softplus", "tanh"} or module class, default="relu"
        Activation of all layers.
    normalization : {"layer"} or None, default=None
        Normalisation after each convolution, of each step over its channels.
    pooling : {"max", "mean", "last"}, default="max"
        How the features of the valid steps become one vector.
    dropout : float, default=0.0
        Dropout probability after each convolution's activation.

    Attributes
    ----------
    receptive_field : int
        Number of steps that a feature of the last block depends on.

    Raises
    ------
    ValueError
        If an option is none of these.

    References
    ----------
    S. Bai, J. Z. Kolter, V. Koltun. An Empirical Evaluation of Generic Convolutional and Recurrent
    Networks for Sequence Modeling. 2018, arXiv 1803.01271.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.modules import TCN
    >>> net = TCN(n_features=6, n_outputs=4)
    >>> net(torch.zeros(2, 100, 6)).shape
    torch.Size([2, 4])
    >>> net.receptive_field
    61
    """

    def __init__(
        self,
        n_features,
        n_outputs,
        *,
        channels=(32, 32, 32, 32),
        kernel_size=3,
        activation="relu",
        normalization=None,
        pooling="max",
        dropout=0.0,
    ):
        check_size_tuple("channels", channels)
        check_sizes(kernel_size=kernel_size)
        check_layers(activation, normalization, dropout, normalizations=_NORMALIZATIONS)
        check_choice("pooling", pooling, POOLINGS)
        super().__init__(channels[-1], n_outputs, pooling, 0.0)
        self.receptive_field = 1 + 2 * (kernel_size - 1) * (2 ** len(channels) - 1)
        sizes = (n_features, *channels)
        self.blocks = nn.Sequential(
            *(
                _Block(
                    sizes[i], sizes[i + 1], kernel_size, 2**i, activation, normalization, dropout
                )
                for i in range(len(channels))
            )
        )

    def _features(self, X, lengths):
        return self.blocks(X.transpose(1, 2)).transpose(1, 2)
