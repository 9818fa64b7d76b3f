"""What pads samples of unequal length changes nothing."""

import numpy as np
import torch

from sgt_sklearn.testing._case import expect, expect_close, rows_of
from sgt_sklearn.testing._samples import Series

_LOSSES = ("train_loss", "train_task_loss", "train_consistency_loss")


def check_padding(case):
    """Other padding, or another order of the samples, changes no prediction and no training."""
    estimator = case.fitted()
    expected = _answers(estimator, case.samples, case.X)
    for what, X in case.samples.paddings(case.names_module).items():
        _expect_same(_answers(estimator, case.samples, X), expected, what)
    n_samples = len(case.y)
    shortest_first = np.argsort(case.samples.lengths, kind="stable")
    for what, rows in {
        "samples in another order": np.arange(n_samples)[::-1],
        "the shorter half alone": shortest_first[: n_samples // 2],
    }.items():
        part = case.samples.subset(rows)
        among = {name: [values[i] for i in rows] for name, values in expected.items()}
        _expect_same(_answers(estimator, part, part.X), among, what)
    # noise in the module takes other draws for other shapes
    if case.keeps_history and not _is_noisy(case, estimator):
        losses = _losses(case, case.X)
        # labels of groups are for samples of one width
        any_width = isinstance(case.estimator.feature_groups, str)
        paddings = case.samples.paddings(named=False, any_width=any_width)
        for what, X in paddings.items():
            got = _losses(case, X)
            expect(
                np.allclose(got, losses, rtol=1e-4, atol=1e-5),
                f"the same losses of a fit with {what}, {np.round(losses, 6).tolist()}",
                np.round(got, 6).tolist(),
            )


def _answers(estimator, samples, X):
    """Predictions and explanations, sample by sample and without padding."""
    answers = {}
    for method in ("predict_proba", "predict"):
        if hasattr(estimator, method):
            answers[method] = list(rows_of(getattr(estimator, method)(X)))
    for method, options in {"saliency": {}, "integrated_gradients": {"n_steps": 3}}.items():
        answers[method] = samples.parts(estimator.attribute(X, method=method, **options))
    return answers


def _expect_same(got, expected, what):
    for name, values in expected.items():
        expect(len(got[name]) == len(values), f"{len(values)} rows of {name}", len(got[name]))
        is_number = values[0].dtype.kind == "f"
        scale = max(np.abs(value).max() for value in values) if is_number else None
        for one, other in zip(got[name], values, strict=True):
            expect_close(one, other, f"{name} with {what}", rtol=1e-5, scale=scale)


def _losses(case, X):
    """Losses of a fit in which every cell is hidden, so that rounding tips no mask over."""
    estimator = case.make(
        mask_fraction=1.0,
        mask_order="random",
        mask_fill=lambda x, generator: case.samples.replaced(x),
    )
    estimator.fit(X, case.y)
    return np.array([[row[name] for name in _LOSSES] for row in estimator.history])


def _is_noisy(case, estimator):
    """Whether the module draws in training, as dropout does."""
    samples = case.samples
    inputs = samples.build(samples.array, samples.lengths)
    if isinstance(samples, Series):
        inputs = samples.build(samples.array, samples.lengths, "dict")
        inputs = {name: torch.as_tensor(value) for name, value in inputs.items()}
    else:
        inputs = torch.as_tensor(inputs)
    for module in vars(estimator).values():
        if isinstance(module, torch.nn.Module):
            module.train()
    outputs = []
    for seed in range(2):
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            output = estimator.infer(inputs)
            outputs.append(output[0] if isinstance(output, tuple) else output)
    return not torch.equal(*outputs)
