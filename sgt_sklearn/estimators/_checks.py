"""Whether a module's output fits its criterion and targets."""

from contextlib import contextmanager

import torch
from torch import nn

from sgt_sklearn.attribution import first_output
from sgt_sklearn.estimators._parameters import unwrap

_ELEMENTWISE = (
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.BCEWithLogitsLoss,
    nn.BCELoss,
)


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
