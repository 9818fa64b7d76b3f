"""What is saved, where to, and what cannot be."""

import copy
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from sgt_sklearn.exceptions import PersistenceError
from sgt_sklearn.modules import MLP
from tests.estimators.saved_cases import (
    LABELS,
    TABLE,
    Classifier,
    OwnNet,
    assert_equal,
    assert_same,
    make,
    round_trip,
)


def test_an_unfitted_estimator_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        make(Classifier, "cpu").save(tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_an_estimator_that_is_only_initialised(device, tmp_path):
    params = {"module": MLP, "module__n_features": 5, "module__n_outputs": 3}
    net = make(Classifier, device, **params).initialize()
    loaded = round_trip(net, tmp_path / "net")
    assert_same(net.partial_fit(TABLE, LABELS), loaded.partial_fit(TABLE, LABELS), TABLE)


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_paths(kind, tmp_path):
    path = kind(str(tmp_path / "n\N{SNOWMAN}t.safetensors"))
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    loaded = round_trip(net, path)
    assert_equal(loaded.predict(TABLE), net.predict(TABLE))
    assert [p.name for p in tmp_path.iterdir()] == ["n\N{SNOWMAN}t.safetensors"]


def test_files_of_equal_estimators_are_equal(tmp_path):
    for name in ("one", "two"):
        net = make(Classifier, "cpu", callbacks__epoch_timer=None).fit(TABLE, LABELS)
        net.save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_saving_replaces_a_file_and_keeps_its_mode_and_links(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    path, link = tmp_path / "net", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o600)
    link.symlink_to(path)
    net.save(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert_equal(Classifier.load(path).predict(TABLE), net.predict(TABLE))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "net"]


@pytest.mark.parametrize("fails", ["replace", "fsync"])
def test_a_save_that_fails_leaves_the_old_file(fails, tmp_path, monkeypatch):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.save(tmp_path / "net")
    before = (tmp_path / "net").read_bytes()
    net.partial_fit(TABLE, LABELS)

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, fails, fail)
    with pytest.raises(OSError, match="no space left"):
        net.save(tmp_path / "net")
    assert (tmp_path / "net").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


