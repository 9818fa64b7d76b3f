"""Modules given by name, and sizes told from the data."""

import inspect

import torch

from sgt_sklearn.modules import CNN, MLP

# name: (axes of X, module class)
NAMED_MODULES = {"mlp": (2, MLP), "cnn": (4, CNN)}
_OF_AXES = {axes: name for name, (axes, _) in NAMED_MODULES.items()}


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


def check_axes(module, shape):
    """Refuse an input whose number of axes a module given by name does not take.

    Parameters
    ----------
    module : str
        A valid name.
    shape : tuple of int
        Shape of X.

    Raises
    ------
    ValueError
        Naming the shape and what to do.
    """
    takes = set(_OF_AXES) if module == "auto" else {NAMED_MODULES[module][0]}
    if len(shape) not in takes:
        kinds = {2: "2 axes (tables)", 4: "4 axes (images)"}
        raise ValueError(
            f"module={module!r} takes X of {' or '.join(kinds[axes] for axes in sorted(takes))}, "
            f"got shape {shape}. Reshape X to (n_samples, n_features) or (n_samples, n_channels, "
            "height, width) (grey images: X[:, None]), or pass a module of your own."
        )


def named_module(module, n_axes):
    """Class of a module given by name, for input of a number of axes."""
    return NAMED_MODULES[_OF_AXES[n_axes] if module == "auto" else module][1]


def sizes_of(shape, n_outputs):
    """Sizes of the data, by the names under which a module's constructor may ask for them.

    Parameters
    ----------
    shape : tuple of int
        Shape of X.
    n_outputs : int or None
        Number of classes or targets, where it is known.

    Returns
    -------
    dict of str to int
        `n_features`, `n_outputs`; of series `n_timesteps`; of images `n_channels`, `height` and
        `width`.
    """
    sizes = {"n_features": shape[-1] if len(shape) < 4 else shape[1]}
    if len(shape) == 3:
        sizes["n_timesteps"] = shape[1]
    if len(shape) == 4:
        sizes |= dict(zip(("n_channels", "height", "width"), shape[1:], strict=True))
    return sizes if n_outputs is None else sizes | {"n_outputs": n_outputs}


def accepted_sizes(module, sizes):
    """The sizes that the constructor of a module class, or of an instance's class, takes."""
    constructor = type(module) if isinstance(module, torch.nn.Module) else module
    try:
        accepted = inspect.signature(constructor).parameters
    except (TypeError, ValueError):
        return {}
    return {name: size for name, size in (sizes or {}).items() if name in accepted}
