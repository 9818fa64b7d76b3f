"""What is hidden in training, and what that does."""

from contextlib import contextmanager

import numpy as np
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from sgt_sklearn.testing._case import differing, expect, expect_same_net, weights


def check_consistency_weight_zero(case):
    """A weight of 0 trains as if nothing were hidden, whatever the other settings."""
    filled = []

    def fill(x, generator):
        filled.append(len(x))
        return torch.zeros_like(x)

    plain = case.fit(consistency_weight=0, mask_fill=fill)
    expect(not filled, "no masks with consistency_weight=0", f"{len(filled)} calls of mask_fill")
    recorded = [row for row in plain.history if "train_consistency_loss" in row]
    expect(not recorded, "no train_consistency_loss with consistency_weight=0", recorded)
    other = case.fit(consistency_weight=0, mask_fraction=1.0, mask_order="random")
    expect_same_net(weights(other), weights(plain), "with consistency_weight=0 for any mask")
    nothing = case.fit(mask_fraction=0.0)
    expect_same_net(weights(nothing), weights(plain), "of mask_fraction=0 and no guidance")


def check_guidance_trains(case):
    """Guidance changes the net, and so does the order in which features are hidden."""
    plain, guided = weights(case.fit(consistency_weight=0)), weights(case.fit())
    expect(differing(guided, plain), "guidance to change the parameters", "the same net")
    broken = [name for name, value in guided.items() if not np.isfinite(value).all()]
    expect(not broken, "finite parameters", f"NaN or infinity in {broken}")
    control = weights(case.fit(mask_order="random"))
    expect(differing(control, guided), "another net for mask_order='random'", "the same net")


def check_masks(case):
    """In each step exactly k groups of each sample are hidden as a whole, and no other cell."""
    least = 1 / case.n_groups
    for fraction in sorted({max(least, 0.25), max(least, 0.6)}):
        k = int(fraction * case.n_groups + 1e-9)
        clean, masked = _record(case, fraction)
        expect(clean, "calls of mask_fill in training", "none")
        expect(
            len(masked) == len(clean),
            f"the module to get a masked batch for each of {len(clean)} calls of mask_fill",
            len(masked),
        )
        for x, (hidden, visible) in zip(clean, masked, strict=True):
            expect(
                (visible == x)[~hidden].all(),
                "the values of the batch in all cells that are not hidden",
                "others",
            )
            _expect_whole_groups(hidden, case.labels, k)


def _record(case, fraction):
    """Fit, and return the clean batches of the fill and the masked ones of the module."""
    # beyond all values of X, and exact in any floating-point type
    mark = float(np.ceil(np.abs(case.X).max())) + 1
    clean, masked = [], []

    def fill(x, generator):
        clean.append(x.detach().cpu().numpy().copy())
        return torch.full_like(x, mark)

    def look(module, inputs):
        x = inputs[0] if inputs else None
        awaited = len(masked) < len(clean)
        if not awaited or not isinstance(x, torch.Tensor) or x.shape != clean[-1].shape:
            return
        x = x.detach().cpu().numpy()
        hidden = x == mark
        if hidden.any():
            masked.append((hidden, x.copy()))

    estimator = case.make(mask_fraction=fraction, mask_fill=fill)
    with _each_forward(look):
        estimator.fit(case.X, case.y)
    return clean, masked


@contextmanager
def _each_forward(look):
    handle = register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()


def _expect_whole_groups(hidden, labels, k):
    hidden = hidden.reshape(len(hidden), -1)
    member = labels.reshape(-1, 1) == np.unique(labels)
    counts = hidden.astype(int) @ member
    sizes = member.sum(axis=0)
    partly = (counts > 0) & (counts < sizes)
    expect(not partly.any(), "whole groups to be hidden", f"{partly.sum()} groups hidden in part")
    n_hidden = np.unique((counts == sizes).sum(axis=1))
    expect(
        n_hidden.tolist() == [k],
        f"exactly k = {k} of {len(sizes)} groups hidden in each sample",
        f"{n_hidden.tolist()} groups",
    )


def check_history(case):
    """The history has the total training loss and its two parts, epoch by epoch."""
    # a get_loss of the user's own may add terms to the total
    own_terms = not type(case.estimator).get_loss.__module__.startswith("sgt_sklearn.")
    for weight in (1.0, 0.5):
        estimator = case.fit(consistency_weight=weight)
        expect(len(estimator.history) == 2, "2 epochs in the history", len(estimator.history))
        for row in estimator.history:
            for name in ("train_loss", "train_task_loss", "train_consistency_loss"):
                value = row.get(name)
                finite = value is not None and np.isfinite(value)
                expect(finite, f"a finite {name} in each epoch", value)
            task, consistency = row["train_task_loss"], row["train_consistency_loss"]
            expect(consistency >= 0, "train_consistency_loss >= 0", consistency)
            if own_terms:
                continue
            total = task + weight * consistency
            expect(
                np.isclose(row["train_loss"], total, rtol=1e-4, atol=1e-6),
                f"train_loss = task + {weight:g} * consistency = {total:.6g}",
                f"{row['train_loss']:.6g}",
            )
