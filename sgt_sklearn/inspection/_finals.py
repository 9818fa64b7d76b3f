"""Attributions of final estimators: nets, ensembles of them, and anything that predicts."""

import inspect
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from skorch import NeuralNet

from sgt_sklearn._random import seed_from
from sgt_sklearn.estimators._attribute import (
    Attributed,
    AttributionMixin,
    attribute_net,
    check_counts,
    in_form,
)
from sgt_sklearn.inspection._baselines import baseline_for_net, check_baseline
from sgt_sklearn.inspection._methods import METHODS, check_options, check_output, method_named


@dataclass(frozen=True)
class Request:
    """What is asked of an explanation.

    Parameters
    ----------
    method : str
        Name of the method.
    target : "predicted", "all", label or array of labels
        What is explained.
    output : str
        Which number of it, or "auto".
    baseline : str or array
        As for `explain`.
    options : dict
        All options of the method.
    labels : ndarray of int, shape of a sample, or None
        What is hidden together.
    batch_size : int or None
        Rows a pass.
    standardized : bool
        Whether gradients are multiplied by the deviation of each feature.
    seed : int or None
        Of what is drawn.
    outputs : tuple of {"input", "baseline"}
        Where the explained number is computed, too.
    """

    method: str
    target: Any = "predicted"
    output: str = "auto"
    baseline: Any = "auto"
    options: dict = field(default_factory=dict)
    labels: np.ndarray | None = None
    batch_size: int | None = None
    standardized: bool = False
    seed: int | None = None
    outputs: tuple = ()

    @property
    def facts(self):
        """Facts of the method."""
        return METHODS[self.method]

    def generators(self):
        """Global generators of one's own where there is a seed."""
        from sgt_sklearn.inspection._captum import generators_of

        return generators_of(self.seed)


def explain_final(estimator, X, request):
    """Explain an estimator that is no pipeline and no search.

    Parameters
    ----------
    estimator : fitted estimator
        A skorch net, an ensemble of nets, or for methods that perturb anything that predicts.
    X : object
        Samples, as the estimator sees them.
    request : Request
        What is asked.

    Returns
    -------
    Attributed
        Attributions, not NaN on padding yet.

    Raises
    ------
    TypeError
        If the estimator has no gradients and the method needs them.
    ValueError
        If what is asked does not fit.
    """
    from sgt_sklearn.inspection._ensembles import explain_members, members_of
    from sgt_sklearn.inspection._transformed_targets import explain_transformed

    perturbs = request.method in METHODS and request.facts.family == "perturbation"
    if has_own_attribute(estimator) and not perturbs:
        return _by_its_own(estimator, X, request)
    if isinstance(estimator, NeuralNet):
        return _explain_net(estimator, X, request)
    # what an ensemble itself predicts; logits are those of its members
    if perturbs and request.output in ("auto", "probability", "log_proba"):
        return _by_predictions(estimator, X, request)
    if isinstance(estimator, TransformedTargetRegressor):
        return explain_transformed(estimator, X, request, explain_final)
    members = members_of(estimator)
    if members is not None:
        return explain_members(estimator, members, X, request, explain_final)
    if not perturbs:
        raise TypeError(
            f"estimator must be a skorch net, or an ensemble of them, for method="
            f"{request.method!r}, which needs gradients, got {type(estimator).__name__}. Use "
            "method='feature_ablation', which works with every estimator."
        )
    return _by_predictions(estimator, X, request)


def has_own_attribute(estimator):
    """Whether an estimator explains itself by a method `attribute` that is not ours."""
    own = getattr(type(estimator), "attribute", None)
    return own is not None and own is not AttributionMixin.attribute


def attributions(
    estimator,
    X,
    *,
    method,
    target="predicted",
    output="auto",
    baseline="auto",
    batch_size=None,
    standardized=False,
    random_state=None,
    **options,
):
    """Attributions of a final estimator, in the form that `net.attribute` returns.

    Parameters
    ----------
    estimator : fitted estimator
        No pipeline and no search; see `unwrap`.
    X : object
        Samples, as the estimator sees them.
    method, target, output, baseline, batch_size, standardized, random_state, **options
        As for :func:`explain`. An estimator with a method `attribute` of its own is asked for what
        needs gradients.

    Returns
    -------
    ndarray of the shape of X, or list of ndarray
        NaN on padding.
    """
    if not has_own_attribute(estimator):
        method_named(method)
        options = check_options(method, options)
        check_baseline(baseline, method)
        check_counts(batch_size=batch_size)
    request = Request(
        method,
        target=target,
        output=output,
        baseline=baseline,
        options=options,
        batch_size=batch_size,
        standardized=standardized,
        seed=None if random_state is None else seed_from(random_state),
    )
    found = explain_final(estimator, X, request)
    return in_form(found, per_output=isinstance(target, str) and target == "all")


def _explain_net(net, X, request):
    from sgt_sklearn.inspection._captum import explainers_of

    output = "logit" if request.output == "auto" else request.output
    check_output(request.method, output)
    facts, options = request.facts, dict(request.options)
    if facts.family == "perturbation":
        options["feature_mask"] = request.labels
    settings = {
        "method": request.method,
        "target": request.target,
        "output": output,
        "baseline": baseline_for_net(
            request.baseline, request.method, request.options, request.seed
        ),
        "batch_size": request.batch_size,
        "options": options,
        "standardized": request.standardized,
        "explainers": explainers_of(request.method),
        "with_outputs": request.outputs,
    }
    if facts.family == "gradient":  # which has a generator of its own
        return attribute_net(net, X, random_state=request.seed, **settings)
    with request.generators():
        return attribute_net(net, X, **settings)


def _by_predictions(estimator, X, request):
    from sgt_sklearn.inspection._predictions import explain_predictions

    return explain_predictions(estimator, X, request)


def _by_its_own(estimator, X, request):
    """What an estimator's own `attribute` returns, in an array."""
    asked = {
        "method": request.method,
        "target": request.target,
        "standardized": request.standardized,
        "random_state": request.seed,
        **request.options,
    }
    if request.output != "auto":
        asked["output"] = request.output
    if not isinstance(request.baseline, str):
        asked["baseline"] = request.baseline
    if request.batch_size is not None:
        asked["batch_size"] = request.batch_size
    parameters = inspect.signature(estimator.attribute).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        asked = {name: value for name, value in asked.items() if name in parameters}
    values = estimator.attribute(X, **asked)
    return Attributed(values, X, None, False, output=request.output)
