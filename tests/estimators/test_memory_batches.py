"""Batches that are slices of memory are those of the DataLoader."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from skorch.dataset import Dataset
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

from sgt_sklearn.estimators._batches import MemoryBatches, memory_batches

# torch says so of rows that it gets as they are, as the DataLoader does; once a process only
pytestmark = pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")

RNG = np.random.default_rng(0)
TABLE = RNG.standard_normal((50, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, 50)


def batch_data():
    """Name pairs of X and y, and whether slices of memory can stand in for collated rows."""
    n = 11
    table = RNG.standard_normal((n, 3))
    whole = RNG.integers(0, 100, (n, 3))
    y = RNG.integers(0, 3, n)
    cases = {}
    for kind in ("float16", "float32", "float64"):
        cases[kind] = (table.astype(kind), y, True)
    for kind in ("int8", "int16", "int32", "int64", "uint8", "bool"):
        cases[kind] = (whole.astype(kind), y, True)
    for kind in ("uint16", "uint32", "uint64", "complex64", "longdouble", ">f4", ">i8"):
        cases[kind] = (whole.astype(kind), y, None)
    for kind in ("float32", "float64", "int32", "int64", "uint8", "bool"):
        cases[f"y {kind}"] = (table, (y > 0).astype(kind), None)
    cases |= {
        "float64 y": (table, table[:, 0], True),
        "two outputs": (table, table[:, :2], True),
        "no y": (table, None, True),
        "one axis": (table[:, 0], y, True),
        "images": (RNG.standard_normal((n, 2, 3, 4)), y, True),
        "no columns": (table[:, :0], y, None),
        "one row": (table[:1], y[:1], True),
        "NaN": (np.where(table > 1, np.nan, table), y, True),
        "Fortran order": (np.asfortranarray(table), y, True),
        "transposed view": (np.ascontiguousarray(table.T).T, y, True),
        "strided view": (np.repeat(table, 2, axis=0)[::2], np.repeat(y, 2)[::2], True),
        "reversed view": (table[::-1], y[::-1], True),
        "broadcast view": (np.broadcast_to(table[0], (n, 3)), y, True),
        "tensor": (torch.from_numpy(table), torch.from_numpy(y), True),
        "tensor view": (torch.from_numpy(table.T.copy()).T, torch.from_numpy(y), True),
        "bfloat16 tensor": (torch.from_numpy(table).bfloat16(), torch.from_numpy(y), True),
        "tuple of arrays": ((table, whole), y, None),
        "mapping": ({"a": table, "b": whole}, y, None),
        "frame": (pd.DataFrame(table, columns=list("abc")), pd.Series(y), None),
        "series as y": (table, pd.Series(y, index=np.arange(n)[::-1]), None),
        "sparse": (sparse.csr_matrix(table), y, None),
        "masked array": (np.ma.masked_array(table, table > 1), y, None),
        "record y": (table, {"a": y, "b": y}, None),
    }
    return cases


def collected(batches):
    torch.manual_seed(0)
    epochs = [list(batches), list(batches)]
    return epochs, torch.get_rng_state()


def assert_same_batch(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        # sums over another memory layout round differently
        assert one.is_contiguous() == other.is_contiguous()
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same_batch(a, b)
    else:
        assert one == other


def assert_batches_equal(dataset, kwargs, in_memory=None):
    """Compare with the DataLoader where slices are offered; `in_memory`: where they must be."""
    batches = memory_batches(dataset, DataLoader, kwargs, draw_base_seed=True)
    assert in_memory is None or (batches is not None) == in_memory
    if batches is None:
        return
    loader = DataLoader(dataset, **kwargs)
    assert len(batches) == len(loader)
    (one, state), (other, other_state) = collected(batches), collected(loader)
    assert_same_batch(one, other)
    assert torch.equal(state, other_state)


SHUFFLES = [{"shuffle": shuffle, "drop_last": last} for shuffle in (0, 1) for last in (0, 1)]


@pytest.mark.parametrize("name", batch_data())
@pytest.mark.parametrize("batch_size", [1, 4, 20])
def test_batches_from_memory_equal_those_of_the_data_loader(name, batch_size):
    X, y, in_memory = batch_data()[name]
    for kwargs in SHUFFLES:
        kwargs = {key: bool(value) for key, value in kwargs.items()}
        assert_batches_equal(Dataset(X, y), {"batch_size": batch_size} | kwargs, in_memory)


@pytest.mark.parametrize(
    "indices",
    [[3, 1, 4], np.array([0, 0, 10]), range(2, 9), [-1, -2], [7], []],
    ids=str,
)
@pytest.mark.parametrize("name", ["float32", "tensor", "no y", "frame", "mapping"])
def test_batches_of_a_subset_equal_those_of_the_data_loader(indices, name):
    X, y, _ = batch_data()[name]
    subset = Subset(Dataset(X, y), indices)
    for kwargs in [{"batch_size": 2}, {"batch_size": 2, "shuffle": len(indices) > 0}]:
        assert_batches_equal(subset, kwargs)


class Doubled(Dataset):
    def transform(self, X, y):
        return 2 * X, y


class Reversed(Subset):
    def __getitem__(self, index):
        return super().__getitem__(len(self) - 1 - index)

    def __getitems__(self, indices):
        return [self[index] for index in indices]


@pytest.mark.parametrize(
    "dataset",
    [
        Doubled(TABLE, LABELS),
        Reversed(Dataset(TABLE, LABELS), [1, 2, 3]),
        Subset(Doubled(TABLE, LABELS), [1, 2, 3]),
        Subset(Subset(Dataset(TABLE, LABELS), [1, 2, 3]), [2, 0]),
        Dataset(TABLE, LABELS, length=7),
        TensorDataset(torch.from_numpy(TABLE), torch.from_numpy(LABELS)),
        ConcatDataset([Dataset(TABLE, LABELS)] * 2),
    ],
    ids=lambda dataset: type(dataset).__name__,
)
def test_data_sets_of_other_kinds_go_through_the_data_loader_or_equal_it(dataset):
    assert_batches_equal(dataset, {"batch_size": 4})


@pytest.mark.parametrize(
    "kwargs",
    [
        {"num_workers": 1},
        {"sampler": [3, 2, 1]},
        {"batch_sampler": [[0, 1], [2]]},
        {"collate_fn": lambda rows: rows},
        {"pin_memory": True},
        {"generator": torch.Generator()},
        {"worker_init_fn": print},
        {"batch_size": None},
        {"batch_size": 0},
        {"batch_size": 2.0},
    ],
    ids=lambda kwargs: next(iter(kwargs)),
)
def test_options_that_slices_cannot_honour_go_through_the_data_loader(kwargs):
    kwargs = {"batch_size": 4} | kwargs
    dataset = Dataset(TABLE, LABELS)
    assert memory_batches(dataset, DataLoader, kwargs, draw_base_seed=True) is None


def test_an_epoch_that_is_left_early_draws_as_the_data_loader_does():
    dataset, kwargs = Dataset(TABLE, LABELS), {"batch_size": 4, "shuffle": True}
    firsts = []
    for batches in (
        memory_batches(dataset, DataLoader, kwargs, draw_base_seed=True),
        DataLoader(dataset, **kwargs),
    ):
        torch.manual_seed(0)
        firsts.append([next(iter(batches)) for _ in range(3)])
    assert_same_batch(*firsts)


def test_batches_without_base_seed_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    batches = memory_batches(
        Dataset(TABLE, LABELS), DataLoader, {"batch_size": 4}, draw_base_seed=False
    )
    assert isinstance(batches, MemoryBatches)
    assert len(list(batches)) == 13
    assert torch.equal(before, torch.get_rng_state())
