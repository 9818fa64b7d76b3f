"""Checks of what an estimator with saliency guided training promises, for tests of one's own."""

from sgt_sklearn.testing._checks import check_guided_estimator, guided_checks

__all__ = ["check_guided_estimator", "guided_checks"]
