"""Batches sliced from memory, equal to those of a ``DataLoader`` over the same data."""

from numbers import Integral

import numpy as np
import torch
from skorch.dataset import Dataset
from torch.utils.data import DataLoader, Subset, default_collate

from sgt_sklearn.estimators._inputs import map_arrays, writable
from sgt_sklearn.estimators._weights import WeightedDataset, with_weight

_HONOURED = {"batch_size", "shuffle", "drop_last"}


class MemoryBatches:
    """Iterate over batches of in-memory data.

    A ``DataLoader`` fetches and collates row by row, which costs more than the training step of a
    small network. This slices whole batches and, told to, draws from torch's global generator
    exactly what the ``DataLoader`` would, so that results are bitwise the same.

    Parameters
    ----------
    tensors : tuple of torch.Tensor
        Data with equal first axes: inputs, targets.
    batch_size : int
        Rows a batch.
    shuffle, drop_last : bool
        As in ``DataLoader``.
    draw_base_seed : bool
        Whether to make the draw that starting a ``DataLoader`` makes.
    weight : torch.Tensor or None
        Weights of the samples, which go with the inputs.
    keys : tuple of str or None
        Names of the inputs, of which there is one tensor each, where they are a dict.
    """

    def __init__(
        self,
        tensors,
        batch_size,
        shuffle=False,
        drop_last=False,
        draw_base_seed=True,
        weight=None,
        keys=None,
    ):
        self.keys = keys
        self.tensors = tensors if weight is None else (*tensors, weight)
        self.weighted = weight is not None
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.draw_base_seed = draw_base_seed

    def __len__(self):
        n = len(self.tensors[0])
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self):
        for batch in self._slices():
            if self.weighted:
                *batch, weight = batch
            if self.keys is not None:
                *inputs, targets = batch
                batch = [dict(zip(self.keys, inputs, strict=True)), targets]
            if self.weighted:
                batch[0] = with_weight(batch[0], weight)
            yield batch

    def _slices(self):
        n = len(self.tensors[0])
        if self.draw_base_seed:
            _draw_seed()
        order = None
        if self.shuffle:
            generator = torch.Generator().manual_seed(_draw_seed())
            order = torch.randperm(n, generator=generator)
        for i in range(len(self)):
            rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
            if order is None:
                # copies, as modules may work in place on what they get
                yield [t[rows].clone(memory_format=torch.contiguous_format) for t in self.tensors]
            else:
                yield [tensor.index_select(0, order[rows]) for tensor in self.tensors]


def _draw_seed():
    return int(torch.empty((), dtype=torch.int64).random_().item())


def memory_batches(dataset, iterator, kwargs, *, draw_base_seed):
    """Batches from memory, or None where they could differ from the iterator's.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Data set of a net.
    iterator : class
        ``iterator_train`` or ``iterator_valid`` of the net.
    kwargs : dict
        Arguments of the iterator.
    draw_base_seed : bool
        See :class:`MemoryBatches`.

    Returns
    -------
    MemoryBatches or None
        None for any data set, iterator or option that slicing cannot honour.
    """
    if iterator is not DataLoader or not set(kwargs) <= _HONOURED:
        return None
    size = kwargs["batch_size"]
    if not isinstance(size, int) or size < 1:
        return None
    rows = None
    source = dataset
    if type(source) is Subset:
        rows, source = np.asarray(source.indices), source.dataset
    weight = None
    if type(source) is WeightedDataset:
        weight, source = torch.from_numpy(source.weight), source.dataset
    if type(source) is not Dataset or len(dataset) == 0:
        return None
    keys, inputs = None, (source.X,)
    if type(source.X) is dict:
        keys, inputs = tuple(source.X), tuple(source.X.values())
    tensors = [*map(_as_tensor, inputs), _targets(source)]
    if any(t is None or len(t) != len(source) for t in tensors):
        return None
    # one row through the real thing tells whether shapes and types are those of the DataLoader
    first = map_arrays(lambda data: writable(data[:1]), source.X)
    row = Dataset(first, None if source.y is None else writable(source.y[:1]))
    batch_inputs, batch_targets = default_collate([row[0]])
    samples = [batch_inputs] if keys is None else [batch_inputs[key] for key in keys]
    for tensor, sample in zip(tensors, [*samples, batch_targets], strict=True):
        if not isinstance(sample, torch.Tensor):
            return None
        if sample.dtype != tensor.dtype or sample.shape != tensor[:1].shape:
            return None
    if rows is not None:
        rows = torch.from_numpy(rows)
        tensors = [t[rows] for t in tensors]
        weight = None if weight is None else weight[rows]
    return MemoryBatches(
        tuple(tensors), draw_base_seed=draw_base_seed, weight=weight, keys=keys, **kwargs
    )


class BatchesMixin:
    """Iterates over data in memory by slices."""

    def get_iterator(self, dataset, training=False):
        """Iterate over batches; data in memory is sliced instead of collated row by row.

        Parameters
        ----------
        dataset : torch.utils.data.Dataset
            Data set.
        training : bool, default=False
            Whether to use `iterator_train` or `iterator_valid`.

        Returns
        -------
        iterable
            Batches equal to those of the iterator named in the parameters.
        """
        name = "iterator_train" if training else "iterator_valid"
        kwargs = self.get_params_for(name)
        kwargs.setdefault("batch_size", self._batch_size(training))
        if isinstance(kwargs["batch_size"], Integral):
            # a DataLoader takes no numbers of numpy, which searches draw
            kwargs["batch_size"] = int(kwargs["batch_size"])
        if kwargs["batch_size"] == -1:
            kwargs["batch_size"] = len(dataset)
        if training and kwargs.get("drop_last"):
            self._check_not_all_dropped(dataset, kwargs["batch_size"])
        # only predictions outside a seeded fit must not touch the global generator
        draws = self.random_state is None or self._session_
        iterator = getattr(self, name)
        batches = memory_batches(dataset, iterator, kwargs, draw_base_seed=draws)
        if batches is not None and not self._accelerated_:
            return batches
        if not draws and iterator is DataLoader:
            kwargs.setdefault("generator", torch.Generator().manual_seed(0))
        return self._split(iterator(dataset, **kwargs))

    def _batch_size(self, training):
        return self.batch_size

    def _check_not_all_dropped(self, dataset, batch_size):
        pass  # a net of skorch trains on nothing then


def _targets(dataset):
    if dataset.y is None:
        return torch.zeros(len(dataset), 1)
    return _as_tensor(dataset.y)


def _as_tensor(data):
    if isinstance(data, torch.Tensor):
        return None if data.is_sparse else data
    if (
        type(data) is not np.ndarray
        or data.dtype.kind not in "fiub"
        or data.dtype.byteorder == ">"
    ):
        return None
    try:
        return torch.from_numpy(writable(data))
    except TypeError:  # a type that torch lacks
        return None
