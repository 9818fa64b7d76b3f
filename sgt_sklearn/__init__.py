"""Saliency guided training: neural networks trained for their gradient explanations."""

from importlib.metadata import PackageNotFoundError, version

from sgt_sklearn.estimators import (
    SaliencyGuidedClassifier,
    SaliencyGuidedMixin,
    SaliencyGuidedRegressor,
    paper_settings,
)

try:
    __version__ = version("sgt-sklearn")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0.0.0"

__all__ = [
    "SaliencyGuidedClassifier",
    "SaliencyGuidedMixin",
    "SaliencyGuidedRegressor",
    "paper_settings",
]
