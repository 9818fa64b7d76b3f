"""Explanations of predictions, with names, of nets, pipelines, searches and ensembles."""

import inspect

from skorch import NeuralNet

from sgt_sklearn.estimators._attribute import METHODS, attribute_net, in_form


def attributions(
    estimator,
    X,
    *,
    method,
    target="predicted",
    output="logit",
    standardized=False,
    random_state=None,
    **options,
):
    """Attributions of a final estimator, in the form that `net.attribute` returns."""
    options |= {"method": method, "target": target, "output": output}
    options |= {"standardized": standardized, "random_state": random_state}
    if hasattr(estimator, "attribute"):
        accepted = inspect.signature(estimator.attribute).parameters
        options = {name: value for name, value in options.items() if name in accepted}
        return estimator.attribute(X, **options)
    if isinstance(estimator, NeuralNet) and method in METHODS:
        found = attribute_net(estimator, X, **options)
        return in_form(found, per_output=isinstance(target, str) and target == "all")
    raise TypeError(
        "estimator must have a method `attribute` to compute attributions, or be a skorch net, got "
        f"{type(estimator).__name__}."
    )
