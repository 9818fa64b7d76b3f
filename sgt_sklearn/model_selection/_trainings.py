"""Plain, guided and control variants of an estimator that holds a guided net."""

import copy
import inspect
import numbers
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

PLAIN, GUIDED, RANDOM_ORDER, WEIGHT_DECAY = "plain", "guided", "random order", "weight decay"
CONTROLS = (RANDOM_ORDER, WEIGHT_DECAY)

_MARK = "consistency_weight"
_GRIDS = ("param_grid", "param_distributions")
_OPTIMIZER, _PARAM_GROUPS = "optimizer__", "optimizer__param_groups"
_DECAYING, _DECAY = torch.optim.AdamW, {"weight_decay"}
# values with which "guided" would train as another training does, and one that guides
_UNGUIDED = {
    _MARK: (0, PLAIN, 1.0),
    "mask_fraction": (0, PLAIN, 0.5),
    "mask_order": ("random", RANDOM_ORDER, "auto"),
}


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
    dropped : tuple of str
        Parameters that the net is left without.
    """

    estimator: Any
    prefix: str
    fixed: dict = field(default_factory=dict)
    free: tuple = ()
    dropped: tuple = ()

    def build(self, seed, **changes):
        """Return an unfitted copy for a seed, with further parameters of the net changed."""
        fixed = {f"{self.prefix}{name}": v for name, v in (self.fixed | changes).items()}
        gone = {*fixed, *(f"{self.prefix}{name}" for name in self.free)}
        params = self.estimator.get_params(deep=True)
        for name, value in params.items():
            if _is_seed(name):
                fixed[name] = seed
            elif _draws(value):
                fixed[name] = _seeded(value, seed)
        for path, grid in _grids(params):
            fixed[path] = _with_seeds(_without(grid, gone, _owner(path)), seed)
        model = clone(self.estimator)
        net = model.get_params()[self.prefix.removesuffix("__")] if self.prefix else model
        for name in self.dropped:
            # parameters that a net of skorch takes by any name are its attributes
            vars(net).pop(name, None)
        return model.set_params(**fixed)

    @property
    def containers(self):
        """What the net is in, from the outside."""
        params, path = self.estimator.get_params(deep=True), self.prefix.split("__")[:-1]
        inner = [params["__".join(path[:i])] for i in range(1, len(path))]
        return [self.estimator, *inner] if path else []


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
    found = {
        PLAIN: Training(estimator, prefix, {_MARK: 0}, guidance),
        GUIDED: Training(estimator, prefix),
        RANDOM_ORDER: Training(estimator, prefix, {"mask_order": "random"}),
    }
    if WEIGHT_DECAY in controls:
        found[WEIGHT_DECAY] = _decaying(estimator, prefix, net, params, guidance)
    return {name: of for name, of in found.items() if name in (PLAIN, GUIDED, *controls)}


def _decaying(estimator, prefix, net, params, guidance):
    """Plain training with AdamW, which takes over what it knows of the net's own optimizer."""
    if isinstance(net.optimizer, type) and issubclass(net.optimizer, torch.optim.LBFGS):
        raise ValueError(
            f"controls must leave out {WEIGHT_DECAY!r} for a net that LBFGS trains, since a step "
            "of it is worth very many of AdamW. Pass controls=['random order'], or a net with "
            "another optimizer."
        )
    known = set(inspect.signature(_DECAYING).parameters) | {"param_groups"}
    given = {*vars(net), *(name.removeprefix(prefix) for name in _searched(params))}
    foreign = sorted(
        name
        for name in given
        if name.startswith(_OPTIMIZER) and name.removeprefix(_OPTIMIZER) not in known
    )
    fixed = {_MARK: 0, "optimizer": _DECAYING} | _learning_rate(net, params, prefix)
    if groups := getattr(net, _PARAM_GROUPS, None):
        # a decay of a group's own would win over the one that is tried
        fixed[_PARAM_GROUPS] = [
            (pattern, {name: value for name, value in group.items() if name in known - _DECAY})
            for pattern, group in groups
        ]
    free = (*guidance, "optimizer__weight_decay", *foreign)
    return Training(estimator, prefix, fixed, free, tuple(foreign))


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
    if _PARAM_GROUPS in {name.removeprefix(prefix) for name in searched}:
        raise ValueError(
            f"estimator must not search over {prefix}{_PARAM_GROUPS}, whose weight decay would "
            "undo that of a control. Set it, and search over other parameters."
        )
    for name, (value, other, guiding) in _UNGUIDED.items():
        path = f"{prefix}{name}"
        if path in searched:
            if any(_equal(tried, value) for tried in _tried(params, path)):
                raise ValueError(
                    f"estimator must search over guided settings, got {value!r} for {path}, with "
                    f"which 'guided' could be the {other!r} training. Leave it out of the search."
                )
        elif _equal(params[path], value):
            raise ValueError(
                f"estimator must be guided, got {path}={value!r}: {other!r} training, with which "
                f"it is compared. Set for example {path}={guiding!r}."
            )


def _equal(found, value):
    return isinstance(found, (str, numbers.Number)) and found == value


def _tried(params, path):
    """What searches list for a parameter; of distributions nothing is known."""
    return [
        value
        for owner, grid in _grids(params)
        for part in _parts(grid)
        for name, values in part.items()
        if f"{_owner(owner)}{name}" == path and np.iterable(values)
        for value in values
    ]


def _learning_rate(net, params, prefix):
    """Learning rate of AdamW: that of the net, where it was made for an optimizer of its kind."""
    searched = _searched(params)
    if not searched.isdisjoint({f"{prefix}lr", f"{prefix}module"}):
        return {}
    if not isinstance(net.optimizer, str) and not _is_kin(net.optimizer):
        return {"lr": _default_rate(net)}
    return {} if isinstance(net.lr, numbers.Real) else {"lr": net._optimizer_settings()[1]}


def _default_rate(net):
    """Learning rate that belongs to the module of a net; of nets that know none, that of AdamW."""
    if not hasattr(net, "_optimizer_settings"):
        return inspect.signature(_DECAYING).parameters["lr"].default
    return clone(net).set_params(optimizer="auto", lr="auto")._optimizer_settings()[1]


def _is_kin(optimizer):
    """Whether an optimizer scales its steps as AdamW does."""
    try:
        return "betas" in inspect.signature(optimizer).parameters
    except (TypeError, ValueError):
        return False


def _is_seed(name):
    return name == "random_state" or name.endswith("__random_state")


def _draws(value):
    """Whether this is no estimator and yet draws, such as a splitter that shuffles."""
    if isinstance(value, type) or hasattr(value, "get_params"):
        return False
    return hasattr(value, "random_state") and bool(getattr(value, "shuffle", True))


def _seeded(value, seed):
    """Return a copy of a splitter, or of an estimator that a search tries, with a seed."""
    if _draws(value):
        value = copy.deepcopy(value)
        value.random_state = seed
    elif hasattr(value, "get_params") and not isinstance(value, type):
        params = value.get_params(deep=True)
        seeds = {name: seed for name in params if _is_seed(name)}
        seeds |= {name: _seeded(each, seed) for name, each in params.items() if _draws(each)}
        value = clone(value).set_params(**seeds)
    return value


def _with_seeds(grid, seed):
    """Return a grid with a seed in each estimator or splitter that it lists."""
    parts = [
        {
            name: [_seeded(value, seed) for value in values]
            if isinstance(values, (list, tuple))
            else values
            for name, values in part.items()
        }
        for part in _parts(grid)
    ]
    return parts[0] if hasattr(grid, "keys") else parts


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
