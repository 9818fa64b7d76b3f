"""What `attribute` returns."""

import numpy as np

from sgt_sklearn.testing._case import expect, rows_of

_METHODS = {
    "saliency": {},
    "input_x_gradient": {},
    "integrated_gradients": {"n_steps": 4},
    "path_gradient": {"n_steps": 4},
    "smooth_grad": {"n_samples": 3, "random_state": 0},
}
_STEP = 0.01  # of numerical differentiation, in standard deviations of X
_TOLERANCE = 0.05  # of the largest gradient
_SHARE = 0.9  # a network of ReLUs has kinks, at some of which the two differ


def check_attribute(case):
    """Explanations have the shape of X, are finite and do not depend on the batch size."""
    estimator = case.fit()
    X = case.X[:9]
    for method, options in _METHODS.items():
        values = np.asarray(estimator.attribute(X, method=method, **options))
        expect(values.shape == X.shape, f"{method} of shape {X.shape}", f"shape {values.shape}")
        expect(np.isfinite(values).all(), f"finite values of {method}", "NaN or infinity")
        expect(np.abs(values).max() > 0, f"{method} to find something", "zeros only")
        if method == "smooth_grad":
            continue  # draws its noise batch by batch
        parts = estimator.attribute(X, method=method, batch_size=4, **options)
        expect(
            np.allclose(parts, values, rtol=1e-3, atol=1e-5 * np.abs(values).max()),
            f"the same {method} with batch_size=4",
            f"a difference of {np.abs(parts - values).max():.2g}",
        )
    every = np.asarray(estimator.attribute(X, target="all"))
    expect(
        every.ndim == X.ndim + 1 and every.shape[2:] == X.shape[1:] and len(every) == len(X),
        f"target='all' of shape (9, n_outputs, {', '.join(map(str, X.shape[1:]))})",
        f"shape {every.shape}",
    )


def check_gradient(case):
    """Saliency is the derivative of the output, as numerical differentiation finds it."""
    estimator = case.fit()
    X = case.X[:5]
    rng = np.random.default_rng(0)
    n_cells = X[0].size
    cells = rng.choice(n_cells, min(8, n_cells), replace=False)
    scale = case.X.std() or 1.0
    step = _STEP * scale
    target, ask = _output(case, estimator)
    # copies of each sample: unchanged, and each cell one step up and down
    shifts = np.zeros((1 + 2 * len(cells), n_cells), dtype=X.dtype)
    shifts[np.arange(len(cells)) + 1, cells] = step
    shifts[np.arange(len(cells)) + 1 + len(cells), cells] = -step
    moved = X.reshape(len(X), 1, n_cells) + shifts
    outputs = ask(moved.reshape(-1, *X.shape[1:]).astype(X.dtype)).reshape(len(X), -1)
    taken = np.abs(moved[:, 1:] - moved[:, :1]).max(axis=2).reshape(len(X), 2, len(cells))
    middle, up, down = outputs[:, :1], *np.split(outputs[:, 1:], 2, axis=1)
    slopes = np.stack([(up - middle) / taken[:, 0], (middle - down) / taken[:, 1]])
    # at a kink the gradient is the slope of one side
    slopes = np.concatenate([slopes, slopes.mean(axis=0, keepdims=True)])
    values = estimator.attribute(X, method="saliency", target=target, output="log_proba")
    values = np.asarray(values, dtype=np.float64).reshape(len(X), -1)[:, cells]
    errors = np.abs(slopes - values).min(axis=0)
    limit = _TOLERANCE * np.abs(slopes).max() + 1e-6
    share = (errors <= limit).mean()
    worst = np.unravel_index(errors.argmax(), errors.shape)
    expect(
        share >= _SHARE,
        f"saliency equal to numerical differentiation in at least {_SHARE:.0%} of "
        f"{errors.size} cells, within {limit:.2g}",
        f"{share:.0%}, in one of them {values[worst]:.4g} against {slopes[2][worst]:.4g}",
    )


def _output(case, estimator):
    """A target and the function of X that `attribute` explains for it."""
    if case.kind_of_target == "class":
        label = np.asarray(estimator.classes_)[-1]
        # of several labels a sample the last class is the last column too
        return label, lambda X: np.log(
            np.asarray(estimator.predict_proba(X), dtype=np.float64)[:, -1]
        )
    return 0, lambda X: rows_of(estimator.predict(X))[:, 0].astype(np.float64)
