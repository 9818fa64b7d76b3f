"""What a saved estimator may name: the classes and functions that loading calls unasked.

A file holds names, and a name is looked up here or among what the caller trusts. Nothing is
imported by name, so a file cannot reach anything else.
"""

import functools
import inspect
import types

import sklearn.model_selection
import skorch.callbacks
import skorch.dataset
import skorch.utils
import torch

from sgt_sklearn import modules
from sgt_sklearn._statistics import FeatureStatistics
from sgt_sklearn.exceptions import PersistenceError

_FUNCTIONS = (
    (torch, "exp relu selu sigmoid softmax log_softmax tanh"),
    (
        torch.nn.functional,
        "celu elu gelu hardsigmoid hardswish hardtanh leaky_relu log_softmax logsigmoid mish "
        "relu relu6 selu sigmoid silu softmax softplus softsign tanh",
    ),
    (skorch.utils, "noop to_numpy"),
)
# modules that one number makes take any time and memory to build
_OF_ANY_DEPTH = (torch.nn.RNNBase, torch.nn.Transformer)
# callbacks that neither write files nor call what a text names
_CALLBACKS = (
    "BatchScoring EarlyStopping EpochScoring EpochTimer GradientNormClipping LRScheduler "
    "PassthroughScoring PrintLog ProgressBar"
)
_SPLITTERS = "GroupKFold KFold ShuffleSplit StratifiedKFold StratifiedShuffleSplit"


@functools.cache
def known_names():
    """Classes and functions by the names under which files hold them.

    Returns
    -------
    dict of str to class or function
        Optimizers, learning-rate schedules, losses, layers and activations of torch, its data
        loader, skorch's data set, split and harmless callbacks, scikit-learn's splitters, and the
        networks of this library.
    """
    names = {
        **_subclasses(torch.optim, torch.optim.Optimizer),
        **_subclasses(torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler),
        **_subclasses(torch.nn, torch.nn.Module, besides=_OF_ANY_DEPTH),
        **_members(skorch.callbacks, _CALLBACKS),
        **_members(skorch.dataset, "Dataset ValidSplit"),
        **_members(sklearn.model_selection, _SPLITTERS),
        **_members(modules, " ".join(modules.__all__)),
        "torch.utils.data.DataLoader": torch.utils.data.DataLoader,
        "sgt_sklearn.FeatureStatistics": FeatureStatistics,
    }
    for module, functions in _FUNCTIONS:
        names |= _members(module, functions)
    return names


def _subclasses(module, base, besides=()):
    return {
        f"{module.__name__}.{name}": member
        for name, member in vars(module).items()
        if isinstance(member, type) and issubclass(member, base) and name[0] != "_"
        if not issubclass(member, besides)
    }


def _members(module, names):
    return {f"{module.__name__}.{name}": getattr(module, name) for name in names.split()}


@functools.cache
def _names_of_known():
    # the first of several names of one object is the shorter one
    return {member: name for name, member in reversed(known_names().items())}


def name_of(member):
    """Name of a class or function in files.

    Parameters
    ----------
    member : class or function
        Known or not.

    Returns
    -------
    str or None
        None where it has no name by which it could be told again, such as a lambda.
    """
    known = _names_of_known().get(member)
    if known is not None:
        return known
    module = getattr(member, "__module__", None)
    if not isinstance(module, str) or "<lambda>" in member.__qualname__:
        return None
    if module.partition(".")[0] == "sgt_sklearn" and isinstance(member, type):
        module = "sgt_sklearn"  # where its public name is, whatever file it lives in
    return f"{module}.{member.__qualname__}"


def is_named(value):
    """Whether a value is a class or a function, which files hold by name."""
    kinds = (types.FunctionType, types.BuiltinFunctionType)
    return isinstance(value, type) or (
        isinstance(value, kinds) and not inspect.ismethod(value) and not _is_bound(value)
    )


def _is_bound(function):
    owner = getattr(function, "__self__", None)
    return not (owner is None or isinstance(owner, (types.ModuleType, type)))


class Trusted:
    """Classes and functions that the caller of `load` vouches for, by name.

    Parameters
    ----------
    members : iterable of classes and functions
        The objects themselves; a name is no proof of what it means.
    """

    def __init__(self, members):
        if isinstance(members, (str, bytes)) or not hasattr(members, "__iter__"):
            members = [members]
        self._members = {}
        bare = {}
        for member in members:
            if not is_named(member):
                raise TypeError(
                    "trusted must hold classes and functions themselves, got "
                    f"{member!r} of {type(member).__name__}."
                )
            if name_of(member) is None:
                raise TypeError(
                    f"trusted must hold classes and functions with a name, got {member!r}: pass "
                    "it by the name of its parameter."
                )
            self._members[name_of(member)] = member
            bare.setdefault(member.__qualname__, []).append(member)
        # a class that was saved from a script and is imported now has moved to another module
        self._moved = {name: found[0] for name, found in bare.items() if len(found) == 1}

    def get(self, name):
        """The object of a name, or None."""
        if name in self._members:
            return self._members[name]
        parts = name.split(".")
        tails = (".".join(parts[i:]) for i in range(1, len(parts)))
        return next((self._moved[tail] for tail in tails if tail in self._moved), None)


# Instances of these are rebuilt from their constructor's arguments, which they keep as attributes.
_INSTANCES = (
    "sgt_sklearn.FeatureStatistics",
    "skorch.dataset.ValidSplit",
    *(f"skorch.callbacks.{name}" for name in _CALLBACKS.split()),
    *(f"sklearn.model_selection.{name}" for name in _SPLITTERS.split()),
)


def constructor_arguments(instance):
    """Name and constructor arguments of an instance that can be rebuilt from them.

    Parameters
    ----------
    instance : object
        Anything.

    Returns
    -------
    name : str or None
        None if it is no instance of a class on the list.
    arguments : dict
        By name.
    """
    name = _names_of_known().get(type(instance))
    if name not in _INSTANCES:
        return None, {}
    arguments = {}
    for key, parameter in inspect.signature(type(instance)).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            attributes = vars(instance).items()
            arguments |= {k: v for k, v in attributes if k[0] != "_" and k[-1] != "_"}
            continue
        value = getattr(instance, key)
        # a function that is the default (print) comes back without being named
        if not (callable(value) and value is parameter.default):
            arguments[key] = value
    return name, arguments


def build_instance(name, arguments):
    """Build an instance from what :func:`constructor_arguments` told.

    Parameters
    ----------
    name : str
        Name of its class.
    arguments : dict
        By name.

    Returns
    -------
    object
        The instance.

    Raises
    ------
    PersistenceError
        For a class that is not on the list, and for arguments that it refuses.
    """
    if name not in _INSTANCES:
        raise PersistenceError(f"it may not make an instance of {name!r}.")
    check_policy(name, arguments.get("policy"))
    try:
        return known_names()[name](**arguments)
    except Exception as error:
        raise PersistenceError(f"{name} cannot be built from {arguments!r}: {error}") from error


def check_policy(name, policy):
    """Refuse a learning-rate policy that skorch would look up among all names of its own module.

    Parameters
    ----------
    name : str
        Of what has the policy, for messages.
    policy : object
        A text, or anything else, which passes.

    Raises
    ------
    PersistenceError
        For a text that names no schedule.
    """
    schedule = f"torch.optim.lr_scheduler.{policy}"
    if isinstance(policy, str) and policy != "WarmRestartLR" and schedule not in known_names():
        raise PersistenceError(f"{name} has no policy {policy!r}.")
