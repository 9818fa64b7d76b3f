"""Helpers between scikit-learn's transformers and the estimators."""

from sgt_sklearn.preprocessing._feature_groups import feature_groups
from sgt_sklearn.preprocessing._sums import sum_by_group

__all__ = ["feature_groups", "sum_by_group"]
