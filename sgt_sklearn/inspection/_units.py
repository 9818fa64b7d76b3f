"""What the nets inside an estimator see: the data, or what steps of a pipeline made of them."""

from collections import Counter

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from sgt_sklearn.inspection._ensembles import members_of
from sgt_sklearn.inspection._finals import has_own_attribute
from sgt_sklearn.inspection._unwrap import groups_of, passes


def finals_of(estimator, steps=()):
    """The last predictors inside a fitted estimator, each with the steps before it.

    Parameters
    ----------
    estimator : fitted estimator
        A predictor, pipeline, search, frozen estimator or ensemble.
    steps : list of transformers, default=()
        Steps before it.

    Returns
    -------
    list of (estimator, list of transformers)
        Pairs.
    """
    steps = list(steps)
    if isinstance(estimator, FrozenEstimator):
        return finals_of(estimator.estimator, steps)
    if hasattr(estimator, "best_estimator_"):
        return finals_of(estimator.best_estimator_, steps)
    if isinstance(estimator, Pipeline):
        steps += [step for _, step in estimator.steps[:-1] if not passes(step)]
        return finals_of(estimator.steps[-1][1], steps)
    members = members_of(estimator)
    if members is None:
        return [(estimator, steps)]
    return [pair for member in members for pair in finals_of(member.estimator, steps)]


def is_transformed(estimator):
    """Whether any of its predictors sees what steps made of the data."""
    return any(steps for _, steps in finals_of(estimator))


def knows_deviations(estimator):
    """Whether all of its predictors are nets that know the deviation of each feature."""
    return all(
        getattr(final, "_statistics_", None) is not None and not has_own_attribute(final)
        for final, _ in finals_of(estimator)
    )


def summed_inside(ensemble):
    """Columns that steps inside of an ensemble make several of, whose values are summed there."""
    _, steps = finals_of(ensemble)[0]  # members differ in their rows
    groups = groups_of(steps) if steps else None
    counts = Counter(() if groups is None else groups)
    return [str(name) for name, count in counts.items() if count > 1]
