"""Scikit-learn style estimators trained with saliency guidance."""

from sgt_sklearn.estimators._classifier import SaliencyGuidedClassifier
from sgt_sklearn.estimators._mixin import SaliencyGuidedMixin
from sgt_sklearn.estimators._parameters import paper_settings
from sgt_sklearn.estimators._regressor import SaliencyGuidedRegressor

__all__ = [
    "SaliencyGuidedClassifier",
    "SaliencyGuidedMixin",
    "SaliencyGuidedRegressor",
    "paper_settings",
]
