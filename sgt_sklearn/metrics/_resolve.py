"""What the final estimator of a pipeline or search predicts and explains."""

import inspect

import numpy as np
from sklearn.base import is_classifier

from sgt_sklearn.inspection._ensembles import members_of
from sgt_sklearn.inspection._finals import (
    Request,
    attributions,
    explain_final,
    has_own_attribute,
)
from sgt_sklearn.inspection._methods import METHODS
from sgt_sklearn.inspection._unwrap import unwrap
from sgt_sklearn.metrics._checks import describe


def has_classes(net):
    """Return whether `net` predicts classes."""
    return is_classifier(net) or hasattr(net, "classes_")


def check_has_probabilities(net, otherwise=None):
    """Raise for a classifier without probabilities; `otherwise` is an outcome without them."""
    if not hasattr(net, "predict_proba"):
        way_out = "" if otherwise is None else f' Use outcome="{otherwise}".'
        raise TypeError(
            "estimator must have a method `predict_proba` to measure probabilities, got "
            f"{type(net).__name__}.{way_out}"
        )


def takes_tokens(net):
    """Return whether integers of two axes are ids of tokens for `net`.

    They are for an estimator whose parameter `embedding` names a submodule, for one whose `module`
    is one of the networks for text, and for an ensemble, a search or a regressor of a transformed
    target if they are for a net inside.
    """
    members = members_of(net)
    if members is not None:
        return any(takes_tokens(member.estimator) for member in members)
    net = getattr(net, "best_estimator_", getattr(net, "regressor_", net))
    embedding, module = getattr(net, "embedding", None), getattr(net, "module", None)
    if isinstance(embedding, str) and embedding != "auto":
        return True
    return isinstance(module, str) and module.startswith("text_")


def compute_attributions(net, samples, method, target, random_state, **options):
    """Return attributions of the samples, by a method `attribute` of the user's or by ours.

    `random_state` is for methods that draw; only they advance it.
    """
    if not isinstance(method, str):
        raise TypeError(
            f"method must be the name of an attribution method, got {describe(method)}. Pass what "
            "a function of yours returns as `attributions=`."
        )
    if method == "auto":
        method = default_method(samples.tokens)
    options = {"target": target, "standardized": True} | options
    known = METHODS.get(method)
    if has_own_attribute(net) and (known is None or known.family != "perturbation"):
        if "random_state" in inspect.signature(net.attribute).parameters:
            options["random_state"] = random_state
        return net.attribute(samples.whole(), method=method, **options)
    if known is not None and known.random:
        options["random_state"] = random_state
    try:
        return attributions(net, samples.whole(), method=method, **options)
    except TypeError as error:
        if hasattr(net, "attribute"):
            raise
        raise TypeError(
            f"{error} Or pass `attributions=` of shape {samples.array.shape}."
        ) from error


def is_mean_of_members(net):
    """Return whether attributions of `net` are the mean of those of the parts of an ensemble."""
    return members_of(net) is not None and not has_own_attribute(net)


def has_steps_inside(net, X):
    """Return whether a part of an ensemble, or of a transformed target, has steps of its own.

    Derivatives are then per unit of what the steps return, not per unit of X.
    """
    parts = [(member.estimator, member.columns) for member in members_of(net) or ()]
    if hasattr(net, "regressor_"):
        parts.append((net.regressor_, None))
    for part, columns in parts:
        final = unwrap(part, X if columns is None else np.asarray(X)[:, columns])
        if final.steps or has_steps_inside(final.estimator, final.X):
            return True
    return False


def explained_by_members(net, samples, target):
    """Return what gradients of an ensemble are those of, shape (n_samples,).

    It is the weighted mean over the members of their log-probabilities of the target.
    """
    request = Request("saliency", target=target, output="log_proba", outputs=("input",))
    outputs = explain_final(net, samples.whole(), request).outputs
    if outputs is None:
        raise TypeError(
            "estimator must be an ensemble of skorch nets, got a "
            f"{type(net).__name__} whose parts have a method `attribute` of their own, which does "
            "not tell what it explains. Pass `attributions=`, derivatives of the log-probability "
            "of the ensemble."
        )
    return np.asarray(outputs, dtype=np.float64).reshape(len(samples))


def default_method(tokens):
    """Return the method that "auto" stands for."""
    # the length of the gradient is the same for all tokens behind a mean over them
    return "input_x_gradient" if tokens else "saliency"


def check_target(net, target, n_samples):
    """Raise for a target that is no label of a classifier, or no output index of a regressor."""
    if isinstance(target, str) and target == "predicted":
        return
    if not has_classes(net):
        if np.asarray(target).dtype.kind not in "iu":
            raise ValueError(
                'target must be "predicted" or the index of an output (an integer) for a '
                f"regressor, got {describe(target)} with {type(net).__name__}: class labels are "
                "for classifiers."
            )
    elif np.ndim(getattr(net, "classes_", None)) == 1:
        target_columns(net, target, n_samples, len(net.classes_))


def target_columns(net, target, n_samples, n_outputs):
    """Return the output column that `target` names for each sample, None for "predicted"."""
    if isinstance(target, str) and target == "predicted":
        return None
    if has_classes(net):
        known = np.asarray(getattr(net, "classes_", np.arange(n_outputs)))
        what = "label"
    else:
        known, what = np.arange(n_outputs), "output index"
    asked = np.asarray(target)
    if asked.ndim > 1 or (asked.ndim == 1 and len(asked) != n_samples):
        raise ValueError(
            f'target must be "predicted", one {what}, or one for each of the {n_samples} '
            f"samples of X, got {describe(asked)}. Pass for example target=y."
        )
    asked = np.broadcast_to(asked, (n_samples,))
    matches = asked[:, None] == known[None, :]
    missing = ~matches.any(axis=1)
    if missing.any():
        values = list(dict.fromkeys(asked[missing].tolist()))
        raise ValueError(
            f'target must be "predicted" or a known {what}, one of {known.tolist()}, got '
            f"{describe(values[0])}. Labels are those of the y given to fit."
        )
    return matches.argmax(axis=1)
