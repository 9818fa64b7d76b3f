import signal

import pytest

from tests.callbacks.interrupting import Trip


@pytest.fixture
def python_with_its_own_handlers():
    """A shell starts background jobs, and so the tests in one, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
    Trip.armed = False
