"""The statistics of features against numpy in at least double precision."""

import numpy as np
import pytest

from sgt_sklearn._statistics import FeatureStatistics, feature_axes

SHAPES = {
    "table": ((50, 4), (0,)),
    "one column": ((50, 1), (0,)),
    "series": ((20, 7, 3), (0, 1)),
    "images": ((20, 2, 5, 6), (0, 2, 3)),
    "volumes": ((9, 2, 3, 4, 5), (0, 2, 3, 4)),
    "long table": ((10_001, 3), (0,)),
    "one row": ((1, 3), (0,)),
}
NAMES = ("minimum", "maximum", "mean", "scale")


def data(shape, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape)
    channel = [1] * len(shape)
    axis = 1 if len(shape) != 3 else 2
    channel[axis] = shape[axis]
    spread = np.logspace(-3, 3, shape[axis]).reshape(channel)
    return (values * spread + 10 * spread * (rng.random(channel) - 0.5)).astype(dtype)


def reference(X, axes):
    X = X.astype(np.longdouble)
    mean = X.mean(axes, keepdims=True)
    return {
        "minimum": X.min(axes, keepdims=True),
        "maximum": X.max(axes, keepdims=True),
        "mean": mean,
        "scale": np.sqrt(((X - mean) ** 2).mean(axes, keepdims=True)),
    }


def assert_equal_to_reference(statistics, X, axes, rtol=1e-12):
    for name, expected in reference(X, axes).items():
        value = getattr(statistics, name)
        assert value.dtype == np.float64
        assert np.broadcast_shapes(value.shape, X.shape[1:]) == X.shape[1:]
        np.testing.assert_allclose(
            np.broadcast_to(value, X.shape[1:]),
            np.broadcast_to(expected[0].astype(np.float64), X.shape[1:]),
            rtol=rtol,
            atol=1e-15,
            err_msg=name,
        )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("name", SHAPES)
def test_statistics_of_an_array_are_those_of_numpy_in_double_precision(name, dtype):
    shape, axes = SHAPES[name]
    X = data(shape, dtype)
    assert feature_axes(len(shape)) == axes
    assert_equal_to_reference(FeatureStatistics.from_array(X), X, axes)


@pytest.mark.parametrize("name", ["table", "series", "images", "volumes"])
@pytest.mark.parametrize("sizes", [[1], [3], [1, 5, 2], [9], [100]], ids=str)
def test_chunks_of_any_size_give_the_statistics_of_the_whole(name, sizes):
    shape, axes = SHAPES[name]
    X = data(shape)
    chunks, start = [], 0
    while start < len(X):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(X[start : start + size])
        start += size
    statistics = FeatureStatistics.from_batches((chunk, None) for chunk in chunks)
    assert_equal_to_reference(statistics, X, axes)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_whole_numbers_are_counted_in_double_precision(dtype):
    X = np.random.default_rng(0).integers(0, 200, (30, 3)).astype(dtype)
    assert_equal_to_reference(FeatureStatistics.from_array(X), X, (0,))


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda X: X[::-1], lambda X: X[:, ::-1]])
def test_statistics_do_not_depend_on_the_memory_layout(layout):
    X = layout(data((50, 4)))
    assert_equal_to_reference(FeatureStatistics.from_array(X), X, (0,))


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_a_large_mean_does_not_swallow_a_small_spread(offset):
    X = data((9_000, 2)) * [1.0, 1e-6] + offset
    assert_equal_to_reference(FeatureStatistics.from_array(X), X, (0,), rtol=1e-7)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -1e30, 1e-30, 123456.789])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(7, 3), (10_001, 3), (11, 5, 3), (11, 3, 5, 5)], ids=str)
def test_the_scale_of_a_constant_feature_is_exactly_zero(value, dtype, shape):
    X = data(shape, dtype)
    index = (slice(None), slice(None), 1) if len(shape) == 3 else (slice(None), 1)
    X[index] = value
    statistics = FeatureStatistics.from_array(X)
    scale = statistics.scale.ravel()
    assert scale[1] == 0
    assert (scale[[0, 2]] > 0).all()
    constant = X[index].ravel()[0]
    assert statistics.minimum.ravel()[1] == statistics.maximum.ravel()[1] == constant
    assert statistics.mean.ravel()[1] == pytest.approx(constant, rel=1e-12)


def test_a_feature_that_changes_in_one_chunk_only_is_not_constant():
    X = np.ones((9_000, 1))
    X[4_500] = 2
    assert FeatureStatistics.from_array(X).scale[0] == pytest.approx(X.std())


@pytest.mark.parametrize("shape", [(6_000, 3), (300, 4, 3), (30, 3, 4, 4)], ids=str)
def test_a_factor_of_a_power_of_two_is_exact(shape):
    X = data(shape)
    one, other = (FeatureStatistics.from_array(Z) for Z in (X, 1024 * X))
    for name in NAMES:
        np.testing.assert_array_equal(1024 * getattr(one, name), getattr(other, name))


def test_the_data_are_not_written_to():
    X = data((50, 4))
    X.flags.writeable = False
    FeatureStatistics.from_array(X)
