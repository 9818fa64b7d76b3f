"""Which columns of X move which outputs of a transformer, by trying."""

import numpy as np
import pandas as pd


def moved_by(transformer, X, n_tries=4, seed=0):
    """For each output of `transformer.transform`, the set of input positions that change it."""
    rng = np.random.default_rng(seed)
    before = dense(transformer.transform(X))
    variants = []
    for i in range(X.shape[1]):
        for _ in range(n_tries):
            order = rng.permutation(len(X))
            changed = X.copy()
            if hasattr(X, "iloc"):
                changed.isetitem(i, X.iloc[order, i].array)
            else:
                changed[:, i] = X[order, i]
            variants.append(changed)
    moved = [set() for _ in range(before.shape[1])]
    for position, after in enumerate(transformed(transformer, X, before, variants)):
        for j in np.flatnonzero(different(before, after)):
            moved[j].add(position // n_tries)
    return moved


def transformed(transformer, X, before, variants):
    """Outputs of each variant of X: of all of them at once, where that changes no bit."""

    def at_once(parts):
        stacked = pd.concat(parts) if hasattr(X, "iloc") else np.concatenate(parts)
        return np.split(dense(transformer.transform(stacked)), len(parts))

    # products of matrices may round otherwise in another place
    if any(different(before, again).any() for again in at_once([X] * len(variants))):
        return [dense(transformer.transform(variant)) for variant in variants]
    return at_once(variants)


def dense(output):
    if hasattr(output, "toarray"):
        output = output.toarray()
    return np.asarray(output, dtype=object)


def different(before, after):
    both_nan = (before != before) & (after != after)
    return ((before != after) & ~both_nan).any(axis=0)


def assert_true_groups(labels, transformer, X, names, combined=False):
    """Outputs that one column moves carry its name; others a label that nothing else has.

    With `combined` an output that one column moves may stand by itself too: bins of a product may
    follow one factor only, on these data.
    """
    moved = moved_by(transformer, X)
    assert len(labels) == len(moved)
    for j, columns in enumerate(moved):
        if len(columns) == 1 and not (combined and labels[j] not in names):
            assert labels[j] == names[next(iter(columns))], (j, labels[j], columns)
        elif columns:
            assert labels[j] not in names, (j, labels[j], columns)
            assert labels.tolist().count(labels[j]) == 1
