"""Files that are no saved estimator, or are damaged, end in one error."""

import hashlib
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from sgt_sklearn.exceptions import PersistenceError
from tests.estimators.saved_files import PLACE, X, assert_same, load

# what the file is


def test_the_file_is_as_documented(saved, tmp_path):
    net, data, _, _ = saved
    (tmp_path / "net").write_bytes(data)
    with safe_open(tmp_path / "net", "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert list(metadata) == ["sgt_sklearn"]
    document = json.loads(metadata["sgt_sklearn"])
    assert document["format"] == "sgt_sklearn estimator"
    assert document["format_version"] == 1
    assert document["class"] == "sgt_sklearn.SaliencyGuidedClassifier"
    assert set(document["versions"]) >= {"python", "torch", "skorch", "scikit-learn", "numpy"}
    assert document["versions"]["torch"] == torch.__version__
    assert document["parameters"]["iterator_train"] == {"$name": "torch.utils.data.DataLoader"}
    assert document["parameters"]["module__hidden"] == {"$tuple": [2]}
    for name, value in net.module_.state_dict().items():
        assert torch.equal(tensors[f"module_.{name}"], value)
    history = json.loads(bytes(tensors[document["history"]].tolist()))
    assert [epoch["epoch"] for epoch in history] == [1, 2]
    # the checksum
    digest = document.pop("sha256")
    content = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        content.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        content.update(tensor.numpy().tobytes())
    assert content.hexdigest() == digest


SCRIPT = """
import sys
import numpy as np
from sgt_sklearn import SaliencyGuidedClassifier
path, out = sys.argv[1:]
SaliencyGuidedClassifier.load(path)  # what is imported late is imported now
events = []
sys.addaudithook(lambda event, arguments: events.append(event))
net = SaliencyGuidedClassifier.load(path)
bad = {"import", "exec", "compile", "pickle.find_class", "os.system", "subprocess.Popen"}
assert not bad & set(events), bad & set(events)
assert "open" in events
np.savez(out, proba=net.predict_proba(np.load(out)), attribution=net.attribute(np.load(out)))
"""


def test_another_process_loads_it_and_runs_nothing_of_it(saved, tmp_path):
    net, data, _, _ = saved
    (tmp_path / "net").write_bytes(data)
    np.save(tmp_path / "X.npy", X)
    (tmp_path / "out.npz").write_bytes((tmp_path / "X.npy").read_bytes())
    command = [sys.executable, "-W", "error", "-c", SCRIPT, tmp_path / "net", tmp_path / "out.npz"]
    subprocess.run(command, check=True, timeout=300)
    found = np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(found["proba"], net.predict_proba(X))
    np.testing.assert_array_equal(found["attribution"], net.attribute(X))


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "net")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


class Exploit:
    def __reduce__(self):
        return os.mkdir, ("exploited",)


@pytest.mark.parametrize("kind", ["pickle", "torch", "torch legacy"])
def test_a_pickle_is_not_unpickled(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Exploit()))
    else:
        torch.save(Exploit(), path, _use_new_zipfile_serialization=kind == "torch")
    with pytest.raises(PersistenceError, match="no complete file in the safetensors format"):
        load(path)
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


