"""Choosing and comparing trainings by score and by interpretability."""

from sgt_sklearn.model_selection._one_standard_error import one_standard_error_refit

__all__ = ["one_standard_error_refit"]
