"""What `save` makes of its path."""

import os

import numpy as np
import pytest

from sgt_sklearn import SaliencyGuidedRegressor

X = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def net():
    return SaliencyGuidedRegressor(max_epochs=1, device="cpu", random_state=0).fit(X, X[:, 0])


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("none/net", FileNotFoundError, "The folder of path must exist"),
        ("", FileNotFoundError, "path must name a file, got an empty text"),
        (b"", FileNotFoundError, "path must name a file, got an empty text"),
        ("folder", IsADirectoryError, "path must name a file, got a folder"),
    ],
)
def test_errors_name_the_path_that_was_given(path, error, message, net, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(error, match=message) as raised:
        net.save(path)
    assert raised.value.filename == path
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(tmp_path / "folder") == []


def test_what_a_killed_save_left_is_removed_by_the_next(net, tmp_path):
    path = tmp_path / "net.safetensors"
    (tmp_path / "net.safetensors.0123abcd.part").write_text("half an estim")
    (tmp_path / "another.safetensors.0123abcd.part").write_text("half an estim")
    net.save(path)
    names = ["another.safetensors.0123abcd.part", "net.safetensors"]
    assert sorted(os.listdir(tmp_path)) == names
    np.testing.assert_array_equal(SaliencyGuidedRegressor.load(path).predict(X), net.predict(X))
