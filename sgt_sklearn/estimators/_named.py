"""Modules given by name, the kinds of input they take, and sizes told from the data."""

import inspect

import numpy as np
import torch

from sgt_sklearn import modules
from sgt_sklearn._series import is_ragged

# name: (kind of input, module class)
NAMED_MODULES = {
    "mlp": ("tabular", modules.MLP),
    "cnn": ("image", modules.CNN),
    "tcn": ("series", modules.TCN),
    "gru": ("series", modules.GRU),
    "lstm": ("series", modules.LSTM),
    "input_cell_attention": ("series", modules.InputCellAttentionLSTM),
    "transformer": ("series", modules.TransformerEncoder),
    "text_bag": ("tokens", modules.TextBag),
    "text_cnn": ("tokens", modules.TextCNN),
    "text_lstm": ("tokens", modules.TextLSTM),
    "text_transformer": ("tokens", modules.TextTransformer),
}
_DEFAULT = {"tabular": "mlp", "series": "tcn", "image": "cnn"}
_OF_AXES = {2: "tabular", 3: "series", 4: "image"}
_SHAPES = {
    "tabular": "2 axes (tables of shape (n_samples, n_features))",
    "series": "3 axes (series of shape (n_samples, n_timesteps, n_features), or a list of arrays "
    "of shape (n_timesteps_i, n_features))",
    "image": "4 axes (images of shape (n_samples, n_channels, height, width))",
    "tokens": "2 axes of integer token ids (texts through sgt_sklearn.preprocessing.TokenEncoder)",
}

# learning rate and optimizer arguments of "auto", where a module learns better with its own
_OPTIMIZERS = {
    "gru": (torch.optim.AdamW, 5e-3, {"weight_decay": 1.0}),
    "transformer": (torch.optim.AdamW, 2e-3, {"weight_decay": 2.0}),
}
_DEFAULT_OPTIMIZER = (torch.optim.Adam, 3e-3, {})


def check_module(module):
    """Refuse a `module` parameter that names or builds no module.

    Parameters
    ----------
    module : object
        The parameter of an estimator.

    Raises
    ------
    ValueError, TypeError
        For an unknown name; for anything that is neither a name nor callable.
    """
    must_be = f"'auto', one of {sorted(NAMED_MODULES)}, or a torch module class or instance"
    if isinstance(module, str):
        if module != "auto" and module not in NAMED_MODULES:
            raise ValueError(f"module must be {must_be}, got {module!r}.")
    elif not callable(module):
        raise TypeError(f"module must be {must_be}, got {module!r} of {type(module).__name__}.")


def kind_of_data(module, X):
    """Kind of input that X is to be read as for a module given by name.

    Parameters
    ----------
    module : str
        A valid name.
    X : object
        Input, as passed by the user.

    Returns
    -------
    {"tabular", "series", "image", "tokens"} or None
        None where "auto" has no network for it, as it has another number of axes or is no array.
    """
    takes = _takes(module)
    if takes in (["series"], ["tokens"]):
        return takes[0]
    try:
        if is_ragged(X) and "series" in takes:
            return "series"
        return _OF_AXES.get(len(X.shape if hasattr(X, "shape") else np.asarray(X).shape))
    except ValueError:  # nested lists of unequal length
        arrays = isinstance(X, (list, tuple)) and any(isinstance(x, np.ndarray) for x in X)
        return "series" if arrays and "series" in takes else None


def check_kind(module, kind, shape):
    """Refuse an input of a kind that a module given by name does not take.

    Parameters
    ----------
    module : str
        A valid name.
    kind : str or None
        As of :func:`kind_of_data`.
    shape : tuple of int
        Shape of X, for the message.

    Raises
    ------
    ValueError
        Naming the shape and what to do.
    """
    takes = _takes(module)
    if kind not in takes:
        raise ValueError(
            f"module={module!r} takes X of {', or '.join(_SHAPES[k] for k in takes)}, got shape "
            f"{shape}. Reshape X (grey images: X[:, None]; series of one feature: X[:, :, None]), "
            "name another module, or pass a module of your own."
        )


def _takes(module):
    return list(_DEFAULT) if module == "auto" else [NAMED_MODULES[module][0]]


def named_module(module, kind):
    """Class of a module given by name, for a kind of input."""
    return NAMED_MODULES[_DEFAULT[kind] if module == "auto" else module][1]


def default_optimizer(module):
    """Optimizer, learning rate and further arguments that belong to a `module` parameter."""
    if isinstance(module, str):
        return _OPTIMIZERS.get(module, _DEFAULT_OPTIMIZER)
    return _DEFAULT_OPTIMIZER


def sizes_of(kind, X, n_outputs):
    """Sizes of the data, by the names under which a module's constructor may ask for them.

    Parameters
    ----------
    kind : {"tabular", "series", "image", "tokens"} or None
        Kind of the input; None is any other.
    X : array or tensor of shape (n_samples, ...)
        The input.
    n_outputs : int or None
        Number of classes or targets, where it is known.

    Returns
    -------
    dict of str to int
        `n_features`, `n_outputs`; of series `n_timesteps`; of images `n_channels`, `height` and
        `width`; of tokens `vocabulary_size`, one more than the largest id.
    """
    shape = X.shape
    if kind == "tokens":
        sizes = {"vocabulary_size": int(X.max()) + 1}
    elif kind == "image":
        sizes = {"n_features": shape[1]}
        sizes |= dict(zip(("n_channels", "height", "width"), shape[1:], strict=True))
    else:
        sizes = {"n_features": shape[-1] if len(shape) < 4 else shape[1]}
        if kind == "series":
            sizes["n_timesteps"] = shape[1]
    return sizes if n_outputs is None else sizes | {"n_outputs": n_outputs}


def accepted_sizes(module, sizes):
    """The sizes that the constructor of a module class, or of an instance's class, takes."""
    constructor = type(module) if isinstance(module, torch.nn.Module) else module
    try:
        accepted = inspect.signature(constructor).parameters
    except (TypeError, ValueError):
        return {}
    return {name: size for name, size in (sizes or {}).items() if name in accepted}
