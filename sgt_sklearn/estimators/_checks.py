"""Whether a module's output fits its criterion and targets."""

import inspect
from contextlib import contextmanager
from numbers import Integral, Real

import torch
from torch import nn

from sgt_sklearn.attribution import first_output
from sgt_sklearn.estimators._parameters import is_auto, unwrap

_ELEMENTWISE = (
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.BCEWithLogitsLoss,
    nn.BCELoss,
)


def check_training_parameters(net):
    """Refuse parameters of skorch that would fail later, or train nothing, without a word.

    Parameters
    ----------
    net : skorch.NeuralNet
        The net, not yet initialised.

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, what it must be, and what it got.
    """
    for name in ("iterator_train", "iterator_valid"):
        _require(callable(getattr(net, name)), net, name, "a class", TypeError)
    fits = callable(net.optimizer) or is_auto(net.optimizer)
    _require(fits, net, "optimizer", "'auto' or a class", TypeError)
    _require(
        net.train_split is None or callable(net.train_split),
        net,
        "train_split",
        "None or a callable such as skorch.dataset.ValidSplit(0.2)",
        TypeError,
    )
    _require(
        net.callbacks is None or net.callbacks == "disable" or isinstance(net.callbacks, list),
        net,
        "callbacks",
        "None, 'disable' or a list of callbacks",
        TypeError,
    )
    pairs = [c for c in net.callbacks or () if isinstance(c, (list, tuple))]
    must_be = "a list of callbacks, or of pairs (name, callback)"
    _require(all(len(pair) == 2 for pair in pairs), net, "callbacks", must_be, ValueError)
    if not is_auto(net.lr):
        must_be = "'auto' or a finite number >= 0"
        _require(isinstance(net.lr, (Real, torch.Tensor)), net, "lr", must_be, TypeError)
        _require(0 <= net.lr < float("inf"), net, "lr", must_be, ValueError)
    for name, must_be in (
        ("max_epochs", "an int of at least 1"),
        ("batch_size", "an int of at least 1, or -1 for all rows"),
    ):
        value = getattr(net, name)
        _require(isinstance(value, Integral), net, name, must_be, TypeError)
        _require(value >= 1 or (name, value) == ("batch_size", -1), net, name, must_be, ValueError)
    try:
        torch.device(net.device) if net.device not in ("auto", None) else None
    except (RuntimeError, TypeError) as error:
        message = f"device must be 'auto' or a torch device such as 'cpu', got {net.device!r}."
        raise ValueError(message) from error


def _require(holds, net, name, must_be, kind):
    if not holds:
        raise kind(f"{name} must be {must_be}, got {getattr(net, name)!r}.")


def named_parameters(function):
    """Names of the parameters that a constructor spells out."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.values()
    return frozenset(p.name for p in parameters if p.kind in kinds) - {"self"}


@contextmanager
def naming(parameter, must_be):
    """Put the parameter and what it must be before errors that scikit-learn words."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{parameter} must be {must_be}. {error}") from error


def check_output_fits(criterion, output, y):
    """Raise if a known torch criterion cannot compare output and targets.

    Parameters
    ----------
    criterion : torch.nn.Module or callable
        The criterion; one that is not known passes.
    output : torch.Tensor or tuple
        Output of the module for a batch.
    y : torch.Tensor
        Targets of the batch.

    Raises
    ------
    ValueError
        Naming both shapes.
    """
    criterion, output = unwrap(criterion), first_output(output)
    if not isinstance(output, torch.Tensor) or not isinstance(y, torch.Tensor):
        return
    problem = None
    if isinstance(criterion, _ELEMENTWISE):
        if output.shape != y.shape:
            problem = "output and y must have the same shape"
    elif isinstance(criterion, (nn.CrossEntropyLoss, nn.NLLLoss)):
        problem = _classification_problem(criterion, output, y)
    if problem:
        raise ValueError(
            f"The module's output of shape {tuple(output.shape)} does not fit "
            f"{type(criterion).__name__} with y of shape {tuple(y.shape)}: {problem}. Change the "
            "module's number of outputs, the criterion, or the shape of y."
        )


def _classification_problem(criterion, output, y):
    if output.ndim < 2 or len(output) != len(y):
        return "output must have shape (n_samples, n_classes)"
    if y.is_floating_point():
        return None if output.shape == y.shape else "class probabilities need the shape of output"
    if output.shape[:1] + output.shape[2:] != y.shape:
        return "class labels need the shape of output without its axis of classes"
    labels = y[y != criterion.ignore_index]
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < output.shape[1]:
        return (
            f"labels must be 0 .. {output.shape[1] - 1}, got {int(labels.min())} .. "
            f"{int(labels.max())}"
        )
    return None
