"""What is hidden in training, and what that does."""

from collections import Counter
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
        return case.samples.replaced(x)

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
    plain, guided = weights(case.fit(consistency_weight=0)), weights(case.fitted())
    expect(differing(guided, plain), "guidance to change the parameters", "the same net")
    broken = [name for name, value in guided.items() if not np.isfinite(value).all()]
    expect(not broken, "finite parameters", f"NaN or infinity in {broken}")
    order = "absolute" if case.estimator.mask_order == "random" else "random"
    control = weights(case.fit(mask_order=order))
    expect(differing(control, guided), f"another net for mask_order={order!r}", "the same net")


def check_masks(case):
    """In each step exactly k groups of each sample are hidden as a whole, and no other cell."""
    least = 1 / case.n_groups
    for fraction in sorted({max(least, 0.25), max(least, 0.6)}):
        _check_masks(case, fraction, case.estimator.feature_groups)
    if not case.has_series:
        return
    for groups in ("time", "feature", "time_then_feature"):
        if case.count_groups(case.labels(groups)).max() > 1:
            _check_masks(case, 0.5, groups, max_epochs=1)


def _check_masks(case, fraction, feature_groups, max_epochs=2):
    batches, n_calls = _record(
        case,
        mask_fraction=fraction,
        feature_groups=feature_groups,
        max_epochs=max_epochs,
    )
    expect(n_calls, "calls of mask_fill in training", "none")
    expect(
        len(batches) == n_calls,
        f"the module to get a masked batch for each of {n_calls} calls of mask_fill",
        len(batches),
    )
    batches = [
        (clean, hidden, visible, case.samples.valid_in(clean, lengths))
        for clean, hidden, visible, lengths in batches
    ]
    if case.samples.padded:
        _expect_lengths(case, [valid for *_, valid in batches], max_epochs)
    for clean, hidden, visible, valid in batches:
        touched = ((hidden | (visible != clean)) & ~valid).sum()
        expect(not touched, "padding as it was in the batch", f"{touched} other values there")
        expect(
            (visible == clean)[~hidden].all(),
            "the values of the batch in all cells that are not hidden",
            "others",
        )
        if isinstance(feature_groups, str) and feature_groups == "time_then_feature":
            _expect_steps_and_cells(hidden, valid, fraction)
        else:
            _expect_whole_groups(hidden, valid, case.labels(feature_groups), fraction)


def _record(case, **params):
    """Fit, and return the masked batches of the module, and how often the fill was called."""
    filled, batches = [], []

    def fill(x, generator):
        values = case.samples.replaced(x)
        filled.append([tensor.detach().cpu().numpy().copy() for tensor in (x, values)])
        return values

    def look(tensors):
        if len(batches) == len(filled):
            return
        clean, replaced = filled[-1]
        x = next((tensor for tensor in tensors if tensor.shape == clean.shape), None)
        if x is None:
            return
        x = x.detach().cpu().numpy().copy()
        hidden = x == replaced
        if hidden.any():
            batches.append((clean, hidden, x, _lengths_among(tensors, len(x))))

    estimator = case.make(mask_fill=fill, **params)
    with _each_forward(look):
        estimator.fit(case.X, case.y)
    return batches, len(filled)


def _lengths_among(tensors, n_samples):
    """What follows the batch as forward(X, lengths), or None."""
    for tensor in tensors[1:]:
        if tensor.shape == (n_samples,) and not tensor.is_floating_point():
            return tensor.cpu().numpy()
    return None


@contextmanager
def _each_forward(look):
    """Let a function see the tensors that each module gets, by position or name."""
    handles = {}

    def look_by_name(module, args, kwargs):
        look([value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)])

    def meet(module, args):
        # hooks of all modules are not told of arguments by name, those of one are: from its
        # second pass on, which is early enough, because the first of a step is not masked
        if module not in handles:
            handles[module] = module.register_forward_pre_hook(look_by_name, with_kwargs=True)

    met = register_module_forward_pre_hook(meet)
    try:
        yield
    finally:
        for handle in (met, *handles.values()):
            handle.remove()


def _expect_lengths(case, batches, n_epochs):
    """Samples come with their own lengths: none more often than it is in X."""
    known = Counter(case.samples.lengths.tolist())
    given = Counter()
    for valid in batches:
        given.update(valid.reshape(*valid.shape[:2], -1).any(axis=2).sum(axis=1).tolist())
    wrong = sorted(n for n in given if given[n] > n_epochs * known[n])
    expect(
        not wrong,
        "the module to get samples of the lengths of X",
        "".join(f"{given[n]} samples of length {n} in {n_epochs} epochs" for n in wrong[:1]),
    )


def _expect_whole_groups(hidden, valid, labels, fraction):
    hidden, valid = hidden.reshape(len(hidden), -1), valid.reshape(len(valid), -1)
    member = (labels.reshape(-1, 1) == np.unique(labels)).astype(int)
    counts, sizes = (hidden & valid).astype(int) @ member, valid.astype(int) @ member
    partly = (counts > 0) & (counts < sizes)
    expect(not partly.any(), "whole groups to be hidden", f"{partly.sum()} groups hidden in part")
    able = (sizes > 0).sum(axis=1)
    n_hidden = (counts > 0).sum(axis=1)
    for n_groups in np.unique(able):
        k = int(fraction * n_groups + 1e-9)
        got = np.unique(n_hidden[able == n_groups])
        expect(
            got.tolist() == [k],
            f"exactly k = {k} of {n_groups} groups hidden in each sample",
            f"{got.tolist()} groups",
        )


def _expect_steps_and_cells(hidden, valid, fraction):
    """Whole steps first, then cells of the others."""
    for cells, inside in zip(hidden, valid, strict=True):
        n_cells, n_steps = inside.sum(), inside.any(axis=1).sum()
        k = int(fraction * n_cells + 1e-9)
        expect(
            cells.sum() == k,
            f"exactly K = {k} of {n_cells} cells hidden in a series of {n_steps} steps",
            f"{cells.sum()} cells",
        )
        whole = int((1 - (1 - fraction) ** 0.5) * n_steps + 1e-9)
        got = (cells | ~inside)[inside.any(axis=1)].all(axis=1).sum()
        expect(got >= whole, f"at least {whole} of {n_steps} steps hidden as a whole", got)


def check_history(case):
    """The history has the total training loss and its two parts, epoch by epoch."""
    # a get_loss of the user's own may add terms to the total
    own_terms = not type(case.estimator).get_loss.__module__.startswith("sgt_sklearn.")
    for weight, estimator in ((1.0, case.fitted()), (0.5, case.fit(consistency_weight=0.5))):
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