def test_places_that_cannot_be_written(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    with pytest.raises(FileNotFoundError):
        net.save(tmp_path / "no folder" / "net")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        net.save(tmp_path / "folder")
    with pytest.raises(TypeError):
        net.save(None)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_state_that_is_no_data_is_named(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.helper_ = {"inner": [threading_lock()]}
    with pytest.raises(PersistenceError, match=r"attributes\.helper_\.inner\.0 is an instance of"):
        net.save(tmp_path / "net")
    net.helper_ = [net]
    with pytest.raises(PersistenceError, match=r"attributes\.helper_\.0 is an instance of"):
        net.save(tmp_path / "net")
    net.helper_ = []
    net.helper_.append(net.helper_)
    with pytest.raises(PersistenceError, match="nested too deeply, or holds itself"):
        net.save(tmp_path / "net")
    del net.helper_
    net.remark = "no parameter"
    with pytest.raises(PersistenceError, match=r"unexpected argument.*remark"):
        net.save(tmp_path / "net")
    del net.remark
    net.save(tmp_path / "net")


VALUES = {
    **{f"array of {kind}": np.arange(3).astype(kind) for kind in "?bhilqBHILQefd"},
    "array of big-endian numbers": np.arange(6, dtype=">u2").reshape(2, 3),
    "array without axes": np.array(5, "<u8"),
    "array without values": np.zeros((0, 3), np.float32),
    "array of the largest number": np.array([2**64 - 1], np.uint64),
    "array of days": np.array(["2020-01-01", "NaT"], "M8[D]"),
    "array of durations": np.array([1, 2], ">m8[25s]"),
    "array of texts": np.array([["x", "yyy \N{SNOWMAN}"]]),
    "text without axes": np.array("zz"),
    "array without texts": np.zeros((0, 3), "U2"),
    "array of anything": np.array([[None, 1], ["a", 2.5], [(1,), np.int8(3)]], object),
    "transposed array": np.arange(6).reshape(2, 3).T,
    "reversed array": np.arange(6.0)[::-2],
    "moment": np.datetime64("2020-02-03T01:02"),
    "duration": np.timedelta64(4, "h"),
    "unsigned": np.uint64(2**64 - 1),
    "signed": np.int8(-5),
    "half": np.float16(0.1),
    "single": np.float32(0.1),
    "numpy's text": np.str_("a\0b"),
    "numpy's truth": np.bool_(True),
    "numbers": [1e-320, -0.0, 10**40, -(2**63), float("inf"), -float("inf"), 1 / 3],
    "texts": ["", "\0", "\ud800", "$name", "\N{SNOWMAN}", "{}"],
    "nested": (1, [2, (3,), ()], {"a": {}, "$b": {1: 2, None: (1,)}, "": [[]]}, {(1, "a"): True}),
    "keys that look alike": {"a.b": torch.ones(1), "a": {"b": torch.zeros(1)}},
    "tensors": [
        torch.tensor(1.5),
        torch.tensor([[True]]),
        torch.zeros(0, 2),
        torch.arange(4)[::2],
    ],
    "half tensors": [torch.tensor([0.1], dtype=d) for d in (torch.bfloat16, torch.float16)],
    "types": [torch.bfloat16, torch.device("cuda:1"), torch.nn.ReLU, torch.relu],
    "RandomState": np.random.RandomState(3),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_of_every_kind_survive(name, tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.value_ = copy.deepcopy(VALUES[name])
    assert_equal(round_trip(net, tmp_path / "net").value_, VALUES[name])


def test_nan_survives(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.values_ = [float("nan"), np.float32("nan"), np.array([np.nan])]
    values = round_trip(net, tmp_path / "net").values_
    assert [type(value) for value in values] == [float, np.float32, np.ndarray]
    assert np.isnan(np.hstack(values)).all()


@pytest.mark.parametrize(
    "value",
    [
        *(np.array([1j]), np.zeros(2, "f8,i4"), np.zeros(2, "S3"), np.ma.array([1])),
        *(b"bytes", {1, 2}, 1j, lambda: 0, "text".upper, nn.Linear(1, 1)),
        *(nn.Parameter(torch.ones(1)), torch.ones(2) * 1j, torch.ones(1, device="meta")),
    ],
    ids=repr,
)
def test_values_of_other_kinds_are_refused(value, tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.value_ = [value]
    with pytest.raises(PersistenceError, match=r"attributes\.value_\.0 is"):
        net.save(tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def threading_lock():
    import threading

    return threading.Lock()


def test_a_class_in_the_state_has_to_be_trusted(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.kind_ = OwnNet
    net.save(tmp_path / "net")
    with pytest.raises(PersistenceError, match=r"attributes.kind_ holds .*OwnNet.*trusted="):
        Classifier.load(tmp_path / "net")
    assert Classifier.load(tmp_path / "net", trusted=[OwnNet]).kind_ is OwnNet


def test_tensors_that_the_format_lacks_are_named(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.sparse_ = torch.eye(3).to_sparse()
    with pytest.raises(PersistenceError, match="sparse_ is an instance of"):
        net.save(tmp_path / "net")
    del net.sparse_
    net.module_.register_buffer("sparse", torch.eye(3).to_sparse())
    with pytest.raises(PersistenceError, match=r"module_\.sparse is a sparse tensor"):
        net.save(tmp_path / "net")


def test_a_net_trimmed_for_prediction_is_refused(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.trim_for_prediction()
    with pytest.raises(PersistenceError, match="trimmed for prediction"):
        net.save(tmp_path / "net")


def test_without_safetensors_the_error_names_the_package(tmp_path, monkeypatch):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.save(tmp_path / "net")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for call in (lambda: net.save(tmp_path / "other"), lambda: Classifier.load(tmp_path / "net")):
        with pytest.raises(ImportError, match=r"need safetensors: pip install safetensors\.$"):
            call()
    # what is wrong whatever is installed comes first
    with pytest.raises(FileNotFoundError):
        Classifier.load(tmp_path / "no such file")
