"""Descriptions: equal for what is the same in another process, and different otherwise."""

import functools
import pathlib
import random

import numpy as np
import pytest
import torch
from scipy import sparse
from skorch.dataset import Dataset, ValidSplit
from torch.utils.data import Subset

from sgt_sklearn.callbacks._fingerprint import (
    describe,
    describe_rows,
    differences,
    fingerprint,
    identifier,
)

ARRAY = np.arange(12.0).reshape(3, 4)


class Thing:
    def __init__(self, value):
        self.value = value

    def method(self):
        pass


def function():
    pass


# name: make, alike, other ones
VALUES = {
    "numbers": (lambda: 0.1, lambda: np.float64(0.1), [0.2, 1, "0.1", None, np.float32(0.1)]),
    "bool": (lambda: True, lambda: np.bool_(True), [False, 1, "True"]),
    "text": (lambda: "a", lambda: np.str_("a"), ["b", b"a", ["a"]]),
    "path": (lambda: pathlib.Path("a/b"), lambda: "a/b", [pathlib.Path("a")]),
    "array": (
        lambda: ARRAY,
        lambda: np.asfortranarray(ARRAY),
        [ARRAY + 1, ARRAY.T, ARRAY.astype("f4"), ARRAY.ravel(), torch.from_numpy(ARRAY)],
    ),
    "tensor": (
        lambda: torch.ones(2, 2),
        lambda: torch.ones(4, 4)[::2, ::2],
        [torch.ones(2, 2, dtype=torch.bfloat16), torch.ones(4), torch.zeros(2, 2)],
    ),
    "half": (
        lambda: torch.ones(2, dtype=torch.bfloat16),
        lambda: torch.ones(2, dtype=torch.bfloat16).requires_grad_(),
        [torch.ones(2, dtype=torch.float16)],
    ),
    "sparse tensor": (
        lambda: torch.eye(3).to_sparse(),
        lambda: torch.eye(3).to_sparse_coo(),
        [torch.eye(3), 2 * torch.eye(3).to_sparse(), torch.eye(4).to_sparse()],
    ),
    "sparse matrix": (
        lambda: sparse.csr_matrix(np.eye(3)),
        lambda: sparse.csr_matrix(np.eye(3)),
        [sparse.csr_matrix(2 * np.eye(3)), sparse.csc_matrix(np.eye(3)), np.eye(3)],
    ),
    "list": (lambda: [1, "a", None], lambda: [1, "a", None], [(1, "a", None), [1, "a"], [1]]),
    "long list": (
        lambda: [[i, 2 * i] for i in range(100)],
        lambda: [[i, 2 * i] for i in range(100)],
        [[[i, 2 * i] for i in range(101)], [[i, 2 * i + (i == 70)] for i in range(100)]],
    ),
    "ragged list": (
        lambda: [list(range(i)) for i in range(60)],
        lambda: [list(range(i)) for i in range(60)],
        [[list(range(i + (i == 50))) for i in range(60)]],
    ),
    "set": (lambda: {"a", "b", "c"}, lambda: {"c", "b", "a"}, [{"a"}, ["a", "b", "c"]]),
    "dict": (lambda: {"a": ARRAY}, lambda: {"a": ARRAY.copy()}, [{"b": ARRAY}, {"a": -ARRAY}]),
    "objects of texts": (
        lambda: np.array(["a", None, 3], dtype=object),
        lambda: np.array(["a", None, 3], dtype=object),
        [np.array(["a", None, 4], dtype=object), np.array(["a", None], dtype=object)],
    ),
    "class": (lambda: Thing, lambda: Thing, [Thing(1), torch.optim.Adam]),
    "function": (lambda: function, lambda: function, [describe, np.exp, torch.relu]),
    "partial": (
        lambda: functools.partial(function, 1, a=2),
        lambda: functools.partial(function, 1, a=2),
        [function, functools.partial(function, 1, a=3), functools.partial(describe, 1, a=2)],
    ),
    "method": (
        lambda: Thing(1).method,
        lambda: Thing(1).method,
        [Thing(2).method, Thing.method],
    ),
    "object": (
        lambda: Thing(Thing(ARRAY)),
        lambda: Thing(Thing(ARRAY.copy())),
        [Thing(Thing(-ARRAY)), Thing(ARRAY)],
    ),
    "split": (
        lambda: ValidSplit(0.2),
        lambda: ValidSplit(0.2),
        [ValidSplit(0.3), ValidSplit(0.2, stratified=True)],
    ),
    "module": (
        lambda: torch.nn.Linear(2, 3),
        lambda: torch.nn.Linear(2, 3),  # with other weights: they are a state
        [torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Linear(2, 3))],
    ),
    "data set": (
        lambda: Dataset(ARRAY, None),
        lambda: Dataset(ARRAY.copy(), None),
        [Dataset(-ARRAY, None), Dataset(ARRAY, ARRAY)],
    ),
    "generator": (
        lambda: np.random.RandomState(0),
        lambda: np.random.RandomState(1),  # its state goes on from the checkpoint
        [np.random.default_rng(0), torch.Generator(), random.Random(0)],
    ),
    "dtype": (lambda: torch.float32, lambda: torch.float32, [torch.float64, np.float32]),
    "slice": (lambda: slice(2), lambda: slice(2), [slice(3)]),
    "nothing to tell": (object, object, [Thing(1)]),
}


def short_name():
    """Identifier of a fit with settings of every kind; test_kill compares it with a script's."""
    return identifier(fingerprint({name: make() for name, (make, *_) in VALUES.items()}, {}))


@pytest.mark.parametrize("name", VALUES)
def test_descriptions_are_equal_for_equal_values_only(name):
    make, alike, others = VALUES[name]
    text = describe(make())
    assert describe(alike()) == text
    for other in others:
        assert describe(other) != text
    assert len(text) < 130
    assert " at 0x" not in text


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", None]})
    assert describe(frame) == describe(frame.copy())
    assert describe(frame) != describe(frame.rename(columns={"a": "c"}))
    assert describe(frame) != describe(frame.assign(b=["x", "y"]))
    assert describe(frame["a"]) == describe(frame["a"].copy()) != describe(frame["a"] + 1)


def test_something_that_holds_itself():
    thing = Thing(None)
    thing.value = [thing]
    assert describe(thing) == describe(thing)


def test_differences_name_both_sides():
    there, here = {"a": "1", "b": "2", "c": "3"}, {"b": "5", "c": "3", "d": "4"}
    assert differences(there, here) == [
        "b (2 there, 5 here)",
        "d (absent there, 4 here)",
        "a (1 there, absent here)",
    ]


def test_rows():
    dataset = Dataset(ARRAY, None)
    assert describe_rows(None) == "none"
    assert describe_rows(dataset) == "3 rows"
    one, other = describe_rows(Subset(dataset, [0, 2])), describe_rows(Subset(dataset, [2, 0]))
    assert one.startswith("2 rows ")
    assert one != other
    assert describe_rows(Subset(Subset(dataset, [1, 2]), [0])) != describe_rows(
        Subset(Subset(dataset, [0, 2]), [0])
    )
    assert describe_rows(torch.utils.data.ChainDataset([])) == "0 rows"
    assert describe_rows(iter(dataset)) == "a stream"
