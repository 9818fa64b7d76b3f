import copy

import pytest
import torch
from skorch.callbacks import EarlyStopping, LRScheduler
from skorch.dataset import ValidSplit

from sgt_sklearn.estimators import _guidance
from sgt_sklearn.estimators._persistence._file import read_file, write_file
from tests.estimators.saved_files import fitted


@pytest.fixture
def masked_batches(monkeypatch):
    """Pairs of a batch and its masked copy, with the targets, of each training step."""
    batches, masked_input = [], _guidance.masked_input

    def spy(forward, x, y, masking, **options):
        masked = masked_input(forward, x, y, masking, **options)
        batches.append((x.detach().cpu(), masked.detach().cpu(), y.cpu()))
        return masked

    monkeypatch.setattr(_guidance, "masked_input", spy)
    return batches


@pytest.fixture
def full_precision(monkeypatch):
    """Without TF32, which cuDNN's convolutions use, and which rounds to 10 bits.

    With it, values of batches of other sizes, for which cuDNN takes other algorithms, differ by up
    to 1e-3.
    """
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Estimator, and its file as bytes, document and tensors."""
    callbacks = [EarlyStopping("train_loss"), ("lr", LRScheduler("StepLR", step_size=1))]
    net = fitted(callbacks=callbacks, train_split=ValidSplit(3))
    path = tmp_path_factory.mktemp("saved") / "net.safetensors"
    net.save(path)
    document, tensors = read_file(path)
    return net, path.read_bytes(), document, tensors


@pytest.fixture
def rewritten(saved, tmp_path):
    """Write the file with a changed document and tensors, and a checksum that matches."""

    def rewrite(change):
        document, tensors = copy.deepcopy(saved[2]), dict(saved[3])
        change(document, tensors)
        write_file(tmp_path / "net", document, tensors)
        return tmp_path / "net"

    return rewrite
