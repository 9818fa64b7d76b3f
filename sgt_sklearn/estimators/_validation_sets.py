"""Validation data that a train split brings, instead of taking them from the training data."""

import numpy as np
import torch
from skorch.dataset import Dataset
from skorch.utils import to_numpy
from torch.utils.data import Subset, TensorDataset

from sgt_sklearn.estimators._inputs import without_excess
from sgt_sklearn.estimators._weights import select_rows


class ValidationSetsMixin:
    """Validates, encodes and scales such data as those that are trained on."""

    def get_split_datasets(self, X, y=None, **fit_params):
        """Data sets for training and for validation.

        Parameters
        ----------
        X, y
            Training data, as the network gets them.
        **fit_params
            Passed on to the train split.

        Returns
        -------
        dataset_train, dataset_valid : Dataset
            Without a train split, `dataset_valid` is None. One that the split brings
            (``predefined_split``) is prepared as the training data are.

        Raises
        ------
        ValueError, TypeError
            If the split brings data that do not fit those of `fit`, or are none that could be
            prepared.
        """
        train, valid = super().get_split_datasets(X, y, **fit_params)
        prepares = self._has_named_module() or getattr(self, "_decodes_", False)
        if prepares and self._encoded_ and _is_brought(valid, train, y):
            valid = self._prepare_valid(valid)
        return train, valid

    def _prepare_valid(self, valid):
        data = _arrays_of(valid)
        named = self._has_named_module()
        if data is None:
            if not named and np.array_equal(
                self.classes_inferred_, np.arange(len(self.classes_inferred_))
            ):
                return valid  # 0, 1, ...: as good as encoded
            raise TypeError(
                f"train_split must bring validation data whose X and y can be "
                f"{'scaled and ' if named else ''}encoded as those of fit, got "
                f"{type(valid).__name__}: pass skorch.dataset.Dataset(X, y) to predefined_split, "
                "with X and y as for fit."
            )
        passed, y = data
        if y is None:
            raise ValueError(
                "train_split must bring validation data with targets: pass "
                "skorch.dataset.Dataset(X, y) to predefined_split."
            )
        y = to_numpy(y) if isinstance(y, torch.Tensor) else np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        X = passed
        try:
            if named:
                X, y = self._validate_arrays(_array(passed), y, fresh=False)
                X = without_excess(X, passed)
            y = self._encode_targets(X, y, False, None)
        except (ValueError, TypeError) as error:
            raise type(error)(
                f"train_split brings validation data that do not fit those of fit: {error} X and "
                "y must be as for fit, labels and units of y included."
            ) from error
        return self.get_dataset(X, y)


def _array(X):
    """A tensor as an array; anything else as it is."""
    return to_numpy(X) if isinstance(X, torch.Tensor) else X


def _is_brought(valid, train, y):
    """Whether validation data come from elsewhere than the data of the fit, with encoded `y`."""
    if valid is None:
        return False
    # a split that builds both sets anew makes them of what it got
    fitted = [source for source in _sources(train) if getattr(source, "y", None) is y]
    return bool(fitted) and not any(
        any(source is one for one in fitted) or _share_memory(getattr(source, "y", None), y)
        for source in _sources(valid)
    )


def _share_memory(*arrays):
    return all(isinstance(a, np.ndarray) for a in arrays) and np.shares_memory(*arrays)


def _sources(dataset):
    """A data set, and those that it is a subset of, joins or wraps."""
    found, left = [], [dataset]
    while left:
        source = left.pop()
        if any(source is one for one in found):
            continue
        found.append(source)
        for value in getattr(source, "__dict__", {}).values():
            parts = value if isinstance(value, (list, tuple)) else [value]
            left += [part for part in parts if isinstance(part, torch.utils.data.Dataset)]
    return found


def _arrays_of(dataset):
    """X and y of a data set whose samples are rows of them; None of any other."""
    if type(dataset) is Subset:
        data = _arrays_of(dataset.dataset)
        rows = np.asarray(dataset.indices)
        return None if data is None else tuple(select_rows(part, rows) for part in data)
    if type(dataset) is TensorDataset and len(dataset.tensors) == 2:
        return dataset.tensors
    return (dataset.X, dataset.y) if type(dataset) is Dataset else None
