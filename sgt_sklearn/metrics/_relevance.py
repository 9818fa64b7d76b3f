"""Agreement of attributions with a known relevance mask."""

import numpy as np

from sgt_sklearn.metrics._relevance_input import PADDING, read_samples, with_relevance_parameters


@with_relevance_parameters
def relevance_average_precision(attributions, relevance):
    r"""Average precision with which attributions rank relevant cells first.

    Per sample, the absolute attribution of a cell is the score and the relevance mask the truth of
    :func:`sklearn.metrics.average_precision_score`.

    Parameters
    ----------
    {{arguments}}

    Returns
    -------
    float
        Mean over samples, in (0, 1]. An attribution without any order (all cells equal) gets the
        share of relevant cells, a random order slightly more (Notes). Samples without a relevant
        cell are left out of the mean.

    Raises
    ------
    {{raises}}

    Warns
    -----
    {{warns}}

    See Also
    --------
    relevance_roc_auc : Depends on the order of the attributions only, too; chance is 0.5.
    relevance_mass_accuracy : Share of the attribution that lies inside the mask.

    Notes
    -----
    With k of n cells relevant, random orders average
    :math:`\frac{1}{n}\left(H_n + \frac{k-1}{n-1}(n - H_n)\right)` where
    :math:`H_n = 1 + \frac12 + \dots + \frac1n`: .099 for 240 of 2,500 cells, .45 for 3 of 10.

    Examples
    --------
    >>> from sgt_sklearn.metrics import relevance_average_precision
    >>> relevance_average_precision([[0.1, -0.9, 0.2], [0.3, 0.2, 0.1]], [False, True, False])
    0.75

    Samples of unequal length:

    >>> relevance_average_precision([[0.1, -0.9], [0.3, 0.2, 0.1]], [[0, 1], [0, 1, 0]])
    0.75
    """
    hits, _, ends, _ = _ranked(*read_samples(attributions, relevance))
    # tied cells enter together: each position takes the precision at the end of its tie
    found = np.take_along_axis(np.cumsum(hits, axis=1), ends, axis=1)
    precision = found / (ends + 1)
    return float(np.mean((precision * hits).sum(axis=1) / hits.sum(axis=1)))


@with_relevance_parameters
def relevance_roc_auc(attributions, relevance):
    """Probability that a relevant cell has more attribution than an irrelevant one.

    Per sample, the absolute attribution of a cell is the score and the relevance mask the truth of
    :func:`sklearn.metrics.roc_auc_score`; ties count half.

    Parameters
    ----------
    {{arguments}}

    Returns
    -------
    float
        Mean over samples, in [0, 1]. Chance is 0.5, which is also what an attribution without any
        order (all cells equal) gets. Samples without a relevant or without an irrelevant cell are
        left out of the mean.

    Raises
    ------
    {{raises}}

    Warns
    -----
    sklearn.exceptions.UndefinedMetricWarning
        If samples without a relevant or without an irrelevant cell were left out.

    See Also
    --------
    relevance_average_precision : Looks at the top of the order; better where few cells are
        relevant.

    Examples
    --------
    >>> from sgt_sklearn.metrics import relevance_roc_auc
    >>> relevance_roc_auc([[0.1, -0.9, 0.2], [0.3, 0.2, 0.1]], [False, True, False])
    0.75
    """
    samples = read_samples(attributions, relevance, irrelevant_needed=True)
    hits, misses, ends, starts = _ranked(*samples)
    passed = np.cumsum(misses, axis=1)
    after = np.take_along_axis(passed, ends, axis=1)
    before = np.take_along_axis(passed - misses, starts, axis=1)
    n_misses = misses.sum(axis=1, keepdims=True)
    below = (n_misses - (after + before) / 2) / n_misses
    return float(np.mean((below * hits).sum(axis=1) / hits.sum(axis=1)))


