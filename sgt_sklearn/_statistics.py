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
    def from_array(cls, X, weight=None, lengths=None):
        """Statistics of an array of shape (n_samples, ...), accumulated in float64.

        `lengths` tells the steps of each series, shape (n_samples,), where later ones are padding.
        """
        if lengths is not None:
            X, weight = steps_of(X, lengths, weight)
        parts = [slice(start, start + _CHUNK) for start in range(0, len(X), _CHUNK)]
        return cls.from_batches((X[p], None if weight is None else weight[p]) for p in parts)

    @classmethod
    def from_batches(cls, batches):
        """Statistics of a stream of (array of shape (batch, ...), weights of its rows or None)."""
        count, mean, squares, minimum, maximum = 0, 0.0, 0.0, np.inf, -np.inf
        for batch, weight in batches:
            batch = np.asarray(batch, dtype=np.float64)
            axes = feature_axes(batch.ndim)
            minimum = np.minimum(minimum, batch.min(axes))
            maximum = np.maximum(maximum, batch.max(axes))
            size, batch_mean, batch_squares = _moments(batch, weight, axes)
            # the pairwise update of Chan, Golub and LeVeque (1983): exact merging of moments
            delta = batch_mean - mean
            total = count + size
            mean = mean + delta * (size / total)
            squares = squares + batch_squares + delta**2 * (count * size / total)
            count, ndim = total, batch.ndim
        # rounding must not turn a constant feature into one with a tiny spread
        scale = np.where(minimum == maximum, 0.0, np.sqrt(squares / count))
        shape = minimum.shape + (1,) * (ndim - 2 if ndim > 3 else 0)
        return cls(*(a.reshape(shape) for a in (minimum, maximum, mean, scale)))


def _moments(batch, weight, axes):
    """Summed weight, mean and summed squared deviation of each feature."""
    if weight is None:
        mean = batch.mean(axes, keepdims=True)
        size = batch.size // mean.size
        return size, mean.squeeze(axes), ((batch - mean) ** 2).sum(axes)
    weight = np.asarray(weight, dtype=np.float64).reshape(-1, *(1,) * (batch.ndim - 1))
    mean = (weight * batch).sum(axes, keepdims=True)
    size = weight.sum() * (batch.size // mean.size // len(batch))
    mean = mean / size
    return size, mean.squeeze(axes), (weight * (batch - mean) ** 2).sum(axes)


def steps_of(X, lengths, weight=None):
    """Steps of all series, shape (n_steps, n_features), and the weights of their series."""
    steps = X[np.arange(X.shape[1]) < np.asarray(lengths)[:, None]]
    return steps, None if weight is None else np.repeat(weight, lengths)


def feature_axes(ndim):
    """Axes over which the statistics of one feature are taken."""
    if ndim < 3:
        return (0,)
    if ndim == 3:
        return (0, 1)
    return (0, *range(2, ndim))
