"""Time series in which a box of cells tells the class and all else is noise."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from sgt_sklearn.datasets._checks import check_choice, check_integer
from sgt_sklearn.datasets._processes import PROCESSES, draw_process

_LENGTH = 50  # of both axes
_LABEL_STARTS = np.array([29, 1])


class _Box(NamedTuple):
    """Size and start along (time, feature); a start is a number, "random" or by "label"."""

    size: tuple
    start: tuple


_BOXES = {
    "middle": _Box((30, 30), (10, 10)),
    "small_middle": _Box((14, 14), (18, 18)),
    "moving_middle": _Box((30, 30), ("random", "random")),
    "moving_small_middle": _Box((15, 15), ("random", "random")),
    "rare_time": _Box((6, 40), (22, 5)),
    "rare_feature": _Box((40, 6), (5, 22)),
    "moving_rare_time": _Box((6, 40), ("random", "random")),
    "moving_rare_feature": _Box((40, 6), ("random", "random")),
    "positional_time": _Box((20, 20), ("label", "random")),
    "positional_feature": _Box((20, 20), ("random", "label")),
}

TIME_SERIES_KINDS = tuple(_BOXES)
TIME_SERIES_PROCESSES = PROCESSES


def make_relevance_time_series(
    kind="rare_time", process="gaussian", n_samples=1000, random_state=None
):
    """Make time series of two classes in which the relevant cells are known.

    The synthetic benchmark of [1]_: 50 steps of 50 features of a random process. A box of
    time x feature is moved up in class 1 and down in class 0; all other cells say nothing about
    the class. In the two positional kinds the box is moved up in both classes, and the class is
    where it starts.

    Parameters
    ----------
    kind : str, default="rare_time"
        Which cells the box holds, as steps x features, and where it starts.

        ======================  =======  ==========================================
        kind                    size     start (time, feature)
        ======================  =======  ==========================================
        "middle"                30 x 30  (10, 10)
        "small_middle"          14 x 14  (18, 18)
        "moving_middle"         30 x 30  random
        "moving_small_middle"   15 x 15  random
        "rare_time"             6 x 40   (22, 5)
        "rare_feature"          40 x 6   (5, 22)
        "moving_rare_time"      6 x 40   random
        "moving_rare_feature"   40 x 6   random
        "positional_time"       20 x 20  time: 1 for class 1, 29 for class 0;
                                         feature: random
        "positional_feature"    20 x 20  time: random;
                                         feature: 1 for class 1, 29 for class 0
        ======================  =======  ==========================================

        A random start is an integer in [0, 50 - length), the upper end excluded, drawn for each
        sample and axis.
    process : str, default="gaussian"
        What the cells hold before the box is moved, one independent signal a feature; see Notes.
        "gaussian", "harmonic", "gaussian_process", "pseudo_periodic", "autoregressive",
        "continuous_autoregressive" or "narma".
    n_samples : int, default=1000
        Number of series, 1 or more.
    random_state : int, RandomState instance or None, default=None
        Source of all draws. The same int gives the same bytes.

    Returns
    -------
    X : ndarray of float64, shape (n_samples, 50, 50)
        The series, (n_samples, n_timesteps, n_features).
    y : ndarray of int64, shape (n_samples,)
        Classes 0 and 1, each drawn with probability 1/2.
    relevance : ndarray of bool, shape (n_samples, 50, 50)
        True inside the box.

    Raises
    ------
    ValueError
        If `kind`, `process`, `n_samples` or `random_state` is none of the above.

    See Also
    --------
    sgt_sklearn.metrics.relevance_average_precision : Score attributions against `relevance`.

    Notes
    -----
    With "gaussian" a cell is N(0, 1) outside the box, and inside N(1, 1) or N(-1, 1).

    The other processes are sampled at irregular times: of 100 even points in [0, 20] a random 50,
    each moved by N(0, .2), sorted; drawn for each sample and shared by its features. Noise
    N(0, .3) is added to every cell, and 1 or -1 to those of the box.
    (The second argument of N is the standard deviation.)

    ===========================  ==============================================================
    process                      signal at time t
    ===========================  ==============================================================
    "harmonic"                   sin(4 pi t)
    "gaussian_process"           zero mean, Matern covariance with nu = 1.5 and length scale 1
    "pseudo_periodic"            a sin(w t), a ~ N(1, .5) and w ~ N(2, .01) anew at each point
    "autoregressive"             x[i] = .9 x[i-1] + N(0, .5), from 0 before the first step
    "continuous_autoregressive"  x[i] = c x[i-1] + .01 sqrt(1 - c) N(0, 1), c = .9 ** (time
                                 since the last point), from .01 at the first step
    "narma"                      y[i] = .3 y[i-1] + .05 y[i-1] (y[i-10] + ... + y[i-1])
                                 + 1.5 u[i-10] u[i] + .1, u ~ U(0, .5), from ten zeros before
                                 the first step
    ===========================  ==============================================================

    The signal of "continuous_autoregressive" stays near .01 and is drowned by the noise: it is
    "gaussian" with the box moved by more than three standard deviations.

    References
    ----------
    .. [1] Ismail, Gunady, Corrada Bravo, Feizi, "Benchmarking Deep Learning Interpretability in
       Time Series Predictions", NeurIPS 2020, arXiv:2010.13924.

    Examples
    --------
    >>> from sgt_sklearn.datasets import make_relevance_time_series
    >>> X, y, relevance = make_relevance_time_series("rare_time", n_samples=200, random_state=0)
    >>> X.shape, y[:5].tolist()
    ((200, 50, 50), [0, 1, 1, 0, 1])
    >>> int(relevance[0].sum()), relevance[0].any(axis=1).nonzero()[0].tolist()
    (240, [22, 23, 24, 25, 26, 27])
    >>> [round(float(X[y == label][relevance[y == label]].mean()), 1) for label in (0, 1)]
    [-1.0, 1.0]
    """
    check_choice("kind", kind, TIME_SERIES_KINDS)
    check_choice("process", process, TIME_SERIES_PROCESSES)
    n_samples = check_integer("n_samples", n_samples, 1)
    rng = check_random_state(random_state)
    y = rng.randint(2, size=n_samples).astype(np.int64)
    box = _BOXES[kind]
    in_time, in_feature = (
        _inside(length, start, y, rng) for length, start in zip(box.size, box.start, strict=True)
    )
    relevance = in_time[:, :, None] & in_feature[:, None, :]
    X = draw_process(process, relevance.shape, rng)
    shift = np.ones(n_samples) if "label" in box.start else 2.0 * y - 1
    # N(0, 1) moved by the label is the N(label, 1) of the definition
    X += shift[:, None, None] * relevance
    return X, y, relevance


def _inside(length, start, y, rng):
    """Tell for one axis which positions the box covers, shape (n_samples, 50)."""
    if start == "random":
        starts = rng.randint(_LENGTH - length, size=len(y))
    elif start == "label":
        starts = _LABEL_STARTS[y]
    else:
        starts = np.full(len(y), start)
    offset = np.arange(_LENGTH) - starts[:, None]
    return (offset >= 0) & (offset < length)