def raw(text):
    """Bytes of a safetensors file without tensors, with a text for a header."""
    return len(text).to_bytes(8, "little") + text.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0" * 8,
        b"\xff" * 8,
        b"\xff" * 100,
        b"no estimator",
        b"{}",
        raw("{}")[:-1],
        raw("[]"),
        raw("null"),
        raw('{"a": 1}'),
        raw('{"__metadata__": 1}'),
        raw("[" * 100_000 + "]" * 100_000),
        raw('{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}'),
        raw('{"a": {"dtype": "F32", "shape": [0], "data_offsets": [16, 0]}}'),
        raw('{"a": {"dtype": "F99", "shape": [0], "data_offsets": [0, 0]}}'),
        raw('{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]}}'),
    ],
)
def test_files_that_are_no_safetensors(data, tmp_path):
    (tmp_path / "net").write_bytes(data)
    with pytest.raises(PersistenceError, match="no complete file in the safetensors format"):
        load(tmp_path / "net")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "no estimator of sgt_sklearn"),
        ({}, "no estimator of sgt_sklearn"),
        ({"format": "pt"}, "no estimator of sgt_sklearn"),
        ({"sgt_sklearn": ""}, "no JSON"),
        ({"sgt_sklearn": "{"}, "no JSON"),
        ({"sgt_sklearn": "[" * 100_000}, "no JSON"),
        ({"sgt_sklearn": '{"format": NaN}'}, "no JSON"),
        ({"sgt_sklearn": "[]"}, "must be a JSON object with format"),
        ({"sgt_sklearn": "{}"}, "must be a JSON object with format"),
        ({"sgt_sklearn": '{"format": "other"}'}, "must be a JSON object with format"),
        ({"sgt_sklearn": '{"format": "sgt_sklearn estimator"}'}, "format_version must be"),
    ],
)
def test_safetensors_files_of_others(metadata, message, tmp_path):
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "net", metadata)
    with pytest.raises(PersistenceError, match=message):
        load(tmp_path / "net")


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (2, "version 2, and this sgt_sklearn reads up to 1: upgrade sgt-sklearn"),
        (10**30, "upgrade sgt-sklearn"),
        (0, "must be an int of at least 1"),
        (True, "must be an int of at least 1"),
        (1.0, "must be an int of at least 1"),
        ("1", "must be an int of at least 1"),
        (None, "must be an int of at least 1"),
    ],
)
def test_versions_of_the_format(version, message, rewritten):
    path = rewritten(lambda document, tensors: document.update(format_version=version))
    with pytest.raises(PersistenceError, match=message):
        load(path)


def test_errors_name_the_file(tmp_path):
    (tmp_path / "net.safetensors").write_bytes(b"")
    with pytest.raises(PersistenceError, match=r"net\.safetensors' cannot be loaded: it is no"):
        load(tmp_path / "net.safetensors")


# accidents


def test_every_truncation_is_found(saved, tmp_path):
    data = saved[1]
    for length in [*range(0, 64, 5), *range(64, len(data), 997), len(data) - 1]:
        (tmp_path / "net").write_bytes(data[:length])
        with pytest.raises(PersistenceError):
            load(tmp_path / "net")


def test_a_flipped_bit_in_the_weights_is_found(saved, tmp_path):
    data = bytearray(saved[1])
    data[-1] ^= 1
    (tmp_path / "net").write_bytes(data)
    with pytest.raises(PersistenceError, match="does not match its checksum"):
        load(tmp_path / "net")


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "delete", "swap"]),
        PLACE,
        st.integers(0, 7),
        st.binary(min_size=1, max_size=20),
    ),
    min_size=1,
    max_size=4,
)


def edited(data, edits):
    data = bytearray(data)
    for kind, where, bit, content in edits:
        # half of the edits hit the header, which is where files differ in more than numbers
        size = len(data) if bit % 2 else min(len(data), 12_000)
        position = int(where * size)
        if kind == "flip" and data:
            data[position] ^= 1 << bit
        elif kind == "cut":
            del data[position:]
        elif kind == "insert":
            data[position:position] = content
        elif kind == "delete":
            del data[position : position + len(content)]
        else:
            data[position : position + len(content)] = content
    return bytes(data)


def check_edited(saved, path, data):
    path.write_bytes(data)
    try:
        loaded = load(path)
    except PersistenceError as error:
        assert str(path) in str(error)
        return
    assert_same(loaded, saved[0])


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(edits=EDITS)
@example(edits=[("insert", 0.0, 0, b"\0")])
def test_damaged_files_are_refused_or_load_the_same(saved, tmp_path, edits):
    check_edited(saved, tmp_path / "net", edited(saved[1], edits))
