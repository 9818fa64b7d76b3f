"""Named activations and normalisations that the default networks share."""

import torch

ACTIVATIONS = {
    "relu": torch.nn.ReLU,
    "gelu": torch.nn.GELU,
    "silu": torch.nn.SiLU,
    "softplus": torch.nn.Softplus,
    "tanh": torch.nn.Tanh,
}


def make_activation(activation):
    """Build the activation layer of a name or class."""
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {sorted(ACTIVATIONS)} or a module class, "
                f"got {activation!r}."
            )
        activation = ACTIVATIONS[activation]
    return activation()


def make_normalization(normalization, size, *, choices):
    """Build the normalisation layer of a name, as a list of no or one layer."""
    if normalization is None:
        return []
    if normalization not in choices:
        raise ValueError(
            f"normalization must be None or one of {sorted(choices)}, got {normalization!r}."
        )
    return [choices[normalization](size)]


def check_dropout(dropout):
    """Refuse a dropout probability outside [0, 1)."""
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout!r}.")
    return dropout
