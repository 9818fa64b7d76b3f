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
    """Refuse sizes that are no integers of at least 1."""
    for name, size in sizes.items():
        if not _is_size(size):
            raise ValueError(f"{name} must be an integer of at least 1, got {size!r}.")


def check_size_tuple(name, sizes, *, at_least=1):
    """Refuse what is no tuple of so many sizes."""
    if (
        not isinstance(sizes, (tuple, list))
        or len(sizes) < at_least
        or not all(_is_size(size) for size in sizes)
    ):
        raise ValueError(
            f"{name} must be a tuple of {at_least} or more integers of at least 1, got {sizes!r}."
        )


def _is_size(value):
    return isinstance(value, Integral) and value >= 1


def make_activation(activation):
    """Build the activation layer of a name or class."""
    return ACTIVATIONS[activation]() if isinstance(activation, str) else activation()
