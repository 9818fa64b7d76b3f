"""The file of a checkpoint: whole or not there, and nothing in it is executed."""

import errno
import hashlib
import io
import os
import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sgt_sklearn import SaliencyGuidedRegressor
from sgt_sklearn._atomic import remove_parts
from sgt_sklearn.callbacks import ResumableCheckpoint
from sgt_sklearn.callbacks._checkpoint_file import (
    fit_of,
    read_checkpoint,
    write_checkpoint,
)
from sgt_sklearn.exceptions import PersistenceError
from tests.callbacks.killing import TARGETS, X, weights

CONTENT = {"weights": torch.arange(6.0).reshape(2, 3), "n": 3, "names": ["a", ("b", None)]}


def sign(fit, data, version=1):
    digest = hashlib.sha256(fit + data).hexdigest().encode()
    return b"sgt_sklearn checkpoint %d\n" % version + b"\n".join([fit, digest, data])


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "fit.ckpt"
    for n in (3, 4):
        write_checkpoint(path, "0123abcd", CONTENT | {"n": n})
        content = read_checkpoint(path)
        assert content.keys() == CONTENT.keys()
        assert content["weights"].equal(CONTENT["weights"])
        assert (content["n"], content["names"]) == (n, ["a", ("b", None)])
        assert fit_of(path) == "0123abcd"
        assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == sign(b"0123abcd", saved(CONTENT | {"n": 4}))
    assert fit_of(tmp_path / "none") is None


def test_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "fit.ckpt"
    write_checkpoint(path, "0123abcd", CONTENT)
    data = path.read_bytes()
    for size in [*range(120), *range(120, len(data), 37), len(data) - 1]:
        path.write_bytes(data[:size])
        with pytest.raises(PersistenceError, match=r"only its beginning|truncated or altered"):
            read_checkpoint(path)


