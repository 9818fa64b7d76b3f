"""Kinds of classification targets: what y means to the criterion and to scikit-learn."""

import inspect
from functools import partial

import numpy as np
import torch
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from sgt_sklearn.estimators._checks import naming
from sgt_sklearn.estimators._parameters import is_auto, unwrap

_TARGETS_ARE = "one class label for each row of X, or an indicator matrix of labels"


def is_criterion(criterion, *kinds):
    """Whether a criterion is one of torch's classes, a partial or an instance of one."""
    criterion = unwrap(criterion)
    while isinstance(criterion, partial):
        criterion = criterion.func
    if inspect.isclass(criterion):
        return issubclass(criterion, kinds)
    return isinstance(criterion, kinds)


def target_kind(y, criterion, module):
    """What the targets for a module given by name are.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    criterion : "auto", torch criterion class or instance
        The parameter of the classifier.
    module : str
        The parameter of the classifier, for messages.

    Returns
    -------
    {"labels", "one_logit", "indicator", "soft"}
        One label a row; one of two labels, predicted by a single logit; several labels a row, each
        with a logit; or probabilities of the classes.

    Raises
    ------
    ValueError
        If y is none of them, or does not fit the criterion.
    """
    if is_criterion(criterion, torch.nn.NLLLoss, torch.nn.BCELoss):
        name = getattr(criterion, "__name__", type(criterion).__name__)
        raise ValueError(
            f"module={module!r} returns logits, but criterion={name} takes probabilities: use "
            "criterion='auto', or a module of your own that ends in softmax or sigmoid."
        )
    kind = type_of_target(y, input_name="y")
    one_column = y.ndim == 1 or y.shape[1] == 1
    if is_auto(criterion) or is_criterion(criterion, torch.nn.BCEWithLogitsLoss):
        if kind == "multilabel-indicator":
            if not np.isin(y, (0, 1)).all():
                raise ValueError(
                    "y must be 0 and 1 where it is an indicator matrix of labels, got "
                    f"{np.unique(y).tolist()}."
                )
            return "indicator"
    elif kind in ("multilabel-indicator", "continuous-multioutput"):
        _check_probabilities(y, criterion)
        return "soft"
    with naming("y", _TARGETS_ARE):
        check_classification_targets(y)
    if not one_column:
        raise ValueError(
            f"y must be {_TARGETS_ARE}, got {kind} targets of shape {y.shape}: encode them as one "
            "label, or fit one classifier an output."
        )
    return "one_logit" if is_criterion(criterion, torch.nn.BCEWithLogitsLoss) else "labels"


def _check_probabilities(y, criterion):
    sums = y.sum(1)
    worst = sums[np.abs(sums - 1).argmax()]
    if (y < 0).any():
        got = y.min()
    elif abs(worst - 1) > 1e-3:
        got = f"a row with sum {worst}"
    else:
        return
    name = getattr(criterion, "__name__", type(criterion).__name__)
    raise ValueError(
        f"y must hold probabilities of the classes where criterion={name} and y has several "
        f"columns: none of them negative, each row with sum 1, got {got}. Several labels a row "
        "need criterion='auto' or BCEWithLogitsLoss."
    )


def kind_of_passed(y, criterion):
    """What targets for a module of the user's own are.

    Parameters
    ----------
    y : ndarray
        Targets.
    criterion : "auto", torch criterion class or instance
        The parameter of the classifier.

    Returns
    -------
    {"labels", "one_logit", "indicator", "soft"} or None
        As :func:`target_kind` has them, "labels" for those that have no numbers; None for what
        skorch expects, one number a row, and whatever else a criterion may take.
    """
    bernoulli = is_criterion(criterion, torch.nn.BCEWithLogitsLoss, torch.nn.BCELoss)
    if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "fiub":
        if bernoulli:
            return "indicator"
        # integers are labels of positions to it
        compares = is_auto(criterion) or is_criterion(criterion, torch.nn.CrossEntropyLoss)
        return "soft" if compares and y.dtype.kind == "f" else None
    if bernoulli and y.ndim in (1, 2):
        return "one_logit"
    return "labels" if y.dtype.kind in "OUSb" else None


def check_known(labels, classes):
    """Raise for labels that are not among the classes.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,)
        Labels.
    classes : ndarray of shape (n_classes,)
        Known classes.

    Raises
    ------
    ValueError
        Naming the new labels.
    """
    unknown = np.setdiff1d(labels, classes)
    if len(unknown):
        raise ValueError(
            f"y must hold labels of classes_ only, got new labels {unknown.tolist()[:5]}. "
            "Name all labels in the first call: partial_fit(X, y, classes=...)."
        )
