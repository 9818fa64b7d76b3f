"""Precision and recall of the attribution's mass, as in the benchmark of time series."""

import warnings

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import auc
from sklearn.utils import Bunch

from sgt_sklearn.metrics._relevance_input import PADDING, read_samples, with_relevance_parameters

_SHARES = np.arange(1, 10) / 10
# Rounding of a sum must not ask for one cell more.
_SLACK = 1e-9


@with_relevance_parameters
def benchmark_precision_recall(attributions, relevance):
    r"""Precision and recall of the attribution's mass at nine sizes, and the areas under them.

    This is the score of the time series benchmark of Ismail et al. For :math:`p` of 10 %, 20 % ..
    90 %, take the fewest cells of the highest attribution that hold :math:`p` of all attribution.
    Precision is the share of their attribution that is on relevant cells; recall is the share of
    the attribution of the relevant cells that they hold.

    Parameters
    ----------
    {{arguments}}

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        aup : float
            Area under precision over :math:`p` from .1 to .9, in [0, .8]. Chance, for attributions
            that do not depend on the mask, is .8 times the share of relevant cells.
        aur : float
            Area under recall over :math:`p`, in [0, .8]. Chance is .4 or slightly more, and so is
            a perfect attribution that is spread evenly: by itself it says nothing.
        aupr : float
            Area under precision over recall, from the lowest recall to the highest, in [0, 1).
            Chance is about .8 times the share of relevant cells; a perfect attribution that is
            spread evenly has .8.
        precision, recall : ndarray of shape (9,)
            Means over samples at each :math:`p`.

    Raises
    ------
    {{raises}}

    Warns
    -----
    sklearn.exceptions.UndefinedMetricWarning
        If samples without a relevant cell were left out, or no sample has a precision or recall,
        which is then 0.

    See Also
    --------
    relevance_average_precision : Depends on the order only, with a chance level that is exact.

    Notes
    -----
    The absolute attributions of a sample are scaled to :math:`s \in [0, 1]` by its smallest and
    largest cell. :math:`S_p` is the smallest set of cells of the highest :math:`s` with
    :math:`\sum_{S_p} s \ge p \sum s`, but never all cells. With the relevant cells :math:`R`,

    .. math:: \text{precision} = \frac{\sum_{S_p \cap R} s}{\sum_{S_p} s}, \qquad
              \text{recall} = \frac{\sum_{S_p \cap R} s}{\sum_R s}.

    Each is averaged over the samples whose denominator is not 0: a sample whose attributions are
    all equal has no precision, one whose relevant cells all have its smallest attribution has no
    recall. Areas are trapezoids without additional end points. Of cells that tie for the last
    places of :math:`S_p` each is counted in part, so the order of the cells does not matter.

    References
    ----------
    .. [1] Ismail, Gunady, Corrada Bravo, Feizi, "Benchmarking Deep Learning Interpretability in
       Time Series Predictions", NeurIPS 2020, https://arxiv.org/abs/2010.13924.

    Examples
    --------
    >>> from sgt_sklearn.metrics import benchmark_precision_recall
    >>> scores = benchmark_precision_recall([[0, 4, 4, 2]], [False, True, False, False])
    >>> scores.precision
    array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4])
    >>> round(scores.aup, 3)
    0.395
    """
    score, relevant = read_samples(attributions, relevance)
    scaled = _min_max(score)
    order = -np.sort(-scaled, axis=1)
    held = np.cumsum(order, axis=1)
    total = held[:, -1:]
    n_cells = np.count_nonzero(score != PADDING, axis=1)[:, None]
    precision, recall = np.empty(len(_SHARES)), np.empty(len(_SHARES))
    for i, share in enumerate(_SHARES):
        size = 1 + np.argmax(held >= (share - _SLACK) * total, axis=1)[:, None]
        size = np.minimum(size, n_cells - 1)
        last = np.take_along_axis(order, np.maximum(size - 1, 0), axis=1)
        above, tied = scaled > last, scaled == last
        places = (size - above.sum(axis=1, keepdims=True)) / tied.sum(axis=1, keepdims=True)
        inside = scaled * (above + places * tied)
        hit = np.where(relevant, inside, 0.0).sum(axis=1)
        false = np.where(relevant, 0.0, inside).sum(axis=1)
        missed = np.where(relevant, scaled - inside, 0.0).sum(axis=1)
        precision[i] = _mean_ratio(hit, hit + false)
        recall[i] = _mean_ratio(hit, hit + missed)
    _warn_if_undefined(precision, recall)
    precision, recall = np.nan_to_num(precision), np.nan_to_num(recall)
    by_recall = np.argsort(recall, kind="stable")
    return Bunch(
        aup=float(auc(_SHARES, precision)),
        aur=float(auc(_SHARES, recall)),
        aupr=float(auc(recall[by_recall], precision[by_recall])),
        precision=precision,
        recall=recall,
    )


def _min_max(score):
    """Scores of each sample scaled to [0, 1]; 0 on padding and where all are equal."""
    padding = score == PADDING
    low = np.where(padding, np.inf, score).min(axis=1, keepdims=True)
    high = score.max(axis=1, keepdims=True)
    width = np.where(high > low, high - low, 1.0)
    return np.where(padding, 0.0, (score - low) / width)


def _mean_ratio(part, whole):
    defined = whole > 0
    return np.mean(part[defined] / whole[defined]) if defined.any() else np.nan


def _warn_if_undefined(precision, recall):
    reasons = []
    if np.isnan(precision).any():
        reasons.append("Precision is 0: the attributions of each sample are all equal.")
    if np.isnan(recall).any():
        reasons.append(
            "Recall is 0: the relevant cells of each sample have its smallest attribution."
        )
    if reasons:
        warnings.warn(" ".join(reasons), UndefinedMetricWarning, stacklevel=3)
