"""Entropy and kurtosis of attributions, against scipy and closed forms."""

import numpy as np
import pytest
from scipy import stats

from sgt_sklearn.metrics import attribution_entropy, attribution_kurtosis


def slow_entropy(sample):
    return stats.entropy(np.abs(np.ravel(sample)).astype(float))


def slow_kurtosis(sample):
    return stats.kurtosis(np.abs(np.ravel(sample)).astype(float), fisher=False)


@pytest.mark.parametrize("shape", [(7, 9), (5, 4, 3), (3, 2, 4, 5)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_equal_scipy(shape, dtype):
    attributions = (10 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    entropy = np.mean([slow_entropy(sample) for sample in attributions])
    kurtosis = np.mean([slow_kurtosis(sample) for sample in attributions])
    assert attribution_entropy(attributions) == pytest.approx(entropy, abs=1e-12)
    assert attribution_kurtosis(attributions) == pytest.approx(kurtosis, rel=1e-12)


@pytest.mark.parametrize("n_cells", [2, 3, 10, 1000])
def test_ends_of_the_range(n_cells):
    one_hot, equal = -3.7 * np.eye(n_cells)[:1], np.full((2, n_cells), -0.3)
    assert attribution_entropy(one_hot) == 0.0
    assert attribution_entropy(equal) == pytest.approx(np.log(n_cells))
    assert attribution_kurtosis(one_hot) == pytest.approx(n_cells - 2 + 1 / (n_cells - 1))
    assert attribution_kurtosis(equal) == 1.0


def test_one_cell():
    assert attribution_entropy([[2.0]]) == 0.0
    assert attribution_kurtosis([[2.0]]) == 1.0


def test_zeros_count_as_equal_cells():
    assert attribution_entropy(np.zeros((2, 4))) == pytest.approx(np.log(4))
    assert attribution_kurtosis(np.zeros((2, 4))) == 1.0


def test_noise_has_the_kurtosis_of_a_half_normal():
    noise = np.random.default_rng(0).standard_normal((1, 2_000_000))
    half = stats.halfnorm.stats(moments="k") + 3
    assert attribution_kurtosis(noise) == pytest.approx(float(half), rel=0.01)


@pytest.mark.parametrize("scale", [-2.0, 1e305, 1e-300])
@pytest.mark.parametrize("metric", [attribution_entropy, attribution_kurtosis])
def test_extreme_scales(metric, scale):
    attributions = np.random.default_rng(1).standard_normal((6, 8))
    assert metric(scale * attributions) == pytest.approx(metric(attributions))
    assert type(metric(attributions.astype(np.float32))) is float


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
@pytest.mark.parametrize(
    ("metric", "slow"),
    [(attribution_entropy, slow_entropy), (attribution_kurtosis, slow_kurtosis)],
)
def test_samples_of_unequal_length(metric, slow, shape):
    rng = np.random.default_rng(2)
    samples = [rng.standard_normal((n, *shape)) for n in (4, 2, 6, 3)]
    expected = np.mean([slow(sample) for sample in samples])
    padded = np.full((4, 8, *shape), np.nan)
    for row, sample in zip(padded, samples, strict=True):
        row[: len(sample)] = sample
    for attributions in (samples, padded, padded[:, :6]):
        assert metric(attributions) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metric", [attribution_entropy, attribution_kurtosis])
@pytest.mark.parametrize(
    ("attributions", "error", "match"),
    [
        ([1.0, 2.0], ValueError, r"attributions must .* got shape \(2,\)"),
        (np.empty((0, 3)), ValueError, r"got shape \(0, 3\)"),
        ([[np.nan, 1.0]], ValueError, "must be finite, got 1 NaN or infinite"),
        ([[1.0], []], ValueError, r"attributions\[1\] must hold at least one cell"),
        ([["a", "b"]], TypeError, "real numbers, got list of dtype <U1"),
    ],
)
def test_bad_input(metric, attributions, error, match):
    with pytest.raises(error, match=match):
        metric(attributions)