@with_relevance_parameters
def relevance_mass_accuracy(attributions, relevance):
    """Share of the absolute attribution that lies inside the relevance mask.

    Parameters
    ----------
    {{arguments}}

    Returns
    -------
    float
        Mean over samples, in [0, 1]. Chance, for an attribution spread evenly, is the share of
        relevant cells. A sample whose attributions are all zero counts as 0, as
        :func:`sklearn.metrics.precision_score` does without predicted positives. Samples without a
        relevant cell are left out of the mean.

    Raises
    ------
    {{raises}}

    Warns
    -----
    {{warns}}

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
    score, relevant = read_samples(attributions, relevance)
    largest = score.max(axis=1, keepdims=True)
    # the largest cell becomes 1 so that sums of very large or small values stay finite
    scaled = np.where(score == PADDING, 0.0, score) / np.where(largest > 0, largest, 1.0)
    total = scaled.sum(axis=1)
    inside = np.where(relevant, scaled, 0.0).sum(axis=1)
    return float(np.mean(inside / np.where(total > 0, total, 1.0)))


@with_relevance_parameters
def relevance_rank_accuracy(attributions, relevance):
    """Share of the relevant cells among as many cells of the highest attribution.

    Of a sample with k relevant cells, the k cells with the largest absolute attribution are looked
    at.

    Parameters
    ----------
    {{arguments}}

    Returns
    -------
    float
        Mean over samples, in [0, 1]. Chance is the share of relevant cells. Cells that tie for the
        last places share them, so an attribution without any order (all cells equal) gets chance.
        Samples without a relevant cell are left out of the mean.

    Raises
    ------
    {{raises}}

    Warns
    -----
    {{warns}}

    See Also
    --------
    relevance_average_precision : Looks at all places of the order.
    pointing_game : Looks at the first.

    References
    ----------
    .. [1] Arras, Osman, Samek, "CLEVR-XAI: A benchmark dataset for the ground truth evaluation of
       neural network explanations", Information Fusion 81, 2022,
       https://arxiv.org/abs/2003.07258.

    Examples
    --------
    >>> from sgt_sklearn.metrics import relevance_rank_accuracy
    >>> relevance_rank_accuracy([[4, -3, 2, 1]], [True, False, True, False])
    0.5
    """
    score, relevant = read_samples(attributions, relevance)
    n_relevant = relevant.sum(axis=1)
    descending = -np.sort(-score, axis=1)
    last = np.take_along_axis(descending, n_relevant[:, None] - 1, axis=1)
    inside, tied = score > last, score == last
    places = (n_relevant - inside.sum(axis=1)) / tied.sum(axis=1)
    found = (inside & relevant).sum(axis=1) + places * (tied & relevant).sum(axis=1)
    return float(np.mean(found / n_relevant))


@with_relevance_parameters
def pointing_game(attributions, relevance):
    """Share of samples whose cell of the highest attribution is relevant.

    Parameters
    ----------
    {{arguments}}

    Returns
    -------
    float
        Mean over samples, in [0, 1]. Chance is the share of relevant cells. Of cells that tie for
        the highest absolute attribution, the share that is relevant counts. Samples without a
        relevant cell are left out of the mean.

    Raises
    ------
    {{raises}}

    Warns
    -----
    {{warns}}

    See Also
    --------
    relevance_rank_accuracy : Looks at as many cells as are relevant.

    References
    ----------
    .. [1] Zhang, Bargal, Lin, Brandt, Shen, Sclaroff, "Top-Down Neural Attention by Excitation
       Backprop", International Journal of Computer Vision 126, 2018,
       https://arxiv.org/abs/1608.00507. There a margin of 15 pixels is allowed; here none.

    Examples
    --------
    >>> from sgt_sklearn.metrics import pointing_game
    >>> pointing_game([[0.1, -0.9, 0.2], [0.3, 0.2, 0.1]], [False, True, False])
    0.5
    """
    score, relevant = read_samples(attributions, relevance)
    top = score == score.max(axis=1, keepdims=True)
    return float(np.mean((top & relevant).sum(axis=1) / top.sum(axis=1)))


def _ranked(score, relevant):
    """Hits, misses, ends, starts: relevant cells, irrelevant ones, and the ends of their ties.

    All have the shape of `score`, by descending score. Padding comes last and is neither.
    """
    order = np.argsort(-score, axis=1)
    score = np.take_along_axis(score, order, axis=1)
    hits = np.take_along_axis(relevant, order, axis=1)
    misses = ~hits & (score != PADDING)
    n_cells = score.shape[1]
    places = np.arange(n_cells)
    changes = score[:, :-1] != score[:, 1:]
    edge = np.ones((len(score), 1), dtype=bool)
    ends = np.where(np.hstack([changes, edge]), places, n_cells - 1)
    ends = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    starts = np.where(np.hstack([edge, changes]), places, 0)
    return hits, misses, ends, np.maximum.accumulate(starts, axis=1)
