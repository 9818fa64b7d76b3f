"""The guidance parameters: choices, checks, and what "auto" means for each kind of input."""

from numbers import Integral, Real

import numpy as np
import torch

from sgt_sklearn.attribution import SALIENCY_OUTPUTS
from sgt_sklearn.guidance import DIVERGENCES, FILLS, MASK_ORDERS, TOKEN_FILLS

SCHEDULES = ("constant", "ramp")
SALIENCY_PASSES = ("shared", "separate")
GROUPS = ("cell", "feature", "pixel", "time", "time_then_feature", "token")

_TABULAR = {
    "mask_fraction": 0.5,
    "mask_schedule": "constant",
    "mask_order": "absolute",
    "saliency_output": "margin",
    "mask_fill": "feature_uniform",
    "feature_groups": "cell",
}
AUTO = {
    "tabular": _TABULAR,
    "series": _TABULAR | {"mask_order": "sampled", "mask_fill": "marginal"},
    "image": _TABULAR | {"mask_fill": "sample_uniform", "feature_groups": "pixel"},
    "tokens": _TABULAR | {"mask_fill": "unknown", "feature_groups": "token"},
}
_KIND_OF_AXES = {2: "tabular", 3: "series", 4: "image"}

_PAPER = {
    "mask_fraction": 0.5,
    "mask_schedule": "constant",
    "consistency_weight": 1.0,
    "mask_order": "signed",
    "saliency_output": "log_proba",
    "mask_fill": "sample_uniform",
}


def is_auto(value):
    """Whether a parameter is "auto"; arrays are not."""
    return isinstance(value, str) and value == "auto"


def paper_settings(kind):
    """Guidance parameters that reproduce the program of the paper's authors.

    The signed gradient of the true class's log-probability ranks, the lowest half is hidden
    (negative evidence first), and uniform noise within the sample's range replaces it. On images
    this needs a background that lies at the sample's minimum (white digits on black); on inverted
    images it does not work, see the documentation of the method.

    Parameters
    ----------
    kind : {"image", "tabular", "text", "time_series"}
        Kind of input. Of text, tokens are ranked by the gradient at their embedding alone, and
        replaced by the previous token that is kept. The paper has no tabular experiments;
        "tabular" applies the same rule to columns, with the range taken over the columns of a row:
        standardise them first.

    Returns
    -------
    dict
        Keyword arguments of the estimators.

    Raises
    ------
    ValueError
        If `kind` is unknown.

    References
    ----------
    Ismail, Corrada Bravo, Feizi. "Improving deep learning interpretability by saliency guided
    training". NeurIPS 2021. arXiv 2111.14338.

    Examples
    --------
    >>> from sgt_sklearn import SaliencyGuidedClassifier, paper_settings
    >>> SaliencyGuidedClassifier(**paper_settings("image")).mask_order
    'signed'
    """
    groups = {"image": "pixel", "tabular": "cell", "text": "token", "time_series": "cell"}
    if kind not in groups:
        raise ValueError(f"kind must be one of {sorted(groups)}, got {kind!r}.")
    fill = {"mask_fill": "previous"} if kind == "text" else {}
    return _PAPER | fill | {"feature_groups": groups[kind]}


