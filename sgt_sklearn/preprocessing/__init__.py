"""Helpers between data as they come, scikit-learn's transformers, and the estimators."""

from sgt_sklearn.preprocessing._channels_first import from_channels_first, to_channels_first
from sgt_sklearn.preprocessing._feature_groups import feature_groups
from sgt_sklearn.preprocessing._pad_series import pad_series
from sgt_sklearn.preprocessing._sliding_window import SlidingWindow
from sgt_sklearn.preprocessing._sums import sum_by_group
from sgt_sklearn.preprocessing._token_encoder import TokenEncoder

__all__ = [
    "SlidingWindow",
    "TokenEncoder",
    "feature_groups",
    "from_channels_first",
    "pad_series",
    "sum_by_group",
    "to_channels_first",
]
