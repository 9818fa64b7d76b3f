"""A file that was written on a GPU, loaded where there is none."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor

RNG = np.random.default_rng(0)
INPUTS = {
    "table": RNG.normal(size=(40, 4)).astype(np.float32),
    "series": RNG.normal(size=(40, 8, 3)).astype(np.float32),
    "image": RNG.normal(size=(40, 1, 6, 6)).astype(np.float32),
}
SCRIPT = """
import sys
import numpy as np
import torch
import sgt_sklearn
assert not torch.cuda.is_available()
folder, name = sys.argv[1:]
net = getattr(sgt_sklearn, name).load(f"{folder}/net", device="auto")
assert net.device == "cpu", net.device
X = np.load(f"{folder}/X.npy")
np.savez(f"{folder}/found.npz", predicted=net.predict(X), saliency=net.attribute(X))
net.partial_fit(X, np.load(f"{folder}/y.npy"))
"""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("estimator", [SaliencyGuidedClassifier, SaliencyGuidedRegressor])
@pytest.mark.parametrize("kind", INPUTS)
def test_a_file_from_a_gpu_serves_a_process_without_one(estimator, kind, tmp_path):
    X = INPUTS[kind]
    y = X.reshape(40, -1)[:, 0]
    y = (y > 0).astype(int) if estimator is SaliencyGuidedClassifier else y
    net = estimator(max_epochs=3, device="cuda", random_state=0).fit(X, y)
    net.save(tmp_path / "net")
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), estimator.__name__],
        env=os.environ
        | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["predicted"], net.predict(X), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["saliency"], net.attribute(X), rtol=1e-2, atol=1e-3)
