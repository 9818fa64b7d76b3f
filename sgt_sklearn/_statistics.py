"""Statistics of the training features: one set a fit, for fills, ranking and standardisation."""

import dataclasses

import numpy as np

_CHUNK = 4096


@dataclasses.dataclass(frozen=True)
class FeatureStatistics:
    """Range, mean and population standard deviation of each feature.

    A feature is a column of a table, a feature of a series (over samples and times) or a channel
    of an image (over samples and pixels). The arrays broadcast to one sample.
    """

    minimum: np.ndarray
    maximum: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def from_array(cls, X):
        """Statistics of an array of shape (n_samples, ...), accumulated in float64."""
        return cls.from_batches(X[i : i + _CHUNK] for i in range(0, len(X), _CHUNK))

    @classmethod
    def from_batches(cls, batches):
        """Statistics of a stream of arrays of shape (batch, ...)."""
        count, mean, squares, minimum, maximum = 0, 0.0, 0.0, np.inf, -np.inf
        for batch in batches:
            batch = np.asarray(batch, dtype=np.float64)
            axes, size = feature_axes(batch.ndim), batch.size
            minimum = np.minimum(minimum, batch.min(axes))
            maximum = np.maximum(maximum, batch.max(axes))
            size //= minimum.size
            batch_mean = batch.mean(axes, keepdims=True)
            batch_squares = ((batch - batch_mean) ** 2).sum(axes)
            # the pairwise update of Chan, Golub and LeVeque (1983): exact merging of moments
            delta = batch_mean.reshape(minimum.shape) - mean
            total = count + size
            mean = mean + delta * (size / total)
            squares = squares + batch_squares + delta**2 * (count * size / total)
            count, ndim = total, batch.ndim
        # rounding must not turn a constant feature into one with a tiny spread
        scale = np.where(minimum == maximum, 0.0, np.sqrt(squares / count))
        shape = minimum.shape + (1,) * (ndim - 2 if ndim > 3 else 0)
        return cls(*(a.reshape(shape) for a in (minimum, maximum, mean, scale)))


def feature_axes(ndim):
    """Axes over which the statistics of one feature are taken."""
    if ndim < 3:
        return (0,)
    if ndim == 3:
        return (0, 1)
    return (0, *range(2, ndim))
