"""How predictions change when groups are replaced, for every draw, order, fraction and sample."""

import numpy as np
from sklearn.utils.validation import check_consistent_length

from sgt_sklearn.metrics import _resolve
from sgt_sklearn.metrics._checks import as_numeric_array, check_fractions, check_option
from sgt_sklearn.metrics._generators import with_generators_apart
from sgt_sklearn.metrics._perturbation import prepare

FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5)


@with_generators_apart
def prediction_changes(
    estimator, X, y, *, keep, with_random, target, fractions, outcome, **options
):
    """Return changes of shape (n_draws, n_orders, n_fractions, n_samples).

    The first order is that of the attributions, the second, if `with_random`, a random one. With
    `keep` the first groups are kept and all others replaced.
    """
    fractions = check_fractions(fractions, zero_allowed=False)
    check_option(outcome, "outcome", ("probability", "flip"))
    experiment = prepare(estimator, X, target=target, **options)
    sizes = experiment.sizes(fractions, at_least=1)
    method, measure = _change_measure(experiment, y, target, outcome)
    return np.stack(
        [
            measure(experiment.respond(method, values, ranks, sizes, keep=keep))
            for values, ranks in experiment.draws(with_random)
        ]
    )


def _change_measure(experiment, y, target, outcome):
    """Return the method to ask and a function from its outputs (..., n_samples, ...) to changes.

    Changes have shape (..., n_samples).
    """
    net, n_samples = experiment.net, experiment.n_samples
    if outcome == "flip":
        return flips(experiment, outcome, "probability")
    if not _resolve.has_classes(net):
        return _regression_changes(experiment, y, target)
    _resolve.check_has_probabilities(net, "flip")
    base = experiment.predict("predict_proba").astype(np.float64)
    columns = _resolve.target_columns(net, target, n_samples, base.shape[1])
    if columns is None:
        columns = base.argmax(axis=1)
    rows = np.arange(n_samples)
    before = base[rows, columns]
    return "predict_proba", lambda outputs: before - outputs[..., rows, columns]


def flips(experiment, outcome, other):
    """Return "predict" and a function from its outputs to whether they differ from before.

    `outcome` is what the caller asked for, `other` what a regressor has instead.
    """
    net = experiment.net
    if not _resolve.has_classes(net):
        raise ValueError(
            f'outcome must be "{other}" for a regressor (changes in units of the sd of y), got '
            f'"{outcome}" with {type(net).__name__}, which predicts no classes.'
        )
    base = experiment.predict("predict")

    def changed(outputs):
        flips = (outputs != base).astype(np.float64)
        return flips.reshape(*flips.shape[:3], -1).mean(axis=-1)

    return "predict", changed


def _regression_changes(experiment, y, target):
    net, n_samples = experiment.net, experiment.n_samples
    base = experiment.predict("predict").astype(np.float64).reshape(n_samples, -1)
    n_outputs = base.shape[1]
    scale = target_scale(net, y, n_samples, n_outputs)
    columns = _resolve.target_columns(net, target, n_samples, n_outputs)

    def changed(outputs):
        difference = np.abs(outputs.reshape(*outputs.shape[:3], n_outputs) - base) / scale
        if columns is None:
            return difference.mean(axis=-1)
        return difference[..., np.arange(n_samples), columns]

    return "predict", changed


def target_scale(net, y, n_samples, n_outputs):
    """Return the standard deviation of y in training, one value an output; 1 for a constant."""
    scale = getattr(net, "target_scale_", None)
    if scale is None:
        if y is None:
            raise ValueError(
                "y must be given for a regressor without `target_scale_`, got None with "
                f"{type(net).__name__}. Pass y: its standard deviation is the unit of the change."
            )
        y = as_numeric_array(y, "y")
        check_consistent_length(y, np.empty(n_samples))
        scale = y.reshape(n_samples, -1).std(axis=0, dtype=np.float64)
    scale = np.ravel(np.asarray(scale, dtype=np.float64))
    if len(scale) not in (1, n_outputs):
        raise ValueError(
            f"y must have as many outputs as the predictions, {n_outputs}, to give each a "
            f"standard deviation, got {len(scale)}. Pass the y of this regressor."
        )
    return np.where(scale > 0, scale, 1.0)
