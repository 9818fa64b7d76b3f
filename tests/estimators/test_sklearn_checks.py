"""scikit-learn's own checks, on the default estimators."""

from unittest import SkipTest

import pytest
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor

# It compares a weight of 2 with a repeated row: masks and batches are drawn, sums are float32.
MAY_FAIL = {"check_sample_weight_equivalence_on_dense_data": "masks and batches are drawn"}
MAY_SKIP = {"check_array_api_input"}


def may_fail(estimator):
    return MAY_FAIL


def name_of(check):
    return check.func.__name__


@parametrize_with_checks(
    [SaliencyGuidedClassifier(), SaliencyGuidedRegressor()], expected_failed_checks=may_fail
)
def test_check(estimator, check, device):
    try:
        check(clone(estimator).set_params(device=device))
    except SkipTest as skipped:
        assert name_of(check) in MAY_SKIP, skipped
        raise


@pytest.mark.parametrize(
    ("estimator", "n_passed"),
    [(SaliencyGuidedClassifier(), 52), (SaliencyGuidedRegressor(), 49)],
    ids=["classifier", "regressor"],
)
def test_nearly_all_checks_run_and_pass(estimator, n_passed):
    # those that test_check runs, where no other fails and no other skips
    names = [name_of(check) for _, check in estimator_checks_generator(estimator)]
    assert len([name for name in names if name not in MAY_SKIP | MAY_FAIL.keys()]) >= n_passed


@pytest.mark.parametrize("estimator", [SaliencyGuidedClassifier(), SaliencyGuidedRegressor()])
def test_tags_claim_a_validating_deterministic_well_scoring_estimator(estimator):
    tags = get_tags(estimator)
    assert not tags.no_validation
    assert not tags.non_deterministic
    assert not (tags.classifier_tags or tags.regressor_tags).poor_score
