"""Named activations and normalisations that the default networks share."""

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
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout!r}.")


def make_activation(activation):
    """Build the activation layer of a name or class."""
    return ACTIVATIONS[activation]() if isinstance(activation, str) else activation()