def test_every_altered_byte_is_noticed(tmp_path):
    path = tmp_path / "fit.ckpt"
    write_checkpoint(path, "0123abcd", CONTENT)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*range(120), *rng.integers(120, len(data), 200)]:
        altered = bytearray(data)
        altered[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(altered)
        with pytest.raises(PersistenceError):
            read_checkpoint(path)
    path.write_bytes(data + b"\n")
    with pytest.raises(PersistenceError, match="truncated or altered"):
        read_checkpoint(path)


class Intruder:
    """What a pickle would execute."""

    def __reduce__(self):
        return (os.mkdir, ("intruded",))


FILES = {
    "empty": (b"", "no checkpoint of ResumableCheckpoint"),
    "something else": (b"PK\x03\x04 a picture of a cat", "no checkpoint of ResumableCheckpoint"),
    "lines of something else": (b"one\ntwo\nthree\nfour", "no checkpoint of ResumableChec"),
    "no text": (bytes(range(256)) * 4, "no checkpoint of ResumableCheckpoint"),
    "torch file": (saved(CONTENT), "no checkpoint of ResumableCheckpoint"),
    "newer": (sign(b"ab", b"what the future brings", 2), "format 2, and this .* upgrade"),
    "pickle": (sign(b"ab", pickle.dumps(Intruder())), "it holds more than tensors"),
    "pickle in a torch file": (
        sign(b"ab", saved({"n": Intruder()})),
        "it holds more than tensors",
    ),
    "a list": (sign(b"ab", saved([1])), "it holds a list and no checkpoint"),
    "a dict of something else": (sign(b"ab", saved(CONTENT)), "texts must be a dict, got NoneT"),
}


@pytest.mark.parametrize("name", FILES)
def test_other_files_are_refused_and_nothing_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, message = FILES[name]
    path = tmp_path / "fit.ckpt"
    path.write_bytes(data)
    net = SaliencyGuidedRegressor(max_epochs=1, callbacks=[ResumableCheckpoint(path)])
    with pytest.raises(PersistenceError, match=f"fit.ckpt' cannot be resumed from: .*{message}"):
        net.fit(X, TARGETS)
    assert not net.initialized_
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def alter(content, keys, value):
    for key in keys[:-1]:
        content = content[key]
    if value is None:
        del content[keys[-1]]
    else:
        content[keys[-1]] = value(content[keys[-1]]) if callable(value) else value


def short(state):
    return state[:10].clone()


# signed anew, so that only what they say is wrong
ALTERATIONS = {
    "other weights": (["state", "modules", "module", "state_dict"], {"x": torch.zeros(3)}),
    "no modules": (["state", "modules"], None),
    "no generators": (["state", "generators"], None),
    "short generator": (["state", "generators", "global", "torch"], short),
    "no start": (["start", "global"], None),
    "short start": (["start", "global", "torch"], short),
    "position beyond the key": (
        ["state", "generators", "global", "numpy"],
        lambda state: (*state[:2], 10**9, *state[3:]),
    ),
    "history of another length": (["n_epochs"], 1),
    "history of texts": (["state", "history"], ["one", "two"]),
    "no callbacks": (["state", "callbacks"], None),
    "statistics": (["state", "statistics"], {"center": 3}),
    "mask generator": (["state", "guidance", "generator"], short),
    "unknown kind of value": (["state", "statistics"], {"kind of value": "cat"}),
    "n_epochs of text": (["n_epochs"], "two"),
    "parameters": (["state", "parameters"], {"no_such_parameter": 3}),
    "optimizer": (["state", "optimizers", "optimizer", "param_groups"], []),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_contents_that_do_not_fit(name, tmp_path):
    path = tmp_path / "fit.ckpt"
    make = {"max_epochs": 2, "random_state": 0, "device": "cpu"}
    callbacks = [ResumableCheckpoint(path, keep=True)]
    SaliencyGuidedRegressor(callbacks=callbacks, **make).fit(X, TARGETS)
    content = read_checkpoint(path)
    alter(content, *ALTERATIONS[name])
    write_checkpoint(path, fit_of(path), content)
    net = SaliencyGuidedRegressor(callbacks=callbacks, **make)
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=r"Delete it to train anew|Delete the file|is damaged"):
        net.fit(X, TARGETS)
    assert not net.initialized_
    assert torch.get_rng_state().equal(before)


# writing


def test_parts_left_by_killed_processes_are_removed_and_nothing_else(tmp_path):
    parts = ["fit[1].ckpt.0123abcd.part", "fit[1].ckpt.ffffffff.part"]
    others = ["fit1.ckpt.0123abcd.part", "fit[1].ckpt.mine.part", "fit[1].ckpt.part", "fit.ckpt"]
    for name in parts + others:
        (tmp_path / name).write_text("x")
    remove_parts(tmp_path / "fit[1].ckpt")
    assert {path.name for path in tmp_path.iterdir()} == set(others)


def test_a_fit_removes_them(tmp_path):
    part = tmp_path / "fit.ckpt.0123abcd.part"
    part.write_text("half a checkpo")
    callbacks = [ResumableCheckpoint(tmp_path / "fit.ckpt")]
    SaliencyGuidedRegressor(max_epochs=1, callbacks=callbacks).fit(X, TARGETS)
    assert not part.exists()


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_ends_the_fit_and_keeps_the_checkpoint_before(function, tmp_path, monkeypatch):
    path = tmp_path / "fit.ckpt"
    original, calls = getattr(os, function), []

    def failing(*args, **kwargs):
        calls.append(1)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*args, **kwargs)

    def make(path):
        return SaliencyGuidedRegressor(
            max_epochs=6, callbacks=[ResumableCheckpoint(path)], random_state=0
        )

    monkeypatch.setattr(os, function, failing)
    net = make(path)
    with pytest.raises(OSError, match="No space left"):
        net.fit(X, TARGETS)
    assert not net.initialized_
    assert list(tmp_path.iterdir()) == [path]
    # two calls of fsync a checkpoint, one of replace; one checkpoint before the first epoch
    assert read_checkpoint(path)["n_epochs"] == (1 if function == "fsync" else 3)
    monkeypatch.setattr(os, function, original)
    whole = make(tmp_path / "whole.ckpt").fit(X, TARGETS)
    np.testing.assert_equal(weights(make(path).fit(X, TARGETS)), weights(whole))


class Fails(Callback):
    armed = True

    def on_epoch_end(self, net, **kwargs):
        if Fails.armed and len(net.history) == 3:
            raise MemoryError


def test_a_link_stays_one(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    path, link = tmp_path / "disk" / "fit.ckpt", tmp_path / "link.ckpt"
    link.symlink_to(path)
    make = {"max_epochs": 4, "random_state": 0, "device": "cpu"}
    with pytest.raises(MemoryError):
        SaliencyGuidedRegressor(
            callbacks=[("resume", ResumableCheckpoint(link)), ("accident", Fails())], **make
        ).fit(X, TARGETS)
    assert link.is_symlink()
    assert read_checkpoint(path)["n_epochs"] == 2
    monkeypatch.setattr(Fails, "armed", False)
    SaliencyGuidedRegressor(
        callbacks=[("resume", ResumableCheckpoint(link)), ("accident", Fails())], **make
    ).fit(X, TARGETS)
    assert link.is_symlink()
    assert not path.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["disk", "link.ckpt"]
