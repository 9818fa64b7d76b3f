"""Data whose relevant cells are known, and data that installed packages ship."""

from sgt_sklearn.datasets._long_series import load_long_series
from sgt_sklearn.datasets._tables import make_relevance_classification, make_relevance_regression
from sgt_sklearn.datasets._text_snippets import load_text_snippets
from sgt_sklearn.datasets._time_series import (
    TIME_SERIES_KINDS,
    TIME_SERIES_PROCESSES,
    make_relevance_time_series,
)
from sgt_sklearn.datasets._time_series_files import load_time_series
from sgt_sklearn.datasets._tokens import make_relevance_tokens

__all__ = [
    "TIME_SERIES_KINDS",
    "TIME_SERIES_PROCESSES",
    "load_long_series",
    "load_text_snippets",
    "load_time_series",
    "make_relevance_classification",
    "make_relevance_regression",
    "make_relevance_time_series",
    "make_relevance_tokens",
]
