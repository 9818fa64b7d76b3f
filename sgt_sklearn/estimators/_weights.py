"""Sample and class weights, on their way from `fit` to the loss of a batch."""

from collections.abc import Mapping
from contextlib import contextmanager

import numpy as np
import torch
from sklearn.utils.validation import check_array
from skorch.callbacks import PassthroughScoring
from skorch.dataset import get_len, unpack_data
from skorch.utils import is_dataset, is_pandas_ndframe, multi_indexing
from torch.utils.data import DataLoader, default_collate

from sgt_sklearn.estimators._parameters import unwrap

_INPUT, _WEIGHT = "sgt_input", "sgt_weight"
_VALID_WEIGHT = "valid_batch_weight"


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


class WeightedCollate:
    """A collate function for inputs without weights, made to carry weights along.

    Parameters
    ----------
    collate : callable
        Takes a list of (inputs, targets).
    """

    def __init__(self, collate):
        self.collate = collate

    def __call__(self, samples):
        pairs = [(*split_weight(inputs), targets) for inputs, targets in samples]
        inputs, targets = unpack_data(self.collate([(x, y) for x, _, y in pairs]))
        weight = torch.as_tensor(np.array([w for _, w, _ in pairs]))
        return [with_weight(inputs, weight), targets]


class WeightedLoss(PassthroughScoring):
    """Average of the validation loss; of weighted samples, each batch counts by its weights."""

    def get_avg_score(self, history):
        """Average over the batches of the last epoch."""
        try:
            rows = history[-1, "batches", :, [_VALID_WEIGHT, self.name]]
        except KeyError:  # no weights
            return super().get_avg_score(history)
        weights, losses = zip(*rows, strict=True)
        return np.average(losses, weights=weights)


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
    ValueError, TypeError
        If they are no numbers, not finite, negative, all 0, or not one a sample.
    """
    must_be = f"sample_weight must be one finite number >= 0 a sample, shape ({n_samples},)"
    if isinstance(sample_weight, torch.Tensor):
        sample_weight = sample_weight.detach().cpu()
    if np.asarray(sample_weight).dtype.kind in "US":
        raise ValueError(f"{must_be}, got strings.")
    try:
        weight = check_array(sample_weight, dtype=np.float64, ensure_2d=False, copy=True)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{must_be}. {error}") from error
    if weight.shape != (n_samples,):
        raise ValueError(f"{must_be}, got shape {weight.shape}.")
    if (weight < 0).any():
        raise ValueError(f"{must_be}, got {weight.min()}: leave samples out with weight 0.")
    if not weight.any():
        raise ValueError(f"{must_be}, got zeros only: nothing is left to fit.")
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not np.isfinite(total):
        raise ValueError(f"{must_be} with a finite sum, got up to {weight.max()}: divide them.")
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
    if isinstance(data, Mapping):
        return {key: _select_entry(value, rows) for key, value in data.items()}
    if is_pandas_ndframe(data):  # rows are told by position, later ones among these too
        return data.iloc[rows].reset_index(drop=True)
    return multi_indexing(data, rows)


def _select_entry(value, rows):
    # of a dict, skorch indexes the entries themselves: a list holds rows, and no containers
    return (
        [value[i] for i in rows] if isinstance(value, (list, tuple)) else select_rows(value, rows)
    )


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


def as_if_counted(values, criterion, y, weight, reduction):
    """Unreduced losses, made up for targets that a criterion ignores.

    A weighted mean divides by the weights of all samples; torch divides by what has a loss.

    Parameters
    ----------
    values : torch.Tensor of shape (n_samples, ...)
        Unreduced losses, 0 where targets are ignored.
    criterion : torch.nn.Module
        The criterion.
    y : torch.Tensor of shape (n_samples, ...)
        Targets.
    weight : torch.Tensor of shape (n_samples,) or None
        Weights of the samples; without, the losses are reduced by the criterion.
    reduction : {"mean", "sum", "none"}
        How the losses will be reduced.

    Returns
    -------
    torch.Tensor
        The losses, for a mean multiplied by the sum of the weights over that of targets that
        count; bitwise the same where all do.
    """
    ignored = getattr(unwrap(criterion), "ignore_index", None)
    if weight is None or ignored is None or reduction != "mean" or values.ndim == 0:
        return values
    if not isinstance(y, torch.Tensor) or y.is_floating_point():
        return values
    weight = weight.to(y.device)
    counted = (y != ignored).reshape(len(y), -1).to(weight.dtype).mean(1)
    divisor = (weight * counted).sum()
    factor = torch.where(divisor == 0, torch.ones_like(divisor), weight.sum() / divisor)
    return values * factor.to(values.dtype)


class WeightsMixin:
    """Adds sample weights to a skorch net."""

    _weights_ = None  # of the rows that are trained on, during a fit

    def _take_weights(self, X, y, sample_weight):
        """Keep the weights for this fit, and leave out the samples that weigh nothing."""
        if sample_weight is None:
            return X, y
        n_samples = _n_samples(X)
        weight = check_sample_weight(sample_weight, n_samples)
        if y is not None and _n_samples(y) != n_samples:
            raise ValueError(
                "X and y have inconsistent lengths: y must have one target for each of the "
                f"{n_samples} rows of X, got {_n_samples(y)}."
            )
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
            dataset = self.get_dataset(X, y)
            if len(dataset) != len(self._weights_):
                raise ValueError(
                    "sample_weight and class_weight need a data set with one sample a row of X: "
                    f"{len(self._weights_)} rows have a weight, and {type(dataset).__name__} has "
                    f"{len(dataset)} samples. Pass the data set itself as X, with one weight for "
                    "each of its samples."
                )
            X = WeightedDataset(dataset, self._weights_)
        return super().get_split_datasets(X, y, **fit_params)

    def get_iterator(self, dataset, training=False):
        """Iterate over batches, with the weights of their samples where there are any.

        Parameters
        ----------
        dataset : torch.utils.data.Dataset
            Data set.
        training : bool, default=False
            Whether to use `iterator_train` or `iterator_valid`.

        Returns
        -------
        iterable
            Batches.
        """
        iterator = super().get_iterator(dataset, training=training)
        collate = iterator.collate_fn if isinstance(iterator, DataLoader) else default_collate
        weighted = any(isinstance(d, WeightedDataset) for d in _nested(dataset))
        if weighted and collate is not default_collate:
            iterator.collate_fn = WeightedCollate(collate)
        return iterator

    def validation_step(self, batch, **fit_params):
        """Compute the loss of a batch of the validation data; note the weight of the batch.

        Parameters
        ----------
        batch : tuple
            Inputs and targets.
        **fit_params
            Passed on to the module.

        Returns
        -------
        dict
            "loss" and "y_pred".
        """
        step = super().validation_step(batch, **fit_params)
        if self._weights_ is not None:
            _, weight = split_weight(unpack_data(batch)[0])
            if weight is not None:
                self.history.record_batch(_VALID_WEIGHT, float(weight.sum()))
        return step

    @property
    def _default_callbacks(self):
        return [
            (name, WeightedLoss(name) if _averages_valid_loss(callback) else callback)
            for name, callback in super()._default_callbacks
        ]


def _averages_valid_loss(callback):
    return type(callback) is PassthroughScoring and callback.name == "valid_loss"


def _nested(dataset):
    """A data set, and those that it is a subset of."""
    while dataset is not None:
        yield dataset
        dataset = dataset.dataset if isinstance(dataset, torch.utils.data.Subset) else None


def _n_samples(data):
    if not is_dataset(data):
        return get_len(data)
    try:
        return len(data)
    except TypeError as error:
        raise TypeError(
            "sample_weight needs a data set with a length, whose samples have positions, got "
            f"{type(data).__name__}: let the stream leave out or repeat samples itself."
        ) from error


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