def check_guidance_parameters(params):
    """Raise for guidance parameters that no data could make valid.

    Parameters
    ----------
    params : mapping
        Guidance parameters of an estimator, by name.

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, what it must be, and what it got.
    """
    _check_number(params, "mask_fraction", "a number in [0, 1], or 'auto'", 0, 1, auto=True)
    _check_number(params, "consistency_weight", "a finite number >= 0 (0: no guidance)", 0, np.inf)
    _check_number(params, "mask_value", "a finite number", -np.inf, np.inf)
    _check_name(params, "mask_schedule", SCHEDULES)
    _check_name(params, "mask_order", MASK_ORDERS)
    _check_name(params, "saliency_output", SALIENCY_OUTPUTS)
    fills = dict.fromkeys((*FILLS, *TOKEN_FILLS))
    _check_name(params, "mask_fill", fills, other="a callable (x, generator) -> tensor")
    _check_name(params, "saliency_pass", SALIENCY_PASSES)
    _check_name(
        params,
        "consistency",
        sorted(DIVERGENCES),
        other="a callable (output, masked_output) -> (n_samples,)",
    )
    groups = params["feature_groups"]
    if isinstance(groups, str):
        _check_name(params, "feature_groups", GROUPS, other="labels of shape X.shape[1:]")
    elif groups is None or np.ndim(groups) == 0:
        raise TypeError(
            f"feature_groups must be 'auto', one of {GROUPS}, or labels of shape X.shape[1:], got "
            f"{groups!r}."
        )
    _check_guided_input(params["guided_input"])
    if not isinstance(params["embedding"], str):
        raise TypeError(
            "embedding must be 'auto' or the name of a submodule (see module.named_modules()), "
            f"got {params['embedding']!r}."
        )
    seed = params["random_state"]
    if not (seed is None or isinstance(seed, (Integral, np.random.RandomState))):
        raise TypeError(f"random_state must be None, an int or a numpy RandomState, got {seed!r}.")
    if isinstance(seed, Integral) and not 0 <= seed < 2**32:
        raise ValueError(f"random_state must be an int from 0 to 2**32 - 1, got {seed!r}.")


def _check_guided_input(guided_input):
    keys = guided_input if isinstance(guided_input, list) else [guided_input]
    if not keys or not all(
        isinstance(k, (str, Integral)) and not isinstance(k, bool) for k in keys
    ):
        raise TypeError(
            "guided_input must be 'auto', a key of X (str), a position (int), or a list of them, "
            f"got {guided_input!r}."
        )


def _check_number(params, name, must_be, low, high, auto=False):
    value = params[name]
    if auto and is_auto(value):
        return
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be {must_be}, got {value!r} of {type(value).__name__}.")
    if not (np.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name} must be {must_be}, got {value!r}.")


def _check_name(params, name, choices, other=None):
    value = params[name]
    must_be = f"'auto', one of {tuple(choices)}" + (f", or {other}" if other else "")
    if other and callable(value):
        return
    if not isinstance(value, str):
        raise TypeError(f"{name} must be {must_be}, got {value!r} of {type(value).__name__}.")
    if value != "auto" and value not in choices:
        raise ValueError(f"{name} must be {must_be}, got {value!r}.")


def is_nested(feature_groups):
    """Whether whole groups are hidden first, and then cells of the rest."""
    return isinstance(feature_groups, str) and feature_groups == "time_then_feature"


def kind_of_tensor(ndim, *, tokens):
    """Kind of input by the axes of the tensor that is masked; None for a number without a name."""
    return "tokens" if tokens else _KIND_OF_AXES.get(ndim)


def resolve_auto(params, kind):
    """Replace "auto" by the choice for the kind of input.

    Parameters
    ----------
    params : mapping
        Guidance parameters, by name.
    kind : {"tabular", "series", "image", "tokens"} or None
        Kind of the input; None is any other.

    Returns
    -------
    dict
        The parameters of the auto table, none of them "auto".

    Raises
    ------
    ValueError
        If a parameter is "auto" and there is no table for the kind.
    """
    resolved = {}
    for name in _TABULAR:
        value = params[name]
        if is_auto(value):
            if kind is None:
                raise ValueError(
                    f"{name}='auto' knows inputs of 2 (tabular), 3 (series) or 4 (images) axes: "
                    f"set {name} explicitly."
                )
            value = AUTO[kind][name]
        resolved[name] = value
    return resolved


