"""The list of the checks, and how they run."""

from sgt_sklearn.testing import (
    _contract,
    _explanations,
    _guidance,
    _padding,
    _predictions,
    _seeds,
)
from sgt_sklearn.testing._case import Case

# in the order in which they run: what breaks much comes first
_CHECKS = (
    _contract.check_parameters,
    _contract.check_unfitted,
    _contract.check_fit_returns_self,
    _contract.check_fit_keeps_parameters,
    _contract.check_data_unchanged,
    _contract.check_failed_fit,
    _contract.check_bad_input,
    _contract.check_pickle,
    _contract.check_sample_weight,
    _seeds.check_random_state,
    _seeds.check_global_generators,
    _seeds.check_partial_fit_continues,
    _guidance.check_consistency_weight_zero,
    _guidance.check_guidance_trains,
    _guidance.check_masks,
    _guidance.check_history,
    _predictions.check_predictions,
    _predictions.check_probabilities,
    _predictions.check_batch_size,
    _explanations.check_attribute,
    _explanations.check_gradient,
    _padding.check_padding,
)
_NEEDS = {
    _contract.check_bad_input: lambda case: case.names_module,
    _contract.check_sample_weight: lambda case: case.takes_weights,
    _guidance.check_history: lambda case: case.keeps_history,
    _predictions.check_probabilities: lambda case: case.kind_of_target == "class",
    _explanations.check_gradient: lambda case: case.kind_of_target is not None,
    _padding.check_padding: lambda case: case.samples.padded,
}


def guided_checks(estimator, X=None, y=None, *, kind="tabular"):
    """Checks of an estimator with saliency guided training, one callable each.

    They check what :class:`sgt_sklearn.SaliencyGuidedMixin` promises, for the estimators of this
    library and for classes of your own, on tables, images, series (also of unequal length) or
    tokens.

    Parameters
    ----------
    estimator : SaliencyGuidedMixin
        Instance of a net class with the mixin, not changed by the checks: each works on clones,
        which train for 2 epochs of 3 batches. Leave out callbacks that stop or schedule the
        training by what came before.
    X : array-like of shape (n_samples, ...), list of ndarray, or dict, default=None
        At least 12 samples that the estimator can be fitted on, with at least 2 features: floating
        point, or ids of tokens with 0 for padding at the end. Series of unequal length in any form
        that the estimator takes: for modules of your own, the dict of
        :func:`sgt_sklearn.preprocessing.pad_series`. None makes data; give them for modules that
        have sizes of their own.
    y : array-like of shape (n_samples, ...), default=None
        Targets.
    kind : {"tabular", "image", "series", "ragged", "tokens"}, default="tabular"
        Data that are made:

        - "tabular": 48 rows of 6 columns;
        - "image": 36 images of 2 channels of 6 x 6 pixels;
        - "series": 36 series of 8 steps and 3 features;
        - "ragged": a list of 36 such series of 4 to 8 steps; for modules of your own the dict of
          "X" and "lengths";
        - "tokens": 36 rows of 3 to 8 ids below 20, for modules whose `embedding` is known.

    Returns
    -------
    list of callable
        Call each without arguments. One that fails raises AssertionError with its name, what it
        expected and what it got. Their ``__name__`` names them, also in pytest.

    Raises
    ------
    TypeError
        If `estimator` is no instance of a class with the mixin.
    ValueError
        If `kind` is unknown or does not fit the module, or X and y cannot be used.

    See Also
    --------
    check_guided_estimator : Run all of them.

    Examples
    --------
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.testing import guided_checks
    >>> checks = guided_checks(SaliencyGuidedClassifier())
    >>> checks[0].__name__
    'check_parameters'
    >>> checks[0]()

    In a test module:

    >>> import pytest
    >>> @pytest.mark.parametrize("check", guided_checks(SaliencyGuidedClassifier()))
    ... def test_guided(check):
    ...     check()
    """
    case = Case(estimator, X, y, kind)
    return [_Check(f, case) for f in _CHECKS if f not in _NEEDS or _NEEDS[f](case)]


def check_guided_estimator(estimator, X=None, y=None, *, kind="tabular"):
    """Run all checks of an estimator with saliency guided training.

    Parameters
    ----------
    estimator : SaliencyGuidedMixin
        Instance of a net class with the mixin.
    X : array-like of shape (n_samples, ...), list of ndarray, or dict, default=None
        Samples to fit on; None makes data.
    y : array-like of shape (n_samples, ...), default=None
        Targets.
    kind : {"tabular", "image", "series", "ragged", "tokens"}, default="tabular"
        Data that are made.

    Returns
    -------
    list of str
        Names of the checks that were run.

    Raises
    ------
    AssertionError
        By the first check that fails: its name, what it expected and what it got.
    TypeError, ValueError
        If estimator or data cannot be checked, see :func:`guided_checks`.

    See Also
    --------
    guided_checks : The checks one by one, for pytest.

    Examples
    --------
    >>> from sgt_sklearn import SaliencyGuidedRegressor
    >>> from sgt_sklearn.testing import check_guided_estimator
    >>> ran = check_guided_estimator(SaliencyGuidedRegressor())
    >>> "check_masks" in ran
    True
    """
    checks = guided_checks(estimator, X, y, kind=kind)
    for check in checks:
        check()
    return [check.__name__ for check in checks]


class _Check:
    """A check of one case."""

    def __init__(self, function, case):
        self.function, self.case = function, case
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    def __call__(self):
        where = f"{self.__name__} of {self.case.name}"
        try:
            self.function(self.case)
        except AssertionError as error:
            raise AssertionError(f"{where}: {error}") from error
        except Exception as error:
            error.add_note(f"raised in {where}")
            raise

    def __repr__(self):
        return f"<{self.__name__} of {self.case.name}>"
