"""Replacing groups of cells in order of their attribution, and in a random order."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_random_state

from sgt_sklearn.metrics import _resolve
from sgt_sklearn.metrics._checks import as_numeric_array, check_n_draws, check_option

# size of the array given to one predict call
MAX_BYTES = 2**25
REPLACEMENTS = ("marginal", "mean")


@dataclass(frozen=True)
class Experiment:
    """An estimator, data in its input space, and what perturbing them needs."""

    net: object
    X: np.ndarray
    wrap: object
    labels: np.ndarray
    scores: np.ndarray
    replacement: object
    n_draws: int
    random_state: object

    @property
    def n_samples(self):
        return len(self.X)

    @property
    def n_groups(self):
        return self.scores.shape[1]

    def ask(self, method, X):
        """Return `net.method(X)` of an array in bounded batches."""
        rows = rows_per_call(self.X)
        ask = getattr(self.net, method)
        parts = [np.asarray(ask(self.wrap(X[i : i + rows]))) for i in range(0, len(X), rows)]
        return np.concatenate(parts)

    def draws(self, with_random):
        """Yield replacement values (n_samples, n_cells) and ranks of the orders, draw by draw.

        Ranks have shape (n_orders, n_samples, n_groups), 0 = first: by attribution, then, if
        `with_random`, at random. Both orders of a draw meet the same replacement values, and
        cells with equal attributions are ordered as in the random order: what the two have in
        common cancels in their difference.
        """
        rng = check_random_state(self.random_state)
        for _ in range(self.n_draws):
            keys = rng.random_sample(self.scores.shape)
            values = draw_replacement(self.X, self.labels, self.n_groups, self.replacement, rng)
            ranks = [rank_groups(self.scores, keys)]
            if with_random:
                ranks.append(rank_groups(np.zeros_like(keys), keys))
            yield values, np.stack(ranks)

    def replaced(self, values, ranks, sizes, *, keep=False, rows=None):
        """Yield X with the first groups replaced, in batches of at most `rows` samples.

        Samples run over all orders, sizes and rows of X, the last fastest. With `keep` all but
        the first groups are replaced.
        """
        n_samples = self.n_samples
        flat = self.X.reshape(n_samples, -1)
        dtype = np.result_type(flat, values)
        total = len(ranks) * len(sizes) * n_samples
        rows = rows_per_call(self.X) if rows is None else rows
        for start in range(0, total, rows):
            block, sample = divmod(np.arange(start, min(start + rows, total)), n_samples)
            order, size = divmod(block, len(sizes))
            hidden = (ranks[order, sample] < sizes[size][:, None]) != keep
            batch = flat[sample].astype(dtype, copy=False)
            np.copyto(batch, values[sample], where=hidden[:, self.labels])
            yield batch.reshape(-1, *self.X.shape[1:])

    def respond(self, method, values, ranks, sizes, *, keep=False):
        """Return the outputs for replaced X, shape (n_orders, n_sizes, n_samples, ...)."""
        batches = self.replaced(values, ranks, sizes, keep=keep)
        outputs = np.concatenate([self.ask(method, batch) for batch in batches])
        return outputs.reshape(len(ranks), len(sizes), self.n_samples, *outputs.shape[1:])


def prepare(
    estimator, X, *, attributions, method, target, replacement, n_draws, groups, random_state
):
    """Check what a caller passed and return it as an `Experiment`."""
    if not callable(replacement):
        check_option(replacement, "replacement", REPLACEMENTS, " or a callable (X, rng) -> array")
    n_draws = check_n_draws(n_draws)
    check_random_state(random_state)
    net, X = _resolve.resolve_estimator(estimator, X)
    X, wrap = _resolve.check_input(X)
    if isinstance(replacement, str) and replacement == "marginal" and len(X) < 2:
        raise ValueError(
            'X must have at least 2 samples for replacement="marginal", which takes values of '
            f'another sample, got {len(X)}. Use replacement="mean" with more rows or a callable.'
        )
    labels, n_groups = _resolve.resolve_groups(net, X.shape[1:], groups)
    attributions = _resolve.compute_attributions(
        net, X, wrap, attributions, method, target, random_state
    )
    scores = group_scores(attributions.reshape(len(X), -1), labels, n_groups)
    return Experiment(net, X, wrap, labels, scores, replacement, n_draws, random_state)


def rows_per_call(X):
    """Return how many samples of X one predict call gets."""
    return max(1, MAX_BYTES // max(1, X[:1].nbytes))


def group_sizes(fractions, n_groups, *, at_least):
    """Return k = max(at_least, floor(f * n_groups)) for each fraction f."""
    # 1e-9: .3 * 10 is 2.9999999999999996
    return np.maximum(at_least, np.floor(fractions * n_groups + 1e-9).astype(int))


def group_scores(attributions, labels, n_groups):
    """Return the mean absolute attribution of each group, (n_samples, n_groups)."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=n_groups)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.add.reduceat(np.abs(attributions[:, order]), starts, axis=1) / counts


def rank_groups(scores, keys):
    """Return the rank of each group by falling score, ties by rising key."""
    order = np.lexsort((keys, -scores), axis=-1)
    ranks = np.empty(scores.shape, dtype=np.int32)
    np.put_along_axis(ranks, order, np.arange(scores.shape[1], dtype=np.int32)[None], axis=1)
    return ranks


def draw_replacement(X, labels, n_groups, replacement, rng):
    """Return one value for every cell of X, shape (n_samples, n_cells)."""
    n_samples = len(X)
    if callable(replacement):
        values = as_numeric_array(replacement(X.copy(), rng), "replacement")
        if values.shape != X.shape:
            raise ValueError(
                f"replacement must return an array of the shape of X, {X.shape}, got "
                f"{values.shape}. It is called as replacement(X, rng)."
            )
        return values.reshape(n_samples, -1)
    flat = X.reshape(n_samples, -1)
    if replacement == "marginal":
        # a shift of 1 .. n - 1 rows is uniform over the other samples
        shift = rng.randint(1, n_samples, size=(n_samples, n_groups), dtype=np.int32)
        donors = (np.arange(n_samples, dtype=np.int32)[:, None] + shift) % n_samples
        return flat[donors[:, labels], np.arange(flat.shape[1])]
    feature_axis = X.ndim - 1 if X.ndim <= 3 else 1
    others = tuple(axis for axis in range(X.ndim) if axis != feature_axis)
    mean = X.mean(axis=others, dtype=np.float64, keepdims=True)
    dtype = X.dtype if X.dtype.kind == "f" else np.float64
    return np.broadcast_to(mean.astype(dtype), X.shape).reshape(n_samples, -1)
