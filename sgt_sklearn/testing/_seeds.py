"""What an int `random_state` promises."""

import random

import numpy as np
import torch

from sgt_sklearn.testing._case import differing, expect, expect_same_net, weights


def check_random_state(case):
    """The same int gives bitwise the same net, another int another."""
    estimator = case.fit(mask_fill=case.samples.fill)
    first = weights(estimator)
    history = _losses(estimator)
    torch.rand(3), np.random.rand(3)  # noqa: NPY002
    second = case.fit(mask_fill=case.samples.fill)
    expect_same_net(weights(second), first, "of two fits with random_state=0")
    expect(_losses(second) == history, "the same losses of both fits", "others")
    if not isinstance(estimator.module, torch.nn.Module):  # an instance is trained in place
        estimator.fit(case.X, case.y)
        expect_same_net(weights(estimator), first, "of a second fit with random_state=0")
    other = case.fit(mask_fill=case.samples.fill, random_state=1)
    expect(differing(weights(other), first), "another net for random_state=1", "the same net")


def _losses(estimator):
    return [row.get("train_loss") for row in estimator.history]


def check_global_generators(case):
    """With an int, no method uses the generators of torch, numpy and Python."""
    estimator = case.make()
    uses = {
        "fit": lambda: estimator.fit(case.X, case.y),
        "partial_fit": lambda: estimator.partial_fit(case.X, case.y),
        "predict": lambda: estimator.predict(case.X),
        "attribute": lambda: estimator.attribute(case.X),
        "smooth_grad": lambda: estimator.attribute(
            case.X, method="smooth_grad", n_samples=2, random_state=0
        ),
    }
    for what, use in uses.items():
        before = _states()
        use()
        moved = [name for name, state in _states().items() if state != before[name]]
        expect(not moved, f"global generators untouched by {what}", f"moved: {moved}")


def _states():
    numpy = np.random.get_state()  # noqa: NPY002
    states = {
        "python": random.getstate(),
        "numpy": (numpy[1].tobytes(), *numpy[2:]),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }
    if torch.cuda.is_initialized():
        states["cuda"] = [state.numpy().tobytes() for state in torch.cuda.get_rng_state_all()]
    return states


def check_partial_fit_continues(case):
    """Two calls of partial_fit equal one fit of as many epochs, bitwise."""
    whole = case.fit(max_epochs=4)
    parts = case.make(max_epochs=2)
    for _ in range(2):
        parts.partial_fit(case.X, case.y)
        parts.predict(case.X)
    expect_same_net(weights(parts), weights(whole), "of partial_fit twice and one fit")
    expect(len(parts.history) == 4, "a history of 4 epochs after 2 + 2", len(parts.history))
