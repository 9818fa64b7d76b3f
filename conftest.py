import os

# Bitwise claims hold for one thread count; worker processes read it from the environment.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import random

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed_global_generators():
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (the legacy generator is what libraries share)
    torch.manual_seed(0)


@pytest.fixture(
    params=[
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(
                not torch.cuda.is_available(), reason="no CUDA device on this machine"
            ),
        ),
    ]
)
def device(request):
    """Name of the device to train on; the cuda run is skipped where there is none."""
    return request.param
