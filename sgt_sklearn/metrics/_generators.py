"""Metrics that leave global generators as they are."""

import functools

from sgt_sklearn._random import generators_apart


def with_generators_apart(function):
    """Call `function` on global generators of one's own, unless `random_state` is None.

    The data loader of a skorch net draws from torch's generator whenever the net predicts: a
    metric in a callback would change the training.
    """

    @functools.wraps(function)
    def call(*args, random_state=None, **options):
        with generators_apart(random_state):
            return function(*args, random_state=random_state, **options)

    return call
