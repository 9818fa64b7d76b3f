"""Sample and class weights, on their way from `fit` to the loss of a batch."""

from contextlib import contextmanager

import numpy as np
import torch
from sklearn.utils.validation import check_array
from skorch.dataset import get_len, unpack_data
from skorch.utils import is_dataset, multi_indexing

from sgt_sklearn.estimators._parameters import unwrap

_INPUT, _WEIGHT = "sgt_input", "sgt_weight"


class WeightedDataset(torch.utils.data.Dataset):
    """A data set whose batches carry the weights of their samples beside the inputs.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Yields inputs and targets.
    weight : ndarray of shape (n_samples,)
        One weight a sample.
    """

    def __init__(self, dataset, weight):
        self.dataset = dataset
        self.weight = weight

    def __getattr__(self, name):
        if name in ("X", "y"):  # where skorch looks for the data as a whole
            return getattr(self.dataset, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        inputs, targets = unpack_data(self.dataset[i])
        return with_weight(inputs, self.weight[i]), targets


def with_weight(inputs, weight):
    """Inputs of a batch, or of one sample, together with their weights."""
    return {_INPUT: inputs, _WEIGHT: weight}


def split_weight(inputs):
    """Take apart what :func:`with_weight` put together; the weight is None where there is none."""
    if isinstance(inputs, dict) and _WEIGHT in inputs:
        return inputs[_INPUT], inputs[_WEIGHT]
    return inputs, None


def check_sample_weight(sample_weight, n_samples):
    """Sample weights as an array.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,)
        Weights as passed by the user.
    n_samples : int
        Number of samples.

    Returns
    -------
    ndarray of float64, shape (n_samples,)
        The weights.

    Raises
    ------
    ValueError
        If they are not finite, negative, all 0, or not one a sample.
    """
    must_be = f"sample_weight must be one finite number >= 0 a sample, shape ({n_samples},)"
    try:
        weight = check_array(sample_weight, dtype=np.float64, ensure_2d=False, copy=True)
    except ValueError as error:
        raise ValueError(f"{must_be}. {error}") from error
    if weight.shape != (n_samples,):
        raise ValueError(f"{must_be}, got shape {weight.shape}.")
    if (weight < 0).any():
        raise ValueError(f"{must_be}, got {weight.min()}: leave samples out with weight 0.")
    if not weight.any():
        raise ValueError(f"{must_be}, got zeros only: nothing is left to fit.")
    return weight


def class_weight_of(class_weight, y, classes, sample_weight=None):
    """Weight of each sample by its class.

    Parameters
    ----------
    class_weight : dict or "balanced"
        Weights by label, 1 where a label is missing; or inversely proportional to the summed
        sample weights of each class.
    y : ndarray of shape (n_samples,)
        Labels.
    classes : ndarray of shape (n_classes,)
        All labels, sorted.
    sample_weight : ndarray of shape (n_samples,), default=None
        Sample weights.

    Returns
    -------
    ndarray of float64, shape (n_samples,)
        The weights.

    Raises
    ------
    ValueError, TypeError
        For labels that are not in `classes`, and weights that are no finite numbers >= 0.
    """
    must_be = "class_weight must be None, 'balanced', or a dict of finite weights >= 0 by label"
    codes = np.searchsorted(classes, y)
    if isinstance(class_weight, str) and class_weight == "balanced":
        sums = np.bincount(codes, weights=sample_weight, minlength=len(classes))
        present = np.count_nonzero(sums)
        return (sums.sum() / (present * np.where(sums == 0, 1, sums)))[codes]
    if isinstance(class_weight, str):
        raise ValueError(f"{must_be}, got {class_weight!r}.")
    if not isinstance(class_weight, dict):
        raise TypeError(f"{must_be}, got {class_weight!r} of {type(class_weight).__name__}.")
    unknown = [label for label in class_weight if label not in classes.tolist()]
    if unknown:
        raise ValueError(f"{must_be}, got unknown labels {unknown}; classes are {classes}.")
    try:
        weights = np.array([class_weight.get(c, 1) for c in classes.tolist()], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{must_be}, got {class_weight!r}.") from error
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(f"{must_be}, got {class_weight!r}.")
    return weights[codes]


def select_rows(data, rows):
    """Rows of anything that skorch takes as X or y.

    Parameters
    ----------
    data : array-like, dict or tuple of them, Dataset, or None
        The data.
    rows : ndarray of int
        Positions.

    Returns
    -------
    object of the type of `data`
        The rows; of a data set, a ``Subset``.
    """
    if data is None:
        return None
    if is_dataset(data):
        return torch.utils.data.Subset(data, rows.tolist())
    return multi_indexing(data, rows)


@contextmanager
def unreduced(criterion):
    """Let a criterion return one loss a sample.

    Parameters
    ----------
    criterion : torch.nn.Module
        The criterion.

    Yields
    ------
    str
        The reduction that it has otherwise.

    Raises
    ------
    ValueError
        If the criterion has no `reduction`.
    """
    criterion = unwrap(criterion)
    reduction = getattr(criterion, "reduction", None)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(
            "sample_weight and class_weight need a criterion whose attribute reduction is 'mean', "
            f"'sum' or 'none', as torch's criteria have it; that of {type(criterion).__name__} is "
            f"{reduction!r}."
        )
    criterion.reduction = "none"
    try:
        yield reduction
    finally:
        criterion.reduction = reduction


class WeightsMixin:
    """Adds sample weights to a skorch net."""

    _weights_ = None  # of the rows that are trained on, during a fit

    def _take_weights(self, X, y, sample_weight):
        """Keep the weights for this fit, and leave out the samples that weigh nothing."""
        if sample_weight is None:
            return X, y
        weight = check_sample_weight(sample_weight, len(X) if is_dataset(X) else get_len(X))
        check_criterion_unweighted(self, "sample_weight")
        return self._keep_weighted(X, y, weight)

    def _keep_weighted(self, X, y, weight):
        (rows,) = np.nonzero(weight)
        if len(rows) < len(weight):
            X, y, weight = select_rows(X, rows), select_rows(y, rows), weight[rows]
        self._weights_ = weight
        return X, y

    def get_split_datasets(self, X, y=None, **fit_params):
        """Data sets for training and for validation.

        Parameters
        ----------
        X, y
            Training data, as for `fit`.
        **fit_params
            Passed on to the train split.

        Returns
        -------
        dataset_train, dataset_valid : Dataset
            Both carry the sample weights, where there are any; without a train split,
            `dataset_valid` is None.
        """
        if self._weights_ is not None:
            X = WeightedDataset(self.get_dataset(X, y), self._weights_)
        return super().get_split_datasets(X, y, **fit_params)


def check_criterion_unweighted(net, parameter):
    """Refuse weights that would multiply with those of the criterion.

    Parameters
    ----------
    net : skorch.NeuralNet
        The net.
    parameter : str
        "sample_weight" or "class_weight", for the message.

    Raises
    ------
    ValueError
        If the criterion has a weight of its own.
    """
    own = net.get_params_for("criterion").get("weight")
    if own is None:
        own = getattr(unwrap(net.criterion), "weight", None)
    if own is not None:
        raise ValueError(
            f"{parameter} cannot be combined with criterion__weight, which the mean over the "
            "weights of the samples would leave out: use class_weight and sample_weight alone."
        )
