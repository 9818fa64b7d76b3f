"""Every random generator that a fit may draw from: the global ones and those that it was given."""

import functools
import inspect
import random
import types

import numpy as np
import torch

from sgt_sklearn._random import capture_generators, restore_generators

_KINDS = (torch.Generator, np.random.RandomState, np.random.Generator, random.Random)
_NOT_LOOKED_INTO = (
    *(torch.Tensor, np.ndarray, type, types.ModuleType, types.FunctionType),
    *(types.BuiltinFunctionType, str, bytes),
)
_DEPTH, _ITEMS = 6, 100


def is_generator(value):
    """Whether a value is a random generator of torch, numpy or Python."""
    return isinstance(value, _KINDS)


def find_generators(roots, besides=()):
    """Generators that objects hold in their attributes, however deep within reason.

    Parameters
    ----------
    roots : dict of str to object
        Where to look.
    besides : iterable of object
        What not to look into.

    Returns
    -------
    dict of str to generator
        Generators by the path to them; each occurs once.
    """
    found, seen = {}, {id(value) for value in besides}

    def look(value, path, depth):
        if id(value) in seen or depth > _DEPTH:
            return
        if is_generator(value):
            seen.add(id(value))
            found[path] = value
            return
        if isinstance(value, _NOT_LOOKED_INTO):
            return
        parts = _parts(value)
        if parts:
            seen.add(id(value))
        for name, part in parts:
            look(part, f"{path}.{name}", depth + 1)

    for name, root in roots.items():
        look(root, name, 0)
    return found


def _parts(value):
    if isinstance(value, (list, tuple)):
        return list(enumerate(value[:_ITEMS]))
    if isinstance(value, dict):
        items = list(value.items())[:_ITEMS]
        return [(k if isinstance(k, str) else i, part) for i, (k, part) in enumerate(items)]
    if isinstance(value, functools.partial):
        return [("args", value.args), ("keywords", value.keywords), ("func", value.func)]
    if inspect.ismethod(value):
        return [("self", value.__self__)]
    if isinstance(value, torch.nn.Module):
        # all submodules at once: they nest deeper than other objects
        return [
            (f"{name}.{key}", part)
            for name, module in value.named_modules()
            for key, part in vars(module).items()
            if key not in ("_parameters", "_buffers", "_modules")
        ]
    return list(getattr(value, "__dict__", {}).items())


def generator_states(generators):
    """States of the global generators and of those given.

    Parameters
    ----------
    generators : dict of str to generator
        See :func:`find_generators`.

    Returns
    -------
    dict
        To go on from with :func:`restore_generator_states`.
    """
    return {
        "global": capture_generators(),
        "python": random.getstate(),
        "own": {path: _get_state(generator) for path, generator in generators.items()},
    }


def restore_generator_states(states, generators):
    """Set generators to states from :func:`generator_states`.

    Parameters
    ----------
    states : dict
        The states.
    generators : dict of str to generator
        See :func:`find_generators`.

    Raises
    ------
    ValueError
        If a generator is missing here, or a state is none of its kind.
    """
    missing = sorted(set(states["own"]) - set(generators))
    if missing:
        raise ValueError(f"the generators {', '.join(missing)} are not there")
    _check_numpy_state(states["global"]["numpy"])
    for path, state in states["own"].items():
        _set_state(generators[path], state)
    random.setstate(states["python"])
    restore_generators(states["global"])


def _get_state(generator):
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.get_state()


def _set_state(generator, state):
    if isinstance(generator, np.random.Generator):
        _check_numpy_state(state)
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        _check_numpy_state(state)
        generator.set_state(state)
    else:
        generator.set_state(state)


def _check_numpy_state(state):
    """Refuse a position outside of the key, which numpy takes unseen and reads out of bounds."""
    if isinstance(state, dict):
        kind, inner = state["bit_generator"], state["state"]
        key, position = inner.get("key"), inner.get("pos", 0)
    else:
        kind, key, position = state[:3]
    size = len(key) if kind == "MT19937" else None
    if size not in (None, 624) or not 0 <= position <= 624:
        raise ValueError(f"the state of a {kind} generator is damaged")