def group_labels(feature_groups, sample_shape):
    """Integer labels of the groups of one sample.

    Parameters
    ----------
    feature_groups : str or array-like of shape `sample_shape`
        "cell" (every value), "feature" (a column; one feature of a series at all times), "time"
        and "time_then_feature" (all features of a time step), "pixel" (all channels of a pixel),
        "token", or labels of any type: equal labels are one group.
    sample_shape : tuple of int
        ``X.shape[1:]``.

    Returns
    -------
    ndarray of int64, shape `sample_shape`, or None
        Labels 0 .. n_groups - 1; None where every cell is its own group.

    Raises
    ------
    ValueError
        If the name does not fit the number of axes, or labels have another shape.
    """
    sample_shape = tuple(sample_shape)
    if not isinstance(feature_groups, str):
        labels = np.asarray(feature_groups)
        if labels.shape != sample_shape:
            raise ValueError(
                "feature_groups must be labels of the shape of one sample, X.shape[1:] = "
                f"{sample_shape}, got shape {labels.shape}."
            )
        labels = _numbered(labels.ravel()).reshape(sample_shape)
    elif feature_groups == "cell" or (
        feature_groups in ("feature", "token") and len(sample_shape) == 1
    ):
        return None
    elif feature_groups in ("time", "time_then_feature") and len(sample_shape) == 2:
        labels = np.broadcast_to(np.arange(sample_shape[0])[:, None], sample_shape)
    elif feature_groups == "feature" and len(sample_shape) == 2:
        labels = np.broadcast_to(np.arange(sample_shape[1]), sample_shape)
    elif feature_groups == "pixel" and len(sample_shape) == 3:
        pixels = np.arange(sample_shape[1] * sample_shape[2]).reshape(1, *sample_shape[1:])
        labels = np.broadcast_to(pixels, sample_shape)
    else:
        raise ValueError(
            f"feature_groups={feature_groups!r} does not fit samples of shape {sample_shape}: use "
            "'pixel' for images (n_samples, n_channels, height, width), 'time' and "
            "'time_then_feature' for series (n_samples, n_timesteps, n_features), 'feature' for "
            "tables and series, 'cell' or labels for any input."
        )
    if np.array_equal(labels.ravel(), np.arange(labels.size)):
        return None
    return np.ascontiguousarray(labels, dtype=np.int64)


def _numbered(labels):
    """Number of each label among the different ones: sorted, or as they occur."""
    try:
        return np.unique(labels, return_inverse=True)[1].reshape(-1)
    except TypeError:  # of types without an order, such as texts and None
        pass
    try:
        numbers = {}
        return np.array([numbers.setdefault(label, len(numbers)) for label in labels.tolist()])
    except TypeError as error:
        raise TypeError(
            "feature_groups must be labels that can be told apart, such as numbers and texts. "
            f"{error}"
        ) from error


def scheduled_fraction(mask_fraction, schedule, epoch, max_epochs):
    """Share of hidden groups in an epoch.

    Parameters
    ----------
    mask_fraction : float
        Final share.
    schedule : {"constant", "ramp"}
        "ramp": 0 in the first quarter of `max_epochs`, then linear up to `mask_fraction` over 60 %
        of the rest, then constant.
    epoch : int
        Epoch, from 0.
    max_epochs : int
        Planned number of epochs.

    Returns
    -------
    float
        The share in this epoch.
    """
    if schedule == "constant":
        return mask_fraction
    warm_up = max_epochs / 4
    progress = (epoch - warm_up) / (0.6 * (max_epochs - warm_up))
    return mask_fraction * float(np.clip(progress, 0.0, 1.0))


def unwrap(component):
    """The module or criterion behind ``torch.compile``."""
    return getattr(component, "_orig_mod", component)


def infer_likelihood(criterion, *, nll_of_probabilities):
    """Distribution that a criterion stands for.

    Parameters
    ----------
    criterion : torch.nn.Module or callable
        The criterion.
    nll_of_probabilities : bool
        Whether ``NLLLoss`` gets the log of the output taken on the way, as skorch's
        ``NeuralNetClassifier`` does, so that the module returns probabilities.

    Returns
    -------
    likelihood : {"categorical", "bernoulli", "gaussian"} or None
        None if the criterion is none of those known.
    probabilities : bool
        Whether the module returns probabilities.
    """
    criterion = unwrap(criterion)
    if isinstance(criterion, torch.nn.CrossEntropyLoss):
        return "categorical", False
    if isinstance(criterion, torch.nn.NLLLoss):
        return "categorical", nll_of_probabilities
    if isinstance(criterion, torch.nn.BCEWithLogitsLoss):
        return "bernoulli", False
    if isinstance(criterion, torch.nn.BCELoss):
        return "bernoulli", True
    if isinstance(criterion, torch.nn.MSELoss):
        return "gaussian", False
    return None, False


DIVERGENCE_OF = {
    "categorical": "categorical_kl",
    "bernoulli": "bernoulli_kl",
    "gaussian": "squared_difference",
}
