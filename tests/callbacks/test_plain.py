"""Values as tensors and primitives: through a file and back, with their types."""

import io
from collections import Counter, OrderedDict, deque

import numpy as np
import pytest
import torch

from sgt_sklearn.estimators._plain import NotPlainError, from_plain, to_plain

BATCH_NORM = torch.nn.BatchNorm1d(2).state_dict()
VALUES = {
    "primitives": [None, True, 3, 10**30, -0.1, float("inf"), 2 + 3j, "text", (), {}],
    "nested": {"a": [(1, "b"), {2: None, None: {0.5: ()}}]},
    "tuple keys": {("a", 1): 2, (): 3},
    "key of ours": {"kind of value": "array", "a": {"kind of value": {}}},
    "tensors": [torch.ones(2, 3, dtype=torch.bfloat16), torch.tensor(3), torch.empty(0, 2)],
    "torch": [torch.float16, torch.device("cpu"), torch.Size([2, 3])],
    "numpy": [
        np.arange(6, dtype=">i2").reshape(2, 3)[:, ::2],
        np.array(["a", "längere"]),
        np.array(3.5, dtype=np.longdouble),
        np.array("2020-01-02", dtype="datetime64[D]"),
        np.zeros((0, 3)),
        np.array([True, False]),
    ],
    "scalars": [np.float32(0.1), np.int64(3), np.bool_(True), np.str_("a"), np.float64("nan")],
    "collections": [{1, "a"}, frozenset([2]), deque([1, 2], maxlen=3), deque(), Counter("aab")],
    "ordered": OrderedDict(b=1, a=np.float64(2)),
    "mt19937": np.random.RandomState(0).get_state(),
    "philox": np.random.Generator(np.random.Philox(3)).bit_generator.state,
}


def through_a_file(plain):
    buffer = io.BytesIO()
    torch.save(plain, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def assert_equal(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert [*one] == [*other]
        one, other = [*one.values()], [*other.values()]
    if isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for item, counterpart in zip(one, other, strict=True):
            assert_equal(item, counterpart)
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert one.equal(other)
    else:
        np.testing.assert_array_equal(one, other)
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None)
        assert getattr(one, "maxlen", None) == getattr(other, "maxlen", None)


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back_with_their_types(name):
    assert_equal(from_plain(through_a_file(to_plain(VALUES[name], "value"))), VALUES[name])


def test_versions_of_modules_come_back():
    restored = from_plain(through_a_file(to_plain(BATCH_NORM, "state")))
    assert restored._metadata == BATCH_NORM._metadata == {"": {"version": 2}}


def test_tensors_are_copies_of_what_they_show(device):
    data = torch.zeros(1000, device=device)
    plain = to_plain(data[:2], "value")
    data += 1
    buffer = io.BytesIO()
    torch.save(plain, buffer)
    assert len(buffer.getvalue()) < 3000
    restored = from_plain(plain, device)
    assert restored.device == data.device
    assert restored.tolist() == [0, 0]


def test_parameters_come_back_without_their_graph():
    parameter = torch.nn.Parameter(torch.ones(2))
    restored = from_plain(through_a_file(to_plain([parameter, parameter * 2], "value")))
    assert [type(t) for t in restored] == [torch.Tensor, torch.Tensor]
    assert not any(t.requires_grad for t in restored)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [object()]}, r"value\['a'\]\[0\] is an instance of builtins\.object"),
        ((len,), r"value\[0\] is an instance of builtins\.builtin_function"),
        (np.array([None, "a"]), "value is an instance of numpy.ndarray"),
        (np.zeros(2, dtype=[("a", "f8")]), "value is an instance of numpy.ndarray"),
        ({("a", object): 1}, "is an instance of builtins.type"),
    ],
)
def test_anything_else_is_named(value, message):
    with pytest.raises(NotPlainError, match=message):
        to_plain(value, "value")
