"""Multi-layer perceptron for tabular data."""

from torch import nn

from sgt_sklearn.modules._layers import check_layers, make_activation

_NORMALIZATIONS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


class MLP(nn.Sequential):
    """Multi-layer perceptron.

    Parameters
    ----------
    n_features : int
        Number of input columns; inputs have shape (n_samples, n_features).
    n_outputs : int
        Number of outputs: logits of the classes, or regression targets.
    hidden : tuple of int, default=(32,)
        Sizes of the hidden layers; ``()`` is a linear model.
    activation : {"relu", "gelu", "silu", "softplus", "tanh"} or module class, default="relu"
        Activation of the hidden layers.
    normalization : {"batch", "layer"} or None, default=None
        Normalisation before each activation.
    dropout : float, default=0.0
        Dropout probability after each activation.

    Raises
    ------
    ValueError
        If `activation`, `normalization` or `dropout` is none of these.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.modules import MLP
    >>> MLP(n_features=4, n_outputs=3)(torch.zeros(5, 4)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        n_features,
        n_outputs,
        hidden=(32,),
        activation="relu",
        normalization=None,
        dropout=0.0,
    ):
        check_layers(activation, normalization, dropout, normalizations=_NORMALIZATIONS)
        layers = []
        size = n_features
        for width in hidden:
            layers.append(nn.Linear(size, width))
            if normalization is not None:
                layers.append(_NORMALIZATIONS[normalization](width))
            layers.append(make_activation(activation))
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
            size = width
        layers.append(nn.Linear(size, n_outputs))
        super().__init__(*layers)
