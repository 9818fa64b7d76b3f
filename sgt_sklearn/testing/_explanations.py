"""What `attribute` returns."""

from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from sgt_sklearn.testing._case import expect, rows_of

_METHODS = {
    "saliency": {},
    "input_x_gradient": {},
    "integrated_gradients": {"n_steps": 4},
    "path_gradient": {"n_steps": 4},
    "smooth_grad": {"n_samples": 3, "random_state": 0},
}
_STEP = 0.01  # of numerical differentiation, in standard deviations of X
_TOKEN_STEP = 0.05  # the same, in vectors of tokens
_TOLERANCE = 0.05  # of the largest gradient
_SHARE = 0.9  # a network of ReLUs has kinks, at some of which the two differ


def check_attribute(case):
    """Explanations have the shape of X, are finite and do not depend on the batch size."""
    estimator = case.fitted()
    samples = case.samples.subset(slice(9))
    X = samples.X
    for method, options in _METHODS.items():
        values = _flat(samples, estimator.attribute(X, method=method, **options), method)
        expect(np.abs(values).max() > 0, f"{method} to find something", "zeros only")
        if method == "smooth_grad":
            continue  # draws its noise batch by batch
        parts = estimator.attribute(X, method=method, batch_size=4, **options)
        parts = _flat(samples, parts, f"{method} with batch_size=4")
        expect(
            np.allclose(parts, values, rtol=1e-3, atol=1e-5 * np.abs(values).max()),
            f"the same {method} with batch_size=4",
            f"a difference of {np.abs(parts - values).max():.2g}",
        )
    _flat(samples, estimator.attribute(X, target="all"), "target='all'", every=True)


def _flat(samples, values, what, every=False):
    """All attributions in one axis, after a look at their form."""
    shape = samples.array.shape
    n_outputs = "n_outputs, " * every
    if samples.is_list():
        expect(isinstance(values, list), f"{what} of a list as a list", type(values).__name__)
        shapes = [np.shape(value)[every:] for value in values]
        expected = [(n, *shape[2:]) for n in samples.lengths]
        expect(shapes == expected, f"{what} of shapes ({n_outputs}t_i, {shape[2]})", shapes)
    else:
        values = np.asarray(values)
        inner = ", ".join(map(str, shape[1:]))
        fits = values.ndim == len(shape) + every and values.shape[1 + every :] == shape[1:]
        # a shape as Python writes it has a comma of its own where it is short
        expect(
            fits and len(values) == len(samples),
            f"{what} of shape ({len(samples)}, {n_outputs}{inner})",
            f"shape {values.shape}",
        )
        padding = ~samples.valid
        known = ~np.isnan(np.moveaxis(values, 1, -1) if every else values)
        known = known[padding].sum()
        expect(not known, f"NaN on padding of {what}", f"{known} numbers")
    parts = samples.parts(values, time=int(every))
    flat = np.concatenate([part.ravel() for part in parts])
    expect(np.isfinite(flat).all(), f"finite values of {what}", "NaN or infinity")
    return flat


def check_gradient(case):
    """Saliency is the derivative of the output, as numerical differentiation finds it."""
    estimator = case.fitted()
    if case.has_tokens:
        _check_token_gradient(case, estimator)
        return
    samples = case.samples.subset(slice(5))
    array = samples.array.reshape(5, 1, -1)
    cells = _some_cells(samples.valid)
    rows, copies = np.arange(5)[:, None], np.arange(cells.shape[1])
    step = _STEP * (case.samples.array[case.samples.valid].std() or 1.0)
    # copies of each sample: unchanged, and each cell one step up and down
    moved = np.repeat(array, 1 + 2 * len(copies), axis=1)
    moved[rows, 1 + copies, cells] += step
    moved[rows, 1 + len(copies) + copies, cells] -= step
    up = moved[rows, 1 + copies, cells] - array[rows, 0, cells]
    down = array[rows, 0, cells] - moved[rows, 1 + len(copies) + copies, cells]
    moved = moved.reshape(-1, *samples.array.shape[1:])
    target, ask = _output(case, estimator)
    outputs = ask(samples.subset(np.repeat(np.arange(5), 1 + 2 * len(copies)), moved).X)
    values = estimator.attribute(samples.X, method="saliency", target=target, output="log_proba")
    values = [part.ravel()[row] for part, row in zip(samples.parts(values), cells, strict=True)]
    _expect_slopes(np.stack(values), outputs, (up, down), "saliency")


def _some_cells(valid, n_cells=8):
    """Positions of some cells of each sample that are no padding."""
    rng = np.random.default_rng(0)
    valid = valid.reshape(len(valid), -1)
    n_cells = min(n_cells, valid.sum(axis=1).min())
    return np.stack([rng.choice(np.flatnonzero(row), n_cells, replace=False) for row in valid])


