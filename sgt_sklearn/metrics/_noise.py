"""A model, samples to add noise to, and what its attributions explain of them."""

import dataclasses
import numbers
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from sgt_sklearn._random import isolated_generators
from sgt_sklearn._statistics import FeatureStatistics
from sgt_sklearn.inspection._methods import METHODS, POWERS
from sgt_sklearn.inspection._unwrap import unwrap
from sgt_sklearn.metrics import _resolve
from sgt_sklearn.metrics._changes import target_scale
from sgt_sklearn.metrics._checks import check_generator, check_n_draws
from sgt_sklearn.metrics._perturbation import MAX_BYTES
from sgt_sklearn.metrics._samples import Samples, read_attributions, read_samples


@dataclass(frozen=True)
class Noisy:
    """An estimator and samples that get noise in units of the spread of their features.

    Parameters
    ----------
    net : estimator
        What is asked.
    samples : Samples
        Its input, floating point.
    spread : ndarray of the shape of one sample
        Standard deviation of each feature in training.
    columns : ndarray of int, shape (n_samples,), or None
        Output that is explained; None is all outputs of a regressor.
    unit : ndarray of shape (n_outputs,) or None
        Standard deviation of y of each output of a regressor.
    n_draws : int
        Noisy copies of each sample.
    rng : RandomState
        Source of the noise.
    seed : int
        Of attribution methods that draw noise themselves.
    """

    net: object
    samples: Samples
    spread: np.ndarray
    columns: np.ndarray | None
    unit: np.ndarray | None
    n_draws: int
    rng: np.random.RandomState
    seed: int

    def parts(self):
        """Yield the rows of batches whose noisy copies have a bounded size."""
        array = self.samples.array
        rows = max(1, MAX_BYTES // max(1, self.n_draws * array[:1].nbytes))
        for start in range(0, len(array), rows):
            yield np.arange(start, min(start + rows, len(array)))

    def noisy(self, values, noise):
        """Return values plus noise, in units of the spread; what is on padding does not count."""
        return (values + noise * self.spread).astype(values.dtype)

    def explains_members(self):
        """Return whether attributions are those of another function than the predictions.

        Those of a classifier ensemble are, as the mean is that of its members' logarithms.
        """
        return self.unit is None and _resolve.is_mean_of_members(self.net)

    def probabilities(self, values, rows, *, of_members=False):
        """Return the probability of the explained class; of regressors the output over its sd.

        `of_members` of a classifier: the geometric mean of the probabilities of its members.
        """
        if of_members:
            return np.exp(self.outputs(values, rows, of_members=True))
        samples = self.samples.restore(values, rows)
        if self.unit is None:
            found = np.asarray(self.net.predict_proba(samples)).astype(np.float64)
            return found[np.arange(len(rows)), self.columns[rows]]
        found = np.asarray(self.net.predict(samples)).astype(np.float64).reshape(len(rows), -1)
        found = found / self.unit
        if self.columns is None:
            return found.sum(axis=1)
        return found[np.arange(len(rows)), self.columns[rows]]

    def outputs(self, values, rows, *, of_members=False):
        """Return the log-probability of the explained class; of regressors the output.

        `of_members` of a classifier: the mean of those of its members.
        """
        if of_members:
            taken = self.samples.taken(values, rows)
            return _resolve.explained_by_members(self.net, taken, self._labels()[rows])
        found = self.probabilities(values, rows)
        if self.unit is not None:
            return found
        return np.log(np.maximum(found, np.finfo(np.float32).tiny))

    def distinction(self):
        """Return how far the prediction of each sample is from the mean, (n_samples,)."""
        if self.unit is None:
            found = np.asarray(self.net.predict_proba(self.samples.whole())).astype(np.float64)
            return np.abs(found - found.mean(axis=0)).sum(axis=1) / 2
        found = np.asarray(self.net.predict(self.samples.whole())).astype(np.float64)
        found = found.reshape(len(found), -1) / self.unit
        return np.abs(found - found.mean(axis=0)).mean(axis=1)

    def attributions(self, values, rows, method, **options):
        """Return attributions per standard deviation of each feature, float64, 0 on padding."""
        taken = self.samples.taken(values, rows)
        units = METHODS[method].units if method in METHODS else "gradient"
        if POWERS[units] and _resolve.has_steps_inside(self.net, taken.whole()):
            raise ValueError(
                f"estimator must be an ensemble whose parts see X for method={method!r}, got a "
                f"{type(self.net).__name__} of pipelines: derivatives are per unit of what their "
                "steps return, and noise is added to X. Put the steps before the ensemble, in one "
                "pipeline."
            )
        target = "predicted" if self.columns is None else self._labels()[rows]
        found = _resolve.compute_attributions(
            self.net, taken, method, target, self.seed, standardized=False, **options
        )
        found = read_attributions(found, taken, type(self.net).__name__)
        return self._in_units(found * self.spread ** POWERS[units], rows)

    def given(self, attributions):
        """Return attributions that a caller passed, per unit of X, in the same units."""
        found = read_attributions(attributions, self.samples, type(self.net).__name__)
        return self._in_units(found * self.spread, slice(None))

    def _in_units(self, attributions, rows):
        if self.unit is None:
            return attributions
        if self.columns is not None:
            unit = self.unit[self.columns[rows]]
            return attributions / unit.reshape(-1, *(1,) * (attributions.ndim - 1))
        # "predicted" of several outputs explains the sum of the standardised ones
        return attributions / self.unit[0] if len(self.unit) == 1 else attributions

    def _labels(self):
        known = getattr(self.net, "classes_", None)
        return (
            self.columns
            if self.unit is not None or known is None
            else np.asarray(known)[self.columns]
        )

    def permuted(self, attributions, rows):
        """Return attributions with the cells of each sample in a random order."""
        flat = attributions.reshape(len(attributions), -1)
        keys = self.rng.random_sample(flat.shape)
        if self.samples.valid is None:
            order = keys.argsort(axis=1)
            return np.take_along_axis(flat, order, axis=1).reshape(attributions.shape)
        valid = self.samples.valid[rows].reshape(flat.shape)
        # the cells of a sample change places among themselves, padding stays where it is
        order = np.where(valid, keys, 2.0).argsort(axis=1)
        places = np.where(valid, 0, 1).argsort(axis=1, kind="stable")
        found = np.empty_like(flat)
        np.put_along_axis(found, places, np.take_along_axis(flat, order, axis=1), axis=1)
        return found.reshape(attributions.shape)


@contextmanager
def noisy_samples(estimator, X, y, *, target, n_draws, random_state):
    """Check what a caller passed, and yield it as `Noisy`; global generators stay as they are."""
    n_draws = check_n_draws(n_draws)
    rng = check_generator(random_state)
    final = unwrap(estimator, X)
    net = final.estimator
    samples = read_samples(final.X, are_tokens=lambda: _resolve.takes_tokens(net))
    if samples.tokens:
        raise ValueError(
            "X must hold numbers to which noise can be added, got ids of tokens. Measure tokens "
            "by comprehensiveness_gap and sufficiency_gap, which replace them."
        )
    _resolve.check_target(net, target, len(samples))
    if samples.array.dtype.kind != "f":
        samples = dataclasses.replace(samples, array=samples.array.astype(np.float64))
    statistics = getattr(net, "_statistics_", None)
    if statistics is None:
        statistics = FeatureStatistics.from_array(samples.array, lengths=samples.lengths)
    spread = np.broadcast_to(statistics.scale, samples.shape)
    seed = int(rng.randint(2**31 - 1))
    # data loaders draw from torch's generator whenever a net predicts
    with isolated_generators(seed=seed):
        columns, unit = _explained(net, samples, y, target)
        yield Noisy(net, samples, spread, columns, unit, n_draws, rng, seed)


def _explained(net, samples, y, target):
    n_samples = len(samples)
    if _resolve.has_classes(net):
        _resolve.check_has_probabilities(net)
        found = np.asarray(net.predict_proba(samples.whole()))
        columns = _resolve.target_columns(net, target, n_samples, found.shape[1])
        return found.argmax(axis=1) if columns is None else columns, None
    found = np.asarray(net.predict(samples.whole())).reshape(n_samples, -1)
    unit = target_scale(net, y, n_samples, found.shape[1])
    unit = np.broadcast_to(unit, found.shape[1:])
    columns = _resolve.target_columns(net, target, n_samples, found.shape[1])
    if columns is None and len(unit) > 1 and not hasattr(net, "target_scale_"):
        raise ValueError(
            "target must be the index of an output for a regressor of several outputs without "
            f'`target_scale_`, got "predicted" with {type(net).__name__}. Pass target=0.'
        )
    return columns, unit


def check_level(value, name):
    """Return `value` as a float if it is a positive number."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(
            f"{name} must be a number above 0, got {value!r} of type {type(value).__name__}."
        )
    if not 0 < value < np.inf:
        raise ValueError(
            f"{name} must be a finite number above 0, in standard deviations of each feature, got "
            f"{value!r}."
        )
    return float(value)
