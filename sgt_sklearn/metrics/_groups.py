"""Groups of cells: their labels, their order, and the first of them."""

from dataclasses import dataclass

import numpy as np

GROUPS = ("cell", "feature", "pixel", "time", "time_then_feature", "token")


@dataclass(frozen=True)
class Groups:
    """What is ranked and replaced as one.

    Parameters
    ----------
    labels : ndarray of int, shape (n_cells,)
        Labels 0 .. n_groups - 1 of the cells of a sample.
    n_groups : int
        Number of groups.
    nested : bool
        Whether whole groups come first and then single cells of the others.
    """

    labels: np.ndarray
    n_groups: int
    nested: bool = False

    @property
    def single(self):
        """Whether every cell is replaced on its own."""
        return self.nested or self.n_groups == len(self.labels)


@dataclass(frozen=True)
class Sizes:
    """How many groups (cells, where these are nested) are the first, for each fraction.

    Parameters
    ----------
    first : ndarray of int, shape (n_fractions, n_samples)
        Number of groups; of cells where cells are nested in groups.
    whole : ndarray of int, shape (n_fractions, n_samples), or None
        Of nested cells, the groups that are wholly among them.
    """

    first: np.ndarray
    whole: np.ndarray | None = None

    def __len__(self):
        return len(self.first)

    def of(self, fractions, samples):
        """Return the numbers of pairs of a fraction and a sample, by their positions."""
        whole = None if self.whole is None else self.whole[fractions, samples]
        return Sizes(self.first[fractions, samples], whole)


def resolve_groups(net, samples, groups, originals=None):
    """Return the `Groups` of the cells of a sample.

    They are those that a caller names, else those that the user of the estimator has named, else
    the original columns `originals` of the columns, where a pipeline tells them.
    """
    origin, shape = "groups", samples.shape
    if groups is None:
        groups, origin = _groups_of_estimator(net, samples)
        chosen = getattr(net, "feature_groups", None)
        left_open = chosen is None or (isinstance(chosen, str) and chosen == "auto")
        if left_open and originals is not None and originals.shape == shape:
            groups = _by_appearance(originals)
    if isinstance(groups, str):
        return _named_groups(groups, shape, origin)
    labels = np.asarray(groups)
    if labels.shape == (samples.width, *shape[1:]):
        labels = labels[: shape[0]]
    if labels.shape != shape:
        raise ValueError(
            f"{origin} must hold one label a cell, shape X.shape[1:] = {shape} as the final "
            f"estimator sees it, or be one of {GROUPS}, got shape {labels.shape}. Pass `groups=` "
            "with an integer or a string for each cell; cells with the same label are replaced "
            "together."
        )
    if labels.dtype.kind not in "biuUST" and not _all_strings(labels):
        raise TypeError(
            f"{origin} must hold integer or string labels, got dtype {labels.dtype}. Convert "
            "the labels with `.astype(int)`."
        )
    return _of_labels(labels)


def _groups_of_estimator(net, samples):
    shape = samples.shape
    name, labels = getattr(net, "feature_groups", None), getattr(net, "feature_groups_", None)
    if isinstance(name, str) and name != "auto":
        return name, "estimator.feature_groups"
    if labels is None:
        return "cell", "groups"
    labels = np.asarray(labels)
    if labels.shape != shape and isinstance(name, str):
        # of samples of the length met in training
        return ("pixel" if len(shape) == 3 else "cell"), "groups"
    if labels.ndim == len(shape) and (samples.tokens or len(shape) == 2):
        # samples shorter than those in training
        labels = labels[: shape[0]]
    return labels, "estimator.feature_groups_"


