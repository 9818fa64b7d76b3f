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
