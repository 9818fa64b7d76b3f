"""Plain, guided and control variants of an estimator that holds a guided net."""

import numbers
from dataclasses import dataclass, field
from typing import Any

import torch
from sklearn.base import clone

PLAIN, GUIDED, RANDOM_ORDER, WEIGHT_DECAY = "plain", "guided", "random order", "weight decay"
CONTROLS = (RANDOM_ORDER, WEIGHT_DECAY)

_MARK = "consistency_weight"
_GRIDS = ("param_grid", "param_distributions")


@dataclass(frozen=True)
class Training:
    """An estimator, and what of it one kind of training fixes.

    Parameters
    ----------
    estimator : estimator
        As the caller passed it; never changed.
    prefix : str
        What stands before the parameters of its net, "" or ending in "__".
    fixed : dict
        Parameters of the net that this training sets.
    free : tuple of str
        Further parameters of the net that have no effect in it, to be left out of searches.
    """

    estimator: Any
    prefix: str
    fixed: dict = field(default_factory=dict)
    free: tuple = ()

    def build(self, seed, **changes):
        """Return an unfitted copy for a seed, with further parameters of the net changed."""
        fixed = {f"{self.prefix}{name}": v for name, v in (self.fixed | changes).items()}
        gone = {*fixed, *(f"{self.prefix}{name}" for name in self.free)}
        params = self.estimator.get_params(deep=True)
        for name in params:
            if name == "random_state" or name.endswith("__random_state"):
                fixed[name] = seed
        for path, grid in _grids(params):
            fixed[path] = _without(grid, gone, _owner(path))
        return clone(self.estimator).set_params(**fixed)


def make_trainings(estimator, controls):
    """Return the trainings of an estimator by name, plain first, then guided and the controls."""
    if not hasattr(estimator, "get_params") or isinstance(estimator, type):
        raise TypeError(
            "estimator must be an estimator with a guided net in it, got "
            f"{estimator!r} of type {type(estimator).__name__}."
        )
    params = estimator.get_params(deep=True)
    prefix = _find_net(estimator, params)
    net = params[prefix.removesuffix("__")] if prefix else estimator
    _check_guided(params, prefix)
    guidance = tuple(name for name in net.get_guidance_params() if name != "random_state")
    decay = {_MARK: 0, "optimizer": torch.optim.AdamW} | _learning_rate(net, params, prefix)
    variants = {
        PLAIN: ({_MARK: 0}, guidance),
        GUIDED: ({}, ()),
        RANDOM_ORDER: ({"mask_order": "random"}, ()),
        WEIGHT_DECAY: (decay, (*guidance, "optimizer__weight_decay")),
    }
    return {
        name: Training(estimator, prefix, fixed, free)
        for name, (fixed, free) in variants.items()
        if name in (PLAIN, GUIDED, *controls)
    }


def _find_net(estimator, params):
    """Return the prefix of the parameters of the only guided net."""
    found = [name for name in params if name == _MARK or name.endswith(f"__{_MARK}")]
    if len(found) != 1:
        got = f"{len(found)} of them ({', '.join(found)})" if found else type(estimator).__name__
        raise ValueError(
            "estimator must be or contain exactly one guided net (SaliencyGuidedClassifier, "
            f"SaliencyGuidedRegressor or a net with SaliencyGuidedMixin), got {got}. Pass such a "
            "net, or a pipeline or search that ends in one."
        )
    return found[0].removesuffix(_MARK)


def _check_guided(params, prefix):
    """Raise where the estimator as it is would be no guided training, or not stay as it is."""
    searched = _searched(params)
    net = prefix.removesuffix("__")
    replaced = sorted(name for name in searched if net == name or net.startswith(f"{name}__"))
    if replaced:
        raise ValueError(
            "estimator must search over parameters of its net, got a search over "
            f"{replaced[0]!r}, the net itself, which would undo what a training fixes. Search "
            "over its parameters."
        )
    if params[f"{prefix}{_MARK}"] == 0 and f"{prefix}{_MARK}" not in searched:
        raise ValueError(
            f"estimator must be guided, got {prefix}{_MARK}=0: plain training, with which it is "
            f"compared. Set for example {prefix}{_MARK}=1.0."
        )


def _learning_rate(net, params, prefix):
    """Learning rate of a net whose own optimizer brings one: AdamW keeps it."""
    searched = _searched(params)
    given = isinstance(net.lr, numbers.Real) or not searched.isdisjoint(
        {f"{prefix}lr", f"{prefix}module"}
    )
    return {} if given else {"lr": net._optimizer_settings()[1]}


def _grids(params):
    return [(name, grid) for name, grid in params.items() if name.split("__")[-1] in _GRIDS]


def _owner(path):
    """Prefix of the parameters that a grid at this path names."""
    return f"{path.rpartition('__')[0]}__estimator__".removeprefix("__")


def _searched(params):
    """Full names of all parameters that searches try."""
    return {
        f"{_owner(path)}{name}"
        for path, grid in _grids(params)
        for part in _parts(grid)
        for name in part
    }


def _without(grid, names, owner):
    """Return a grid without entries of these full names."""
    parts = [
        {name: values for name, values in part.items() if f"{owner}{name}" not in names}
        for part in _parts(grid)
    ]
    # a part of which nothing is left is the net as it is: once is enough
    parts = [part for part in parts if part] or [{}]
    return parts[0] if len(parts) == 1 else parts


def _parts(grid):
    return [grid] if hasattr(grid, "keys") else list(grid)
