"""Agreement of attributions with a known relevance mask."""

import warnings

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from sgt_sklearn.metrics._checks import check_attributions, check_relevance


def relevance_average_precision(attributions, relevance):
    """Average precision with which attributions rank relevant cells first.

    Per sample, the absolute attribution of a cell is the score and the relevance mask the truth of
    :func:`sklearn.metrics.average_precision_score`.

    Parameters
    ----------
    attributions : array-like of shape (n_samples, n_features) or (n_samples, ...)
        Attributions, samples along the first axis. Signs are ignored.

    relevance : array-like of bool, of the shape of `attributions` or of one sample
        True (or 1) where a cell is relevant. A mask of shape `attributions.shape[1:]` serves all
        samples; an axis of length 1 is repeated, so `(n_samples, 1, height, width)` serves all
        channels.

    Returns
    -------
    float
        Mean over samples, in (0, 1]. Chance is the share of relevant cells, which is also what an
        attribution without any order (all cells equal) gets. Samples without a relevant cell are
        left out of the mean.

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, `relevance` is not boolean, or no sample
        has a relevant cell.
    TypeError
        If an argument does not hold real numbers.

    Warns
    -----
    sklearn.exceptions.UndefinedMetricWarning
        If samples without a relevant cell were left out.

    See Also
    --------
    relevance_mass_accuracy : Share of the attribution that lies inside the mask.

    Examples
    --------
    >>> from sgt_sklearn.metrics import relevance_average_precision
    >>> relevance_average_precision([[0.1, -0.9, 0.2], [0.3, 0.2, 0.1]], [False, True, False])
    0.75
    """
    score, relevant = _valid_samples(attributions, relevance)
    n_samples, n_cells = score.shape
    order = np.argsort(-score, axis=1)
    score = np.take_along_axis(score, order, axis=1)
    hits = np.take_along_axis(relevant, order, axis=1)
    # tied cells enter together: each position takes the precision at the end of its tie
    last = np.ones((n_samples, n_cells), dtype=bool)
    last[:, :-1] = score[:, :-1] != score[:, 1:]
    ends = np.where(last, np.arange(n_cells), n_cells - 1)
    ends = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    found = np.take_along_axis(np.cumsum(hits, axis=1), ends, axis=1)
    precision = found / (ends + 1)
    return float(np.mean((precision * hits).sum(axis=1) / hits.sum(axis=1)))


def relevance_mass_accuracy(attributions, relevance):
    """Share of the absolute attribution that lies inside the relevance mask.

    Parameters
    ----------
    attributions : array-like of shape (n_samples, n_features) or (n_samples, ...)
        Attributions, samples along the first axis. Signs are ignored.

    relevance : array-like of bool, of the shape of `attributions` or of one sample
        True (or 1) where a cell is relevant. A mask of shape `attributions.shape[1:]` serves all
        samples; an axis of length 1 is repeated, so `(n_samples, 1, height, width)` serves all
        channels.

    Returns
    -------
    float
        Mean over samples, in [0, 1]. Chance, for an attribution spread evenly, is the share of
        relevant cells. A sample whose attributions are all zero counts as 0, as
        :func:`sklearn.metrics.precision_score` does without predicted positives. Samples without a
        relevant cell are left out of the mean.

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, `relevance` is not boolean, or no sample
        has a relevant cell.
    TypeError
        If an argument does not hold real numbers.

    Warns
    -----
    sklearn.exceptions.UndefinedMetricWarning
        If samples without a relevant cell were left out.

    See Also
    --------
    relevance_average_precision : Depends on the order of the attributions only.

    References
    ----------
    .. [1] Arras, Osman, Samek, "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of
       neural network explanations", Information Fusion 81, 2022,
       https://arxiv.org/abs/2003.07258.

    Examples
    --------
    >>> from sgt_sklearn.metrics import relevance_mass_accuracy
    >>> relevance_mass_accuracy([[1, -3, 0], [0, 1, 1]], [False, True, False])
    0.625
    """
    score, relevant = _valid_samples(attributions, relevance)
    largest = score.max(axis=1, keepdims=True)
    # the largest cell becomes 1 so that sums of very large or small values stay finite
    scaled = score / np.where(largest > 0, largest, 1.0)
    total = scaled.sum(axis=1)
    inside = np.where(relevant, scaled, 0.0).sum(axis=1)
    return float(np.mean(inside / np.where(total > 0, total, 1.0)))


def _valid_samples(attributions, relevance):
    """Return absolute attributions and mask, flat per sample, of samples with a relevant cell."""
    attributions = check_attributions(attributions)
    n_samples = len(attributions)
    relevant = check_relevance(relevance, attributions).reshape(n_samples, -1)
    score = np.abs(attributions.reshape(n_samples, -1))
    valid = relevant.any(axis=1)
    if not valid.any():
        raise ValueError(
            "relevance must mark at least one relevant cell, got a mask that is False "
            "everywhere. True (or 1) means relevant: check that the mask is not inverted."
        )
    if not valid.all():
        warnings.warn(
            f"{n_samples - np.count_nonzero(valid)} of {n_samples} samples have no relevant cell "
            "and are left out of the mean. Drop them first to silence this warning.",
            UndefinedMetricWarning,
            stacklevel=3,
        )
    return score[valid], relevant[valid]
