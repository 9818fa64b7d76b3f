"""Replacing groups of cells in order of their attribution, and in a random order."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_random_state

from sgt_sklearn.inspection._unwrap import unwrap
from sgt_sklearn.metrics import _groups, _resolve
from sgt_sklearn.metrics._checks import check_n_draws
from sgt_sklearn.metrics._replacement import (
    check_replacement,
    draw_replacement,
    resolve_replacement,
)
from sgt_sklearn.metrics._samples import Samples, read_attributions, read_samples

# size of the array given to one predict call
MAX_BYTES = 2**25


@dataclass(frozen=True)
class Experiment:
    """An estimator, samples in its input space, and what perturbing them needs.

    Parameters
    ----------
    net : estimator
        What is asked.
    samples : Samples
        Its input.
    groups : Groups
        What is ranked and replaced as one.
    scores : tuple of ndarray of shape (n_samples, n_groups)
        Mean absolute attributions of the groups; where cells are nested in them, then those of
        the cells.
    members : ndarray of int, shape (n_samples or 1, n_groups)
        Number of cells of each group that are no padding.
    replacement : str or callable
        What replaces them.
    n_draws : int
        How often replacement and random order are drawn.
    random_state : int, RandomState instance or None
        Source of the draws.
    """

    net: object
    samples: Samples
    groups: _groups.Groups
    scores: tuple
    members: np.ndarray
    replacement: object
    n_draws: int
    random_state: object

    @property
    def n_samples(self):
        """Number of samples."""
        return len(self.samples)

    def sizes(self, fractions, *, at_least):
        """Return how many groups of each sample are the first, for each fraction."""
        return _groups.group_sizes(
            fractions, self.members, self.groups, self.n_samples, at_least=at_least
        )

    def predict(self, method):
        """Return `net.method` of the samples, asked in bounded batches."""
        rows = self._rows_per_call()
        array, everyone = self.samples.array, np.arange(self.n_samples)
        batches = (
            self.samples.restore(array[i : i + rows], everyone[i : i + rows])
            for i in range(0, self.n_samples, rows)
        )
        return self._ask(method, batches)

    def draws(self, with_random):
        """Yield replacement values (n_samples, n_cells) and ranks of the orders, draw by draw.

        Ranks are a tuple of arrays of shape (n_orders, n_samples, n_groups), 0 = first: by
        attribution, then, if `with_random`, at random. Both orders of a draw meet the same
        replacement values, and groups with equal attributions are ordered as in the random order:
        what the two have in common cancels in their difference.
        """
        rng = check_random_state(self.random_state)
        for _ in range(self.n_draws):
            keys = [rng.random_sample(scores.shape) for scores in self.scores]
            values = draw_replacement(self.samples, self.groups, self.replacement, rng)
            ranks = tuple(
                self._ranks(*level, with_random)
                for level in zip(self.scores, keys, self._valid_levels(), strict=True)
            )
            yield values, ranks

    def replaced(self, values, ranks, sizes, *, keep=False, rows=None):
        """Yield X with the first groups replaced, in batches of at most `rows` samples.

        Samples run over all orders, sizes and rows of X, the last fastest. With `keep` all but
        the first groups are replaced.
        """
        n_samples, samples = self.n_samples, self.samples
        flat = samples.array.reshape(n_samples, -1)
        valid = self._valid_cells()
        dtype = np.result_type(flat, values)
        total = len(ranks[0]) * len(sizes) * n_samples
        rows = self._rows_per_call() if rows is None else rows
        for start in range(0, total, rows):
            block, sample = divmod(np.arange(start, min(start + rows, total)), n_samples)
            order, size = divmod(block, len(sizes))
            first = _groups.first_cells(
                tuple(level[order, sample] for level in ranks),
                sizes.of(size, sample),
                self.groups,
            )
            hidden = first != keep
            if valid is not None:
                hidden &= valid[sample]
            batch = flat[sample].astype(dtype, copy=False)
            np.copyto(batch, values[sample], where=hidden)
            yield samples.restore(batch.reshape(-1, *samples.shape), sample)

    def respond(self, method, values, ranks, sizes, *, keep=False):
        """Return the outputs for replaced X, shape (n_orders, n_sizes, n_samples, ...)."""
        outputs = self._ask(method, self.replaced(values, ranks, sizes, keep=keep))
        return outputs.reshape(len(ranks[0]), len(sizes), self.n_samples, *outputs.shape[1:])

    def _ask(self, method, batches):
        ask = getattr(self.net, method)
        return np.concatenate([np.asarray(ask(batch)) for batch in batches])

    def _rows_per_call(self):
        return max(1, MAX_BYTES // max(1, self.samples.array[:1].nbytes))

    def _valid_cells(self):
        valid = self.samples.valid
        return None if valid is None else valid.reshape(self.n_samples, -1)

    def _valid_levels(self):
        """Yield which groups, and then which cells nested in them, are not padding."""
        valid = self._valid_cells()
        yield None if valid is None else self.members > 0
        if self.groups.nested:
            yield valid

    def _ranks(self, scores, keys, valid, with_random):
        ranks = [_groups.rank(scores, keys, valid)]
        if with_random:
            ranks.append(_groups.rank(np.zeros_like(keys), keys, valid))
        return np.stack(ranks)


def prepare(
    estimator, X, *, attributions, method, target, replacement, n_draws, groups, random_state
):
    """Check what a caller passed and return it as an `Experiment`."""
    replacement = check_replacement(replacement)
    n_draws = check_n_draws(n_draws)
    check_random_state(random_state)
    final = unwrap(estimator, X)
    net = final.estimator
    samples = read_samples(
        final.X,
        are_tokens=lambda: replacement == "unknown" or _resolve.takes_tokens(net),
    )
    _resolve.check_target(net, target, len(samples))
    replacement = resolve_replacement(replacement, samples)
    groups = _groups.resolve_groups(net, samples, groups, final.groups)
    if attributions is None:
        attributions = _resolve.compute_attributions(net, samples, method, target, random_state)
    values = read_attributions(attributions, samples, type(net).__name__)
    values = values.reshape(len(samples), -1)
    valid = None if samples.valid is None else samples.valid.reshape(len(samples), -1)
    members = _groups.valid_members(valid, groups)
    scores = (_groups.group_scores(values, members, groups),)
    if groups.nested:
        scores = (*scores, np.abs(values))
    return Experiment(net, samples, groups, scores, members, replacement, n_draws, random_state)
