"""Choosing and comparing trainings by score and by interpretability."""

from sgt_sklearn.model_selection._compare import compare_training
from sgt_sklearn.model_selection._comparison_display import TrainingComparisonDisplay
from sgt_sklearn.model_selection._one_standard_error import one_standard_error_refit

__all__ = ["TrainingComparisonDisplay", "compare_training", "one_standard_error_refit"]
