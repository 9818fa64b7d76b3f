import os

# cuBLAS reads it when it starts; without it torch refuses to be deterministic
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import pytest
import torch


@pytest.fixture
def deterministic_cuda():
    """Have torch take deterministic kernels, on which bitwise claims for CUDA depend."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(torch.cuda.is_available())
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk():
    """Files need not outlast a power failure here; waiting for the disk took most of their tests.

    A killed process loses nothing without it, and tests that watch ``os.fsync`` replace it again.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield
