"""The random processes of the time series with known relevance.

A signal takes the time points, shape (n_samples, n_timesteps), the number of features and a
``RandomState``, and returns one signal a feature, shape (n_samples, n_timesteps, n_features).
"""

import numpy as np

_NARMA_ORDER = 10


def _harmonic(times, n_features, rng):
    return np.repeat(np.sin(4 * np.pi * times)[:, :, None], n_features, axis=2)


def _pseudo_periodic(times, n_features, rng):
    shape = (*times.shape, n_features)
    amplitude, frequency = rng.normal(1, 0.5, size=shape), rng.normal(2, 0.01, size=shape)
    return amplitude * np.sin(frequency * times[:, :, None])


def _gaussian_process(times, n_features, rng):
    distance = np.sqrt(3) * np.abs(times[:, :, None] - times[:, None, :])
    covariance = (1 + distance) * np.exp(-distance)
    # times that nearly coincide make the covariance singular in floating point
    covariance += 1e-9 * np.eye(times.shape[1])
    return np.linalg.cholesky(covariance) @ rng.normal(size=(*times.shape, n_features))


def _autoregressive(times, n_features, rng):
    x = rng.normal(0, 0.5, size=(*times.shape, n_features))
    for t in range(1, times.shape[1]):
        x[:, t] += 0.9 * x[:, t - 1]
    return x


def _continuous_autoregressive(times, n_features, rng):
    decay = 0.9 ** np.diff(times, axis=1)[:, :, None]
    x = np.full((*times.shape, n_features), 0.01)
    x[:, 1:] = 0.01 * np.sqrt(1 - decay) * rng.normal(size=x[:, 1:].shape)
    for t in range(1, times.shape[1]):
        x[:, t] += decay[:, t - 1] * x[:, t - 1]
    return x


def _narma(times, n_features, rng):
    order = _NARMA_ORDER
    n_samples, n_timesteps = times.shape
    u = rng.uniform(0, 0.5, size=(n_samples, order + n_timesteps, n_features))
    y = np.zeros_like(u)
    for t in range(order, order + n_timesteps):
        last = y[:, t - 1]
        y[:, t] = 0.3 * last + 0.05 * last * y[:, t - order : t].sum(axis=1)
        y[:, t] += 1.5 * u[:, t - order] * u[:, t] + 0.1
    return y[:, order:]


_SIGNALS = {
    "harmonic": _harmonic,
    "gaussian_process": _gaussian_process,
    "pseudo_periodic": _pseudo_periodic,
    "autoregressive": _autoregressive,
    "continuous_autoregressive": _continuous_autoregressive,
    "narma": _narma,
}

PROCESSES = ("gaussian", *_SIGNALS)


def draw_process(process, shape, rng):
    """Draw series of one process.

    Parameters
    ----------
    process : str
        One of ``PROCESSES``.
    shape : tuple of (n_samples, n_timesteps, n_features)
        How many.
    rng : RandomState
        Source of the draws.

    Returns
    -------
    ndarray of float64, of that shape
        Independent N(0, 1), or a signal at irregular times with noise.
    """
    if process == "gaussian":
        return rng.normal(size=shape)
    times = irregular_times(*shape[:2], rng)
    return _SIGNALS[process](times, shape[2], rng) + rng.normal(0, 0.3, size=shape)


def irregular_times(n_samples, n_timesteps, rng):
    """Draw sorted time points in about [0, 20]: half of a grid, moved a little.

    Parameters
    ----------
    n_samples, n_timesteps : int
        How many.
    rng : RandomState
        Source of the draws.

    Returns
    -------
    ndarray of shape (n_samples, n_timesteps)
        Times, ascending along axis 1.
    """
    grid = np.linspace(0, 20, 2 * n_timesteps)
    # the first half of a random order is a draw without replacement
    kept = np.argsort(rng.uniform(size=(n_samples, len(grid))), axis=1)[:, :n_timesteps]
    return np.sort(grid[kept] + rng.normal(0, 0.2, size=kept.shape), axis=1)
