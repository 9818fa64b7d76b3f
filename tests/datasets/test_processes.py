"""The random processes against closed forms, and against slow loops over the same draws."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.gaussian_process.kernels import Matern

from sgt_sklearn.datasets import _processes

N_TIMES = 50
N_DRAWS = 20_000
# of 2,500 standard normal numbers none is larger, once in 20,000 times
LARGEST_Z = 6.0


def one_set_of_times():
    return _processes.irregular_times(1, N_TIMES, np.random.RandomState(3))


def draws_of(process, times, n_features=10):
    """Many signals at the same times, shape (N_DRAWS, n_times)."""
    many = np.repeat(times, N_DRAWS // n_features, axis=0)
    signals = _processes._SIGNALS[process](many, n_features, np.random.RandomState(0))
    return signals.transpose(0, 2, 1).reshape(N_DRAWS, N_TIMES)


def assert_moments(draws, mean, covariance):
    """Compare moments with those of Gaussian draws, within their standard errors."""
    n = len(draws)
    variance = np.diag(covariance)
    error = np.sqrt(np.where(variance > 0, variance, 1e-20) / n)
    assert np.abs((draws.mean(axis=0) - mean) / error).max() < LARGEST_Z
    found = np.cov(draws.T, ddof=0)
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / n) + 1e-20
    assert np.abs((found - covariance) / error).max() < LARGEST_Z


class NoPerturbation(np.random.RandomState):
    """Normal draws are 0, all else is as it was."""

    def normal(self, loc=0.0, scale=1.0, size=None):
        return np.full(size, loc, dtype=float)


def test_times_are_a_random_half_of_the_grid():
    n = 4000
    times = _processes.irregular_times(n, N_TIMES, NoPerturbation(0))
    grid = np.linspace(0, 20, 100)
    kept = np.isclose(times[:, :, None], grid).any(axis=1)
    assert (kept.sum(axis=1) == N_TIMES).all()  # on the grid, each point at most once
    assert (np.diff(times, axis=1) > 0).all()
    share = kept.mean(axis=0)
    assert np.abs(share - 0.5).max() < 4.5 * 0.5 / math.sqrt(n)
    # without replacement two points repel each other a little: covariance -1/396
    found = np.cov(kept.T, ddof=0)
    off_diagonal = found[~np.eye(100, dtype=bool)]
    assert abs(off_diagonal.mean() + 1 / 396) < 2e-4


class FirstHalf(np.random.RandomState):
    """Uniform draws are in order, all else is as it was."""

    def uniform(self, low=0.0, high=1.0, size=None):
        return np.broadcast_to(np.arange(size[1], dtype=float), size)


def test_size_of_the_perturbation():
    """The mean over a row does not see the sorting."""
    n = 4000
    times = _processes.irregular_times(n, N_TIMES, FirstHalf(0))
    perturbation = times.mean(axis=1) - np.linspace(0, 20, 100)[:N_TIMES].mean()
    sd = 0.2 / math.sqrt(N_TIMES)
    assert abs(perturbation.mean()) < 4.5 * sd / math.sqrt(n)
    assert perturbation.std() == pytest.approx(sd, rel=4.5 / math.sqrt(2 * n))


def test_times_are_perturbed_and_sorted():
    n = 4000
    times = _processes.irregular_times(n, N_TIMES, np.random.RandomState(0))
    assert times.shape == (n, N_TIMES)
    assert (np.diff(times, axis=1) >= 0).all()
    rng = np.random.RandomState(1)
    slow = np.empty_like(times)
    for row in slow:
        chosen = rng.choice(np.linspace(0, 20, 100), size=N_TIMES, replace=False)
        row[:] = sorted(t + 0.2 * rng.standard_normal() for t in chosen)
    error = np.sqrt((times.var(axis=0) + slow.var(axis=0)) / n)
    assert np.abs((times.mean(axis=0) - slow.mean(axis=0)) / error).max() < 4.5
    assert np.abs(np.log(times.std(axis=0) / slow.std(axis=0))).max() < 4.5 / math.sqrt(n)
    # every order statistic, and the gaps that the autoregressive process in time sees
    for column in (0, 10, 49):
        assert stats.ks_2samp(times[:, column], slow[:, column]).pvalue > 1e-4
    assert stats.ks_2samp(np.diff(times)[:, 20], np.diff(slow)[:, 20]).pvalue > 1e-4


def test_harmonic():
    times = one_set_of_times()
    signals = _processes._SIGNALS["harmonic"](times, 3, np.random.RandomState(0))
    for i, t in enumerate(times[0]):
        np.testing.assert_allclose(signals[0, i], math.sin(2 * math.pi * 2 * t), atol=1e-12)


def test_gaussian_process_has_the_matern_covariance():
    times = one_set_of_times()
    covariance = Matern(length_scale=1.0, nu=1.5)(times[0][:, None])
    assert_moments(draws_of("gaussian_process", times), np.zeros(N_TIMES), covariance)


def test_gaussian_process_bears_times_that_coincide():
    times = np.sort(np.r_[np.zeros(5), np.linspace(0, 1e-7, 40), 3, 3, 3, 20, 20])[None]
    signals = _processes._SIGNALS["gaussian_process"](times, 4, np.random.RandomState(0))
    assert np.isfinite(signals).all()
    assert np.ptp(signals[0, :45], axis=0).max() < 1e-3


def test_pseudo_periodic_moments():
    """E sin(w t) and E sin(w t) ** 2 of normal w, by its characteristic function."""
    times = one_set_of_times()
    draws = draws_of("pseudo_periodic", times)
    t = times[0]
    mean = np.sin(2 * t) * np.exp(-((0.01 * t) ** 2) / 2)
    square = (1 + 0.5**2) * (1 - np.cos(4 * t) * np.exp(-2 * (0.01 * t) ** 2)) / 2
    assert np.abs((draws.mean(axis=0) - mean) / (draws.std(axis=0) / 141)).max() < 4.5
    error = (draws**2).std(axis=0) / math.sqrt(N_DRAWS)
    assert np.abs(((draws**2).mean(axis=0) - square) / error).max() < 4.5
    # amplitude and frequency are drawn anew at each point
    correlation = np.corrcoef(draws.T)[~np.eye(N_TIMES, dtype=bool)]
    assert np.abs(correlation).max() < LARGEST_Z / math.sqrt(N_DRAWS)


def test_autoregressive_moments():
    variance = np.zeros(N_TIMES)
    for t in range(N_TIMES):
        variance[t] = 0.25 + (0.81 * variance[t - 1] if t else 0)
    lag = np.abs(np.subtract.outer(np.arange(N_TIMES), np.arange(N_TIMES)))
    covariance = 0.9**lag * np.minimum.outer(variance, variance)  # of the earlier step
    draws = draws_of("autoregressive", one_set_of_times())
    assert_moments(draws, np.zeros(N_TIMES), covariance)


def test_continuous_autoregressive_moments():
    times = one_set_of_times()
    t = times[0]
    variance = np.zeros(N_TIMES)
    for i in range(1, N_TIMES):
        c = 0.9 ** (t[i] - t[i - 1])
        variance[i] = c**2 * variance[i - 1] + 1e-4 * (1 - c)
    gap = np.abs(np.subtract.outer(t, t))
    earlier = np.minimum.outer(np.arange(N_TIMES), np.arange(N_TIMES))
    covariance = 0.9**gap * variance[earlier]
    draws = draws_of("continuous_autoregressive", times)
    assert (draws[:, 0] == 0.01).all()
    assert_moments(draws[:, 1:], (0.01 * 0.9 ** (t - t[0]))[1:], covariance[1:, 1:])


def slow_pseudo_periodic(times, n_features, rng):
    shape = (*times.shape, n_features)
    a, w = rng.normal(1, 0.5, size=shape), rng.normal(2, 0.01, size=shape)
    return each_cell(shape, lambda i, t, j, x: a[i, t, j] * math.sin(w[i, t, j] * times[i, t]))


def slow_autoregressive(times, n_features, rng):
    shape = (*times.shape, n_features)
    noise = rng.normal(size=shape)

    def value(i, t, j, x):
        return 0.9 * (x[i, t - 1, j] if t else 0.0) + 0.5 * noise[i, t, j]

    return each_cell(shape, value)


def slow_continuous_autoregressive(times, n_features, rng):
    noise = rng.normal(size=(len(times), times.shape[1] - 1, n_features))

    def value(i, t, j, x):
        if t == 0:
            return 0.01
        c = 0.9 ** (times[i, t] - times[i, t - 1])
        return c * x[i, t - 1, j] + 0.01 * math.sqrt(1 - c) * noise[i, t - 1, j]

    return each_cell((*times.shape, n_features), value)


def slow_narma(times, n_features, rng):
    shape = (*times.shape, n_features)
    u = rng.uniform(0, 0.5, size=(len(times), 10 + times.shape[1], n_features))

    def value(i, t, j, x):
        last_ten = [x[i, s, j] if s >= 0 else 0.0 for s in range(t - 10, t)]
        y = last_ten[-1]
        # u starts ten steps before the series
        return 0.3 * y + 0.05 * y * sum(last_ten) + 1.5 * u[i, t, j] * u[i, t + 10, j] + 0.1

    return each_cell(shape, value)


def slow_gaussian_process(times, n_features, rng):
    """By the conditional distribution of each point given those before it."""
    noise = rng.normal(size=(*times.shape, n_features))
    signals = np.empty_like(noise)
    for i, t in enumerate(times):
        gap = math.sqrt(3) * np.abs(np.subtract.outer(t, t))
        k = (1 + gap) * np.exp(-gap) + 1e-9 * np.eye(len(t))
        for s in range(len(t)):
            weights = np.linalg.solve(k[:s, :s], k[:s, s])
            spread = math.sqrt(k[s, s] - weights @ k[:s, s])
            signals[i, s] = weights @ signals[i, :s] + spread * noise[i, s]
    return signals


def each_cell(shape, value):
    x = np.zeros(shape)
    for i, t, j in np.ndindex(shape):
        x[i, t, j] = value(i, t, j, x)
    return x


@pytest.mark.parametrize(
    ("process", "slow", "tolerance"),
    [
        ("pseudo_periodic", slow_pseudo_periodic, 1e-12),
        ("autoregressive", slow_autoregressive, 1e-12),
        ("continuous_autoregressive", slow_continuous_autoregressive, 1e-12),
        ("narma", slow_narma, 1e-12),
        ("gaussian_process", slow_gaussian_process, 1e-6),
    ],
)
def test_equals_a_slow_loop(process, slow, tolerance):
    times = _processes.irregular_times(4, N_TIMES, np.random.RandomState(7))
    found = _processes._SIGNALS[process](times, 3, np.random.RandomState(0))
    expected = slow(times, 3, np.random.RandomState(0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_narma_stays_bounded():
    """The square can run away for other coefficients."""
    draws = draws_of("narma", one_set_of_times())
    assert draws.min() >= 0.1
    assert draws.max() < 3


@pytest.mark.parametrize("process", [p for p in _processes._SIGNALS if p != "harmonic"])
def test_features_and_samples_are_independent(process):
    times = one_set_of_times()
    draws = draws_of(process, times, n_features=2)  # features one after the other
    for step in (1, 12, 49):
        features = np.corrcoef(draws[::2, step], draws[1::2, step])[0, 1]
        samples = np.corrcoef(draws[::4, step], draws[2::4, step])[0, 1]
        assert abs(features) < 4.5 / math.sqrt(N_DRAWS / 2)
        assert abs(samples) < 4.5 / math.sqrt(N_DRAWS / 4)


@pytest.mark.parametrize("process", _processes.PROCESSES)
def test_draw_is_the_signal_with_noise(process):
    """Of draws that share times and signal the noise is the difference."""
    shape = (200, N_TIMES, 40)
    draws = _processes.draw_process(process, shape, np.random.RandomState(0))
    rng = np.random.RandomState(0)
    if process == "gaussian":
        noise, sd = draws, 1.0
    else:
        times = _processes.irregular_times(200, N_TIMES, rng)
        noise, sd = draws - _processes._SIGNALS[process](times, 40, rng), 0.3
    assert draws.dtype == np.float64
    z = math.sqrt(noise.size)
    assert abs(noise.mean() / sd) * z < 4.5
    assert abs(noise.std() / sd - 1) * z * math.sqrt(2) < 4.5
    assert stats.kstest(noise.ravel()[::7], "norm", args=(0, sd)).pvalue > 1e-4
    for shifted in (
        noise[1:] * noise[:-1],
        noise[:, 1:] * noise[:, :-1],
        noise[..., 1:] * noise[..., :-1],
    ):
        assert abs(shifted.mean()) / sd**2 * math.sqrt(shifted.size) < 4.5
