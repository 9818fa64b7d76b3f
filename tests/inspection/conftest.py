import gc

import numpy as np
import pytest


@pytest.fixture(scope="module")
def only_figures_are_garbage():
    """Closed figures are cycles; to look for them among all that is imported took a while."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def same_numbers():
    """Explanations of the same numbers in every test, whose figures are closed after it."""
    from matplotlib import pyplot

    from tests.inspection.display_cases import RNG

    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state
    yield
    pyplot.close("all")
