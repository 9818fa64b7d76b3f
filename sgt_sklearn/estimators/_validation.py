"""Input of the default estimators: what it must be, and what is told from it."""

from collections.abc import Mapping

import numpy as np
import torch
from sklearn.utils.validation import check_array, check_consistent_length, validate_data
from skorch.dataset import Dataset
from skorch.utils import is_dataset, to_numpy

from sgt_sklearn._series import padded
from sgt_sklearn._statistics import FeatureStatistics
from sgt_sklearn.estimators._checks import naming
from sgt_sklearn.estimators._inputs import (
    array_and_lengths,
    as_columns,
    check_own_series,
    is_list_of_series,
    writable,
)
from sgt_sklearn.estimators._named import (
    check_kind,
    check_module,
    kind_of_data,
    sizes_of,
)
from sgt_sklearn.estimators._parameters import (
    group_labels,
    is_auto,
    kind_of_tensor,
    resolve_auto,
)
from sgt_sklearn.estimators._unreadable import check_dense, check_no_dates, explaining


class ValidationMixin:
    """Validates X and y, and keeps what a network of a given name is built from."""

    _input_shape_ = None  # of a sample in training
    _input_kind_ = None  # of a module given by name
    _sizes_ = None

    def _has_named_module(self):
        return isinstance(self.module, str)

    def _prepare_data(self, X, y, fresh):
        """X and y as the network gets them, but for weights and the encoding of y."""
        check_module(self.module)
        if self._has_named_module():
            if is_dataset(X):
                raise TypeError(
                    f"X must be an array when module={self.module!r} (the network is sized and "
                    f"scaled from it), got {type(X).__name__}: pass a module of your own."
                )
            return self._validate_arrays(X, y, fresh)
        if not is_dataset(X):
            if hasattr(X, "shape") and 0 in X.shape:
                raise ValueError(f"X must have rows and features, got shape {tuple(X.shape)}.")
            self._record_features(X, fresh)
            if is_list_of_series(X) and len({len(x) for x in X}) > 1:
                raise ValueError(
                    "X must hold arrays of equal length for a module of your own, as a list is "
                    "passed on as its arguments: use sgt_sklearn.preprocessing.pad_series(X), "
                    "whose entries the module gets as forward(X, lengths)."
                )
            check_own_series(X)
            X, y = writable(self._columns(X)), writable(y)
        return X, y

    def _validate_arrays(self, X, y, fresh):
        X = self._validate_array(X, fresh)
        array, _ = array_and_lengths(X)
        if y is not None:
            with naming("y", self._targets_are):
                kind = np.float64 if self._numeric_targets else None
                y = check_array(y, ensure_2d=False, dtype=kind, input_name="y", estimator=self)
                check_consistent_length(array, y)
        if not fresh:
            self._check_shape(array)
        return X, y

    def _validate_array(self, X, fresh):
        check_dense(X)
        kind = kind_of_data(self.module, X)
        # one row alone has a message of scikit-learn's own
        if (
            not fresh
            and kind != self._input_kind_
            and (kind, self._input_kind_) != (None, "tabular")
        ):
            raise ValueError(
                f"X must hold samples of shape {self._input_shape_}, got "
                f"{np.shape(X) if isinstance(X, np.ndarray) else type(X).__name__}: one sample "
                "alone needs X[None], grey images X[:, None], series of one feature X[:, :, None]."
            )
        if kind == "series":
            X = self._validate_series(X, fresh)
        elif kind == "tokens":
            X = self._validate_tokens(X, fresh)
        elif isinstance(X, Mapping):
            raise TypeError(
                'X must be an array, a list of series, or a dict of "X" and "lengths", got a dict '
                f"of {sorted(map(str, X))}."
            )
        else:
            check_no_dates(X)
            # values that overflow are an error
            with explaining(X, fits=kind is not None), np.errstate(over="ignore"):
                X = validate_data(self, X, reset=fresh, dtype=np.float32, allow_nd=True)
            X = writable(X)
        if fresh:
            check_kind(self.module, kind, np.shape(array_and_lengths(X)[0]))
            self._input_kind_ = kind
        return X

    def _validate_series(self, X, fresh):
        array, lengths = padded(X)
        self._check_n_features(array.shape[2], fresh)
        array = writable(array)
        return array if lengths is None else {"X": array, "lengths": lengths}

    def _check_n_features(self, n_features, fresh):
        if fresh:
            self.n_features_in_ = n_features
            vars(self).pop("feature_names_in_", None)
        elif n_features != self.n_features_in_:
            raise ValueError(
                f"X has {n_features} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input: the last axis of X must be that of the "
                "first fit."
            )

    def _validate_tokens(self, X, fresh):
        must_be = (
            f"X must hold integer token ids of shape (n_samples, n_tokens) for module="
            f"{self.module!r}, 0 for padding at the end of rows (texts through "
            "sgt_sklearn.preprocessing.TokenEncoder)"
        )
        try:
            X = np.asarray(X)
        except ValueError as error:
            raise ValueError(f"{must_be}. {error}") from error
        if X.dtype.kind not in "iu" or X.ndim != 2 or 0 in X.shape:
            raise ValueError(f"{must_be}, got shape {X.shape} of {X.dtype}.")
        if X.min() < 0:
            raise ValueError(f"{must_be}, got the negative id {X.min()}.")
        lengths = (X != 0).sum(axis=1)
        (empty,) = np.nonzero(lengths == 0)
        if len(empty):
            raise ValueError(f"{must_be}, got no token in row {empty[0]}: leave such rows out.")
        behind = np.arange(X.shape[1]) >= lengths[:, None]
        (inside,) = np.nonzero((X.astype(bool) & behind).any(axis=1))
        if len(inside):
            raise ValueError(f"{must_be}, got padding between the tokens of row {inside[0]}.")
        largest = None if fresh else self._sizes_["vocabulary_size"]
        largest = self.get_params_for("module").get("vocabulary_size", largest)
        if largest is not None and X.max() >= largest:
            raise ValueError(
                f"{must_be}, each below vocabulary_size={largest}, got {X.max()}: encode X as in "
                "the first fit, or set module__vocabulary_size to one more than the largest id."
            )
        if fresh:
            self.n_features_in_ = 1
            vars(self).pop("feature_names_in_", None)
        return X.astype(np.int64)

    def _record_features(self, X, fresh):
        if not hasattr(X, "shape") or len(X.shape) < 2:
            return
        if not is_auto(self.embedding):
            if fresh:  # texts are of any width, also where the net was fitted without an embedding
                self._check_n_features(1, fresh)
        elif len(X.shape) == 3:
            self._check_n_features(X.shape[-1], fresh)
        else:
            validate_data(self, X, reset=fresh, skip_check_array=True)

    def _describe_inputs(self, X, y, fresh):
        """Settle everything that the shape and spread of the training data decide."""
        X, lengths = array_and_lengths(X)
        shape, kind = tuple(X.shape[1:]), self._input_kind_
        if not self._has_named_module():
            tokens = not is_auto(self.embedding) and to_numpy(X[:1]).dtype.kind in "iu"
            kind = kind_of_tensor(X.ndim, tokens=tokens)
        settings = {"feature_groups": "cell"}
        if kind is not None or not is_auto(self.feature_groups):
            settings = resolve_auto(self.get_guidance_params(), kind)
        labels = group_labels(settings["feature_groups"], shape)
        if labels is None:
            labels = np.arange(int(np.prod(shape))).reshape(shape)
        self.feature_groups_ = labels
        self._input_shape_ = shape
        if not fresh:
            return
        array = to_numpy(X)
        if array.dtype.kind == "f":
            self._statistics_ = FeatureStatistics.from_array(
                array, self._weights_, None if lengths is None else to_numpy(lengths)
            )
        self._sizes_ = sizes_of(kind, array, self._n_outputs(y))

    # prediction

    def _validate_inputs(self, X):
        if self._has_named_module():
            X = self._validate_array(X, fresh=False)
            self._check_shape(array_and_lengths(X)[0])
        else:
            if hasattr(self, "n_features_in_"):
                self._record_features(X, fresh=False)
            check_own_series(X)
        return writable(self._columns(X))

    def _columns(self, X):
        # what skorch's data set does with a DataFrame row by row
        return as_columns(X) if self.dataset is Dataset else X

    def _check_shape(self, X):
        if self._input_kind_ in ("series", "tokens"):
            return  # of any length
        if X.shape[1:] != self._input_shape_:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but {type(self).__name__} was fitted on "
                f"samples of shape {self._input_shape_}."
            )

    def _has_arrays(self, X):
        """Whether X is data that statistics and sizes can be told from."""
        X, lengths = array_and_lengths(X)
        if lengths is not None and not self._has_named_module():
            # of a module of the user's own, these keys may mean anything
            series = np.ndim(X) == 3 and np.ndim(lengths) == 1
            return series and to_numpy(lengths).dtype.kind in "iu"
        return isinstance(X, (np.ndarray, torch.Tensor)) and X.ndim > 1
