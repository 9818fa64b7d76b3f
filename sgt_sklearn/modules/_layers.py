"""Named activations and normalisations that the default networks share."""

from numbers import Integral

import torch

ACTIVATIONS = {
    "relu": torch.nn.ReLU,
    "gelu": torch.nn.GELU,
    "silu": torch.nn.SiLU,
    "softplus": torch.nn.Softplus,
    "tanh": torch.nn.Tanh,
}


def check_layers(activation, normalization, dropout, *, normalizations):
    """Refuse names and probabilities that no layer could be built from."""
    if isinstance(activation, str) and activation not in ACTIVATIONS:
        raise ValueError(
            f"activation must be one of {sorted(ACTIVATIONS)} or a module class, "
            f"got {activation!r}."
        )
    if normalization is not None and normalization not in normalizations:
        raise ValueError(
            f"normalization must be None or one of {sorted(normalizations)}, "
            f"got {normalization!r}."
        )
    check_dropout(dropout)


def check_dropout(dropout):
    """Refuse what is no probability, and 1, which would leave nothing."""
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout!r}.")


def check_choice(name, value, choices):
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {sorted(choices)}, got {value!r}.")


def check_sizes(**sizes):
    """Refuse sizes, or tuples of sizes, that are no integers of at least 1."""
    for name, value in sizes.items():
        if isinstance(value, (tuple, list)):
            good = len(value) > 0 and all(isinstance(v, Integral) and v >= 1 for v in value)
            must_be = "a tuple of integers of at least 1, and hold at least one"
        else:
            good = isinstance(value, Integral) and value >= 1
            must_be = "an integer of at least 1"
        if not good:
            raise ValueError(f"{name} must be {must_be}, got {value!r}.")


def make_activation(activation):
    """Build the activation layer of a name or class."""
    return ACTIVATIONS[activation]() if isinstance(activation, str) else activation()