def _named_groups(name, shape, origin):
    if name not in GROUPS:
        raise ValueError(
            f"{origin} must be one of {GROUPS}, or labels of shape X.shape[1:] = {shape}, got "
            f"{name!r}."
        )
    n_axes = len(shape)
    if name == "cell" or (name in ("feature", "token") and n_axes == 1):
        labels = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    elif name in ("time", "time_then_feature") and n_axes == 2:
        labels = np.arange(shape[0])[:, None]
    elif name == "feature" and n_axes == 2:
        labels = np.arange(shape[1])
    elif name == "pixel" and n_axes == 3:
        labels = np.arange(shape[1] * shape[2]).reshape(shape[1:])
    else:
        raise ValueError(
            f"{origin} {name!r} does not fit samples of shape {shape}: 'pixel' is for images, "
            "'time' and 'time_then_feature' for series, 'token' for tokens, 'feature' for tables "
            "and series, 'cell' or labels for any input."
        )
    return _of_labels(np.broadcast_to(labels, shape), nested=name == "time_then_feature")


def _of_labels(labels, nested=False):
    values, labels = np.unique(labels, return_inverse=True)
    return Groups(labels.ravel(), len(values), nested)


def _by_appearance(names):
    """Number the names in the order of the columns, so that draws do not depend on them."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names.tolist()))}
    return np.array([numbers[name] for name in names.tolist()])


def _all_strings(labels):
    return labels.dtype == object and all(isinstance(label, str) for label in labels.flat)


def valid_members(valid, groups):
    """Return the number of cells of each group that are no padding, (n_samples, n_groups).

    `valid` has shape (n_samples, n_cells); None counts for one sample that has no padding.
    """
    if valid is None:
        return np.bincount(groups.labels, minlength=groups.n_groups)[None]
    return _sums(valid.astype(np.int64), groups)


def group_sizes(fractions, members, groups, n_samples, *, at_least):
    """Return `Sizes` of the first max(at_least, floor(fraction * G_i)) of the G_i valid groups."""
    n_groups = (members > 0).sum(axis=1)
    if not groups.nested:
        first = np.maximum(at_least, _shares(fractions, n_groups))
        return Sizes(np.broadcast_to(first, (len(fractions), n_samples)))
    first = np.maximum(at_least, _shares(fractions, members.sum(axis=1)))
    whole = _shares(1 - np.sqrt(1 - fractions), n_groups)
    shape = (len(fractions), n_samples)
    return Sizes(np.broadcast_to(first, shape), np.broadcast_to(whole, shape))


def _shares(fractions, counts):
    # 1e-9: .3 * 10 is 2.9999999999999996
    return np.floor(fractions[:, None] * counts + 1e-9).astype(int)


def group_scores(attributions, members, groups):
    """Return the mean absolute attribution of the valid cells of each group.

    `attributions` have shape (n_samples, n_cells) and are 0 on padding.
    """
    return _sums(np.abs(attributions), groups) / np.maximum(members, 1)


def _sums(values, groups):
    order = np.argsort(groups.labels, kind="stable")
    counts = np.bincount(groups.labels, minlength=groups.n_groups)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.add.reduceat(values[:, order], starts, axis=1)


def rank(scores, keys, valid=None):
    """Return the rank of each column by falling score, ties by rising key, padding last."""
    by = (keys, -scores) if valid is None else (keys, -scores, ~valid)
    order = np.lexsort(by, axis=-1)
    ranks = np.empty(scores.shape, dtype=np.int32)
    np.put_along_axis(ranks, order, np.arange(scores.shape[1], dtype=np.int32)[None], axis=1)
    return ranks


def first_cells(ranks, sizes, groups):
    """Mark the cells of the first groups, (n, n_cells); cells of padding may be among them.

    Parameters
    ----------
    ranks : tuple of ndarray of shape (n, n_groups)
        Ranks of the groups; where cells are nested in groups, then those of the cells.
    sizes : Sizes
        Its entries of shape (n,).
    groups : Groups
        The groups.
    """
    if not groups.nested:
        return (ranks[0] < sizes.first[:, None])[:, groups.labels]
    whole = (ranks[0] < sizes.whole[:, None])[:, groups.labels]
    # the best of what is left; as all steps have as many cells, whole ones never exceed `first`
    left = sizes.first - whole.sum(axis=1)
    others = np.where(whole, whole.shape[1], ranks[1])
    return whole | (others.argsort(axis=1).argsort(axis=1) < left[:, None])