def _expect_slopes(values, outputs, steps, what):
    """Compare derivatives with outputs at each sample and steps up and down from it."""
    middle, up, down = np.split(outputs.reshape(len(values), -1), [1, 1 + values.shape[1]], axis=1)
    slopes = np.stack([(up - middle) / steps[0], (middle - down) / steps[1]])
    # at a kink the gradient is the slope of one side
    slopes = np.concatenate([slopes, slopes.mean(axis=0, keepdims=True)])
    errors = np.abs(slopes - values.astype(np.float64)).min(axis=0)
    limit = _TOLERANCE * np.abs(slopes).max() + 1e-6
    share = (errors <= limit).mean()
    worst = np.unravel_index(errors.argmax(), errors.shape)
    expect(
        share >= _SHARE,
        f"{what} equal to numerical differentiation in at least {_SHARE:.0%} of "
        f"{errors.size} cells, within {limit:.2g}",
        f"{share:.0%}, in one of them {values[worst]:.4g} against {slopes[2][worst]:.4g}",
    )


def _check_token_gradient(case, estimator):
    """A vector e of a token is moved, along itself (g.e) and along each of its dimensions (g)."""
    samples = case.samples.subset(slice(5))
    target, ask = _output(case, estimator)
    embedding = _embedding(estimator)
    vectors = []
    with _each_vector(embedding, lambda output, rows: vectors.append(output.cpu())):
        ask(samples.X)
    vectors = torch.cat(vectors).double()

    def outputs(moves):
        """Outputs of each sample, and after each move (sample, position, vector) up and down."""
        n_moves = moves.shape[1]
        added = torch.zeros(5, 1 + 2 * n_moves, *vectors.shape[1:], dtype=torch.float64)
        added[:, 1 : 1 + n_moves], added[:, 1 + n_moves :] = moves, -moves
        added = added.flatten(0, 1)
        copies = samples.subset(np.repeat(np.arange(5), 1 + 2 * n_moves))
        with _each_vector(embedding, lambda output, rows: output + added[rows].to(output)):
            return ask(copies.X)

    def explained(method, positions):
        values = estimator.attribute(samples.X, method=method, target=target, output="log_proba")
        return np.take_along_axis(np.asarray(values), positions, axis=1)

    positions = _some_cells(samples.valid)
    at = torch.nn.functional.one_hot(torch.as_tensor(positions), vectors.shape[1])
    along = outputs(_TOKEN_STEP * at[..., None] * vectors[:, None])
    steps = (_TOKEN_STEP, _TOKEN_STEP)
    _expect_slopes(
        explained("input_x_gradient", positions), along, steps, "input_x_gradient of tokens"
    )

    positions, at = positions[:, :1], at[:, :1]
    step = _TOKEN_STEP * vectors[samples.array != 0].std()
    each = step * torch.eye(vectors.shape[2])[None, :, None] * at[..., None]
    _, up, down = np.split(outputs(each).reshape(5, -1), [1, 1 + vectors.shape[2]], axis=1)
    norms = np.linalg.norm((up - down) / (2 * step.item()), axis=1)
    values = explained("saliency", positions)[:, 0]
    limit = 2 * _TOLERANCE * norms.max() + 1e-6
    close = np.abs(values - norms) <= limit
    # a kink in one of many dimensions may move one of the norms
    expect(
        close.sum() >= 4,
        f"saliency equal to the norm {norms.round(6)} of the gradient at the embedding",
        values,
    )


def _embedding(estimator):
    """The submodule that embeds tokens, by its documented name."""
    name = "embedding" if estimator.embedding == "auto" else estimator.embedding
    for component in vars(estimator).values():
        if isinstance(component, nn.Module):
            found = dict(component.named_modules()).get(name)
            if found is not None:
                return found
    raise AssertionError(f"expected a submodule {name!r} that embeds tokens, got none")


@contextmanager
def _each_vector(embedding, change):
    """Inside, an embedding returns what a function makes of its output and the rows so far."""
    start = 0

    def hook(module, inputs, output):
        nonlocal start
        rows = slice(start, start + len(output))
        start = rows.stop
        return change(output, rows)

    handle = embedding.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _output(case, estimator):
    """A target and the function of X that `attribute` explains for it."""
    if case.kind_of_target == "class":
        label = np.asarray(estimator.classes_)[-1]
        # of several labels a sample the last class is the last column too
        return label, lambda X: np.log(
            np.asarray(estimator.predict_proba(X), dtype=np.float64)[:, -1]
        )
    return 0, lambda X: rows_of(estimator.predict(X))[:, 0].astype(np.float64)
