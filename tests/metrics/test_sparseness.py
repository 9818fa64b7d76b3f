import numpy as np
import pytest

from sgt_sklearn.metrics import gini_sparseness


def slow_gini(sample):
    """Mean absolute difference of all pairs of cells over twice the mean: the textbook Gini."""
    cells = [abs(float(value)) for value in np.ravel(sample)]
    total = sum(cells)
    if total == 0:
        return 0.0
    differences = sum(abs(a - b) for a in cells for b in cells)
    return differences / (2 * len(cells) * total)


@pytest.mark.parametrize("shape", [(7, 9), (5, 4, 3), (3, 2, 4, 5), (4, 1)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_equals_the_pairwise_definition(shape, dtype):
    attributions = (10 * np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    expected = np.mean([slow_gini(sample) for sample in attributions])
    assert gini_sparseness(attributions) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n_cells", [1, 2, 10, 1000])
def test_one_hot_and_constant(n_cells):
    one_hot = -3.7 * np.eye(n_cells)[:1]
    assert gini_sparseness(one_hot) == pytest.approx(1 - 1 / n_cells, abs=1e-12)
    assert gini_sparseness(np.full((2, n_cells), -0.3)) == pytest.approx(0, abs=1e-12)


def test_zero_attributions_count_as_zero():
    assert gini_sparseness(np.zeros((2, 4))) == 0.0
    assert gini_sparseness([[0, 0, 0, 5.0], [0, 0, 0, 0]]) == 0.375


def test_invariant_to_scale_sign_and_order():
    attributions = np.random.default_rng(1).standard_normal((6, 8))
    value = gini_sparseness(attributions)
    assert gini_sparseness(-2 * attributions) == pytest.approx(value)
    assert gini_sparseness(attributions[:, ::-1]) == pytest.approx(value)
    assert gini_sparseness(1e305 * attributions) == pytest.approx(value)
    assert gini_sparseness(1e-300 * attributions) == pytest.approx(value)


def test_returns_a_python_float():
    assert type(gini_sparseness(np.ones((2, 2), dtype=np.float32))) is float


@pytest.mark.parametrize(
    ("attributions", "error", "match"),
    [
        ([1.0, 2.0], ValueError, r"attributions must .* got shape \(2,\)"),
        (np.empty((0, 3)), ValueError, r"got shape \(0, 3\)"),
        (np.empty((3, 0)), ValueError, r"got shape \(3, 0\)"),
        ([[np.nan, 1.0]], ValueError, "must be finite, got 1 NaN or infinite"),
        ([[np.nan, np.nan]], ValueError, "must be finite, got 2 NaN or infinite"),
        ([[1.0, -np.inf]], ValueError, "must be finite"),
        ([[[1.0]], [1.0, 2.0]], ValueError, "attributions must be convertible"),
        ([[1.0], [1.0, np.nan]], ValueError, r"attributions\[1\] must be finite"),
        ([[1.0], []], ValueError, r"attributions\[1\] must hold at least one cell"),
        ([["a", "b"]], TypeError, "real numbers, got list of dtype <U1"),
        ([[1j, 2j]], TypeError, "real numbers"),
    ],
)
def test_bad_input(attributions, error, match):
    with pytest.raises(error, match=match):
        gini_sparseness(attributions)


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_samples_of_unequal_length(shape):
    rng = np.random.default_rng(2)
    samples = [rng.standard_normal((n, *shape)) for n in (4, 1, 6, 3)]
    samples[3][:] = 0
    expected = np.mean([slow_gini(sample) for sample in samples])
    padded = np.full((4, 8, *shape), np.nan)
    for row, sample in zip(padded, samples, strict=True):
        row[: len(sample)] = sample
    for attributions in (samples, padded, padded[:, :6]):
        assert gini_sparseness(attributions) == pytest.approx(expected, abs=1e-12)
