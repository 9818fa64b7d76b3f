"""Explanations of ensembles: the mean of those of their nets."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, BaggingRegressor, VotingClassifier, VotingRegressor

from sgt_sklearn.estimators._attribute import Attributed
from sgt_sklearn.inspection._unwrap import unwrap

_PROBED = 8  # samples


@dataclass(frozen=True)
class Member:
    """A part of an ensemble.

    Parameters
    ----------
    estimator : fitted estimator
        The part.
    weight : float
        Its share of the ensemble.
    columns : ndarray of int or None
        Columns of X that it sees; None is all.
    coded : bool
        Whether its labels are positions in the `classes_` of the ensemble.
    """

    estimator: Any
    weight: float
    columns: np.ndarray | None = None
    coded: bool = False


def members_of(estimator):
    """The parts that an ensemble takes the mean of, or None of any other estimator.

    A regressor of a transformed target has one part, in the units of the transformed target.
    """
    if isinstance(estimator, CalibratedClassifierCV):
        parts = [part.estimator for part in estimator.calibrated_classifiers_]
        return [
            Member(part, 1 / len(parts), coded=_is_coded(part, estimator.classes_))
            for part in parts
        ]
    if isinstance(estimator, (BaggingClassifier, BaggingRegressor)):
        parts = list(zip(estimator.estimators_, estimator.estimators_features_, strict=True))
        coded = isinstance(estimator, BaggingClassifier)
        return [Member(part, 1 / len(parts), columns, coded) for part, columns in parts]
    if isinstance(estimator, (VotingClassifier, VotingRegressor)):
        parts = estimator.estimators_
        weights = np.ones(len(parts))
        if estimator.weights is not None:
            kept = [not isinstance(part, str) for _, part in estimator.estimators]  # "drop"
            weights = np.asarray(estimator.weights, dtype=float)[kept]
        coded = isinstance(estimator, VotingClassifier)
        return [
            Member(part, weight, coded=coded)
            for part, weight in zip(parts, weights / weights.sum(), strict=True)
        ]
    if isinstance(estimator, TransformedTargetRegressor):
        return [Member(estimator.regressor_, 1.0)]
    return None


def _is_coded(part, classes):
    """Whether labels became positions on their way to a part, as for calibrated temperatures."""
    known = getattr(part, "classes_", None)
    return known is not None and not set(np.asarray(known).tolist()) <= set(classes.tolist())


def explain_members(estimator, members, X, request, explain):
    """Explain an ensemble by the weighted mean over its members.

    Parameters
    ----------
    estimator : fitted ensemble
        The ensemble, which settles once what is predicted.
    members : list of Member
        Its members.
    X : array-like of shape (n_samples, ...)
        Samples, as the ensemble sees them.
    request : Request
        What is asked.
    explain : callable
        `explain_final`.

    Returns
    -------
    Attributed
        The attributions.
    """
    target = request.target
    classes = getattr(estimator, "classes_", None) if is_classifier(estimator) else None
    every = isinstance(target, str) and target == "all"
    index = None
    if classes is not None and not every:
        predicted = isinstance(target, str) and target == "predicted"
        labels = np.asarray(estimator.predict(X)) if predicted else np.asarray(target)
        index = _places(labels, classes, len(X))
    total = None
    for i, member in enumerate(members):
        asked = request if request.seed is None else replace(request, seed=request.seed + i)
        found = _explain_member(member, X, asked, classes, index, explain)
        total = found if total is None else _added(total, found)
    return Attributed(
        **{**vars(total), "index": index, "classes": classes, "baseline": request.baseline}
    )


def _places(labels, classes, n_samples):
    if labels.ndim > 1 or (labels.ndim == 1 and len(labels) != n_samples):
        raise ValueError(
            "target must be 'predicted', 'all', a label, or one label a row, shape "
            f"({n_samples},), got shape {labels.shape}."
        )
    labels = np.broadcast_to(labels, (n_samples,))
    found = labels[:, None] == np.asarray(classes)[None, :]
    if not found.any(axis=1).all():
        raise ValueError(
            f"target must be 'predicted', 'all' or labels of classes_ {classes}, got "
            f"{labels[~found.any(axis=1)].tolist()[0]!r}."
        )
    return found.argmax(axis=1)


def _explain_member(member, X, request, classes, index, explain):
    """Weighted attributions of a member in the columns and classes of the ensemble."""
    seen = X if member.columns is None else np.asarray(X)[:, member.columns]
    final = unwrap(member.estimator, seen)
    own = _classes_of(member, final, classes)
    missing = None
    if index is not None and own is not None:
        # a member that met no sample of a class says nothing of it
        missing = ~np.isin(index, own)
        labels = np.where(missing, own[0], index)
        request = replace(request, target=labels if member.coded else np.asarray(classes)[labels])
    if final.steps and not isinstance(request.baseline, str):
        raise ValueError(
            "baseline must be a name where the members of an ensemble are pipelines, each with a "
            f"space of its own, got an array of shape {np.shape(request.baseline)}."
        )
    sources = _sources(final)
    if member.columns is not None:
        sources = member.columns if sources is None else member.columns[sources]
        request = _at_columns(request, member.columns)
    if sources is not None and np.array_equal(sources, np.arange(np.shape(X)[-1])):
        sources = None
    labels = None
    if sources is not None and request.facts.family == "perturbation":
        request, labels = _hidden_together(request, sources, np.shape(X)[-1])
    found = explain(final.estimator, final.X, request)
    values = np.asarray(found.values, dtype=np.float64) * member.weight
    samples = found.samples
    if labels is not None:
        values = _shared(values, labels[sources], labels)
    elif sources is not None:
        values = _scattered(values, sources, np.shape(X)[-1])
    if final.steps or member.columns is not None:
        samples = np.asarray(X)
    outputs = {
        name: None if getattr(found, name) is None else getattr(found, name) * member.weight
        for name in ("outputs", "baseline_outputs")
    }
    if missing is not None:
        values[missing] = 0.0
        for each in outputs.values():
            if each is not None:
                each[missing] = 0.0
    if index is None and own is not None:  # all classes
        values = _in_classes(values, own, classes)
        outputs = {
            name: None if each is None else _in_classes(each, own, classes)
            for name, each in outputs.items()
        }
    return Attributed(**{**vars(found), **outputs, "values": values, "samples": samples})


def _classes_of(member, final, classes):
    """Positions of the classes of a member among those of the ensemble."""
    if classes is None:
        return None
    known = getattr(final.estimator, "classes_", None)
    if known is None:
        return np.arange(len(classes))
    if member.coded:
        return np.asarray(known).astype(int)
    return np.array([int(np.flatnonzero(np.asarray(classes) == label)[0]) for label in known])


def _at_columns(request, columns):
    if isinstance(request.baseline, str) or not np.ndim(request.baseline):
        return request
    return replace(request, baseline=np.asarray(request.baseline)[..., columns])


def _sources(final):
    """Column of the input that each column of the final estimator comes from; None for its own."""
    if not final.steps:
        return None
    if final.groups is None:
        if not _keeps_cells(final):
            raise ValueError(
                "estimator must be an ensemble whose members see the columns of X, or pipelines "
                "whose steps tell which column theirs come from (see preprocessing."
                "feature_groups). Put the steps before the ensemble, in one pipeline."
            )
        return None
    places = {name: i for i, name in enumerate(final.original_names)}
    unknown = [label for label in final.groups if label not in places]
    if unknown:
        raise ValueError(
            f"estimator must be an ensemble whose members see the columns of X, got a pipeline "
            f"that combines several of them into {unknown[0]!r}. Put the steps before the "
            "ensemble, in one pipeline."
        )
    return np.array([places[label] for label in final.groups])


def _keeps_cells(final):
    """Whether steps that do not tell where columns go leave each cell in its place.

    A few samples get half of their cells from another sample, the halves by the digits of the
    numbers of the cells, so that any two cells are in different halves once: only the same cells
    may come out changed.
    """
    try:
        given = np.asarray(final.originals)[:_PROBED]
        before = _after(final.steps, given)
        if given.shape != before.shape or given.ndim < 2:
            return False
        number = np.arange(given[0].size).reshape(given.shape[1:])
        for other in (given[::-1], given * 1.5 + 0.5):
            for digit in range(max(1, int(number.max()).bit_length())):
                for half in (0, 1):
                    here = (number >> digit) % 2 == half
                    after = _after(final.steps, np.where(here, other, given).astype(given.dtype))
                    if not np.allclose(after[:, ~here], before[:, ~here], equal_nan=True):
                        return False
    except Exception:  # whatever steps raise of such samples, their order stays unknown
        return False
    return True


def _after(steps, X):
    for step in steps:
        X = step.transform(X)
    return np.asarray(X)


def _hidden_together(request, sources, n_columns):
    """A request for labels of the columns that a member sees, and those of the ensemble's."""
    if any(request.options.get(name) is not None for name in ("sliding_window_shapes", "strides")):
        raise ValueError(
            "sliding_window_shapes and strides must be None for an ensemble whose members see "
            "columns of their own, which are no neighbours. Use method='feature_ablation'."
        )
    labels = np.arange(n_columns) if request.labels is None else np.asarray(request.labels)
    if labels.ndim > 1:
        raise ValueError(
            "groups must hold one label a column for an ensemble whose members see columns of "
            f"their own, got shape {labels.shape}."
        )
    codes = np.unique(labels[sources], return_inverse=True)[1]
    return replace(request, labels=codes), labels


def _shared(values, labels, wanted):
    """Values of columns under their labels, given to all columns of a label; 0 where none is."""
    known, places = np.unique(labels, return_index=True)
    found = dict(zip(known, places, strict=True))
    whole = np.zeros((*values.shape[:-1], len(wanted)))
    for j, label in enumerate(wanted):
        if label in found:
            whole[..., j] = values[..., found[label]]
    return whole


def _scattered(values, columns, n_columns):
    whole = np.zeros((*values.shape[:-1], n_columns))
    np.add.at(whole, (..., columns), values)
    return whole


def _in_classes(values, own, classes):
    whole = np.zeros((len(values), len(classes), *values.shape[2:]))
    whole[:, own] = values
    return whole


def _added(total, found):
    sums = {
        name: None if getattr(total, name) is None else getattr(total, name) + getattr(found, name)
        for name in ("values", "outputs", "baseline_outputs")
    }
    return Attributed(**{**vars(total), **sums})
