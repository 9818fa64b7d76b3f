"""One function that explains altered copies of series, always with the target of the originals."""

import numpy as np
from sklearn.base import is_classifier, is_regressor

from sgt_sklearn.inspection._finals import attributions, has_own_attribute
from sgt_sklearn.inspection._methods import METHODS

_MULTILABEL_OUTPUTS = ("logit", "margin")


def explainer(estimator, X, n_samples, method, target, baseline, options):
    """Return a function of (copies, lengths or None, indices of their originals) to attributions.

    `baseline` has shape (n_timesteps, n_features), or is None where the method chooses its own.
    """
    explains = hasattr(estimator, "attribute") or hasattr(estimator, "predict")
    if not callable(method) and not explains:
        raise TypeError(
            "estimator must be a net, or have a method `predict` or `attribute`, got "
            f"{type(estimator).__name__}; or pass a function (X, target) as `method`."
        )
    if callable(method) and options:
        raise TypeError(
            f"options are for a method that is given by name, got {sorted(options)} with a "
            "function. Bind them with functools.partial."
        )
    targets = resolve_target(estimator, X, n_samples, target)
    signs = None
    if not callable(method) and np.ndim(targets) == 2:
        signs = 2.0 * targets - 1.0
        if options.get("output", "logit") not in _MULTILABEL_OUTPUTS:
            raise ValueError(
                f"output must be one of {_MULTILABEL_OUTPUTS} where target='predicted' stands "
                f"for several labels, got {options['output']!r}. Explain one label: target=0."
            )

    def explain(copies, lengths, of):
        form = copies if lengths is None else {"X": copies, "lengths": lengths}
        part = targets if isinstance(targets, str) else targets[of]
        if callable(method):
            return check_values(method(form, part), copies)
        named = dict(options)
        if baseline is not None and _takes_baseline(estimator, method):
            named["baseline"] = baseline[: copies.shape[1]]
        if signs is None:
            values = _attributions(estimator, form, method=method, target=part, **named)
            return check_values(values, copies)
        # the explained scalar is the sum of the labels' logits, each with the predicted sign
        each = _attributions(estimator, form, method=method, target="all", **named)
        return check_values(np.einsum("nl,nl...->n...", signs[of], each), copies)

    return explain


def _attributions(estimator, form, **options):
    if has_own_attribute(estimator):
        return estimator.attribute(form, **options)
    return attributions(estimator, form, **options)


def _takes_baseline(estimator, method):
    if has_own_attribute(estimator) or method not in METHODS:
        return True
    return METHODS[method].baseline is not None


def resolve_target(estimator, X, n_samples, target):
    """Return what each sample's copies are explained for.

    That is "predicted" where it means the same for every input (regressors), else one label a
    sample, or an indicator matrix (multilabel).
    """
    if isinstance(target, str) and target == "predicted":
        if _is(is_classifier, estimator) or hasattr(estimator, "classes_"):
            return _check_predicted(np.asarray(estimator.predict(X)))
        if _is(is_regressor, estimator):
            return target
        raise ValueError(
            "target must be a label or one label a sample where `estimator` is neither a "
            f"classifier nor a regressor, got 'predicted' with {type(estimator).__name__}: what "
            "it predicts could change with the masked copies."
        )
    labels = np.asarray(target)
    if labels.shape not in ((), (n_samples,)) or (labels.ndim == 0 and labels == "all"):
        raise ValueError(
            "target must be 'predicted', a label, or one label a sample, shape "
            f"({n_samples},), got {target!r}. Call once a label instead of 'all'."
        )
    return np.broadcast_to(labels, n_samples)


def _is(kind, estimator):
    try:
        return kind(estimator)
    except (AttributeError, TypeError):
        # scikit-learn asks estimators for tags, which only its own kin have
        return False


def _check_predicted(labels):
    if labels.ndim == 1 or (labels.ndim == 2 and np.isin(labels, (0, 1)).all()):
        return labels
    raise ValueError(
        "target='predicted' needs predictions of one label a sample or an indicator matrix, got "
        f"an array of shape {labels.shape}. Pass labels as target."
    )


def check_values(values, copies):
    """Return attributions as a floating-point array of the shape of `copies`."""
    values = np.asarray(values)
    if values.shape != copies.shape or values.dtype.kind not in "fiub":
        raise ValueError(
            "method must return real attributions of the shape of the series it explains, "
            f"{copies.shape}, got {values.dtype} of shape {values.shape}."
        )
    return values if values.dtype.kind == "f" else values.astype(np.float64)
