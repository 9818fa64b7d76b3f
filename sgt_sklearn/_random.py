"""Seeds and the isolation of global generators."""

import copy
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from sklearn.utils import check_random_state

# separates the stream of masks and fills from the one of initialisation, shuffling and dropout
_MASK_STREAM = 0x5347


def seed_from(random_state):
    """Integer seed of an int or ``RandomState``; drawing from the latter advances it."""
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    check_random_state(random_state)
    return int(random_state)


def mask_seed(seed):
    """Seed of the private generator of masks and fills."""
    return int(np.random.SeedSequence([_MASK_STREAM, seed]).generate_state(1, np.uint32)[0])


def capture_generators():
    """States of the global generators of torch (every device in use) and numpy."""
    state = {"torch": torch.get_rng_state(), "numpy": np.random.get_state()}  # noqa: NPY002
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_generators(state):
    """Set the global generators to captured states, as far as the devices are here."""
    torch.set_rng_state(state["torch"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    # before CUDA is in use torch would queue the states and set them once it is
    if "cuda" in state and torch.cuda.is_initialized():
        for device, value in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(value, device)
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])


@contextmanager
def isolated_generators(*, seed=None, state=None, cuda=False):
    """Run on global generators of one's own and give the old ones back.

    Parameters
    ----------
    seed : int or None
        Seed to start from, where there is no `state`.
    state : dict or None
        Captured states to go on from.
    cuda : bool
        Whether the block may be the first use of CUDA, whose generators then have to be here
        before it. Else CUDA is left uninitialised: it takes memory, and no forked process can use
        it any more.

    Yields
    ------
    dict
        Holds the states reached inside once the block has ended without an error.
    """
    if cuda and torch.cuda.is_available():
        torch.cuda.init()
    saved, reached = capture_generators(), {}
    try:
        if state is not None:
            restore_generators(state)
        else:
            _seed_torch(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
        yield reached
        reached.update(capture_generators())
    finally:
        restore_generators(saved)


def generators_apart(random_state):
    """Return a context in which global generators are one's own, started from `random_state`.

    They go on where nothing but them is a source: for None, and for a ``RandomState`` that is the
    global one. No other ``RandomState`` is advanced.
    """
    if isinstance(random_state, np.random.RandomState):
        if random_state is check_random_state(None):
            return nullcontext()
        random_state = copy.deepcopy(random_state)
    elif random_state is None:
        return nullcontext()
    return isolated_generators(seed=seed_from(random_state))


def _seed_torch(seed):
    if torch.cuda.is_available() and not torch.cuda.is_initialized():
        # torch.manual_seed would queue the seed for CUDA, past the end of the isolation
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
