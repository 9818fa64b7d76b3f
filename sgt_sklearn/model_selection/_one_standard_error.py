"""The most interpretable of the settings that score as well as the best."""

import math
import warnings
from collections.abc import Mapping

import numpy as np
from scipy.stats import rankdata

from sgt_sklearn.metrics import get_interpretability_scorer_names

# of single precision: a gap in probability, or in deviations of y, that is no larger is 0
_ROUNDING = 1e-7
_OF_UNIT_SCALE = ("comprehensiveness_gap", "sufficiency_gap")
# of other values: they are 0 where they are no more than this share of the largest
_SHARE = 1e-5


def one_standard_error_refit(cv_results=None, *, score="auto", interpretability="auto"):
    """Most interpretable setting whose score is within one standard error of the best.

    For `refit` of :class:`~sklearn.model_selection.GridSearchCV` and
    :class:`~sklearn.model_selection.RandomizedSearchCV` with several scorers: as it is, where the
    names of the scorers tell which is which, or called with their names.

    Parameters
    ----------
    cv_results : dict of str to array-like of shape (n_settings,), default=None
        `cv_results_` of a search. None returns the rule with these settings, for `refit`.

    score : str, default="auto"
        Name, in the `scoring` of the search, of the score that has to be kept. "auto" is the only
        one that is not a name of :func:`~sgt_sklearn.metrics.get_interpretability_scorer_names`.

    interpretability : str or list of str, default="auto"
        Name or names of what chooses among the settings that keep the score; higher is better.
        Several are weighed by their ranks: the setting of the lowest mean rank is chosen. "auto"
        is all that are names of :func:`~sgt_sklearn.metrics.get_interpretability_scorer_names`.

    Returns
    -------
    int or callable
        Index of the chosen setting in `cv_results`; without `cv_results`, a callable
        `cv_results -> int` that can be pickled.

    Raises
    ------
    ValueError
        If a name is unknown, "auto" is ambiguous, there is only one split (its standard error is
        unknown), or no setting can be chosen: each of them failed or ignores its input.
    TypeError
        If `score`, `interpretability` or `cv_results` has the wrong type.

    Warns
    -----
    UserWarning
        If the best score is that of a setting that ignores its input, or within one standard error
        of it (chance level); if no setting that can be chosen is within one standard error; if a
        gap of the chosen setting is not above 0, that of a random order; if all gaps are so small
        that it cannot be told whether they are 0 up to rounding.

    See Also
    --------
    sgt_sklearn.metrics.make_interpretability_scorer : Scorers for `interpretability`.
    compare_training : Whether guided training helps at all.

    Notes
    -----
    The best mean score has the standard error `sd / sqrt(n_splits)`, with the standard deviation
    (`ddof=1`) of its values over the splits. Every setting whose mean is not below the best by
    more than that competes [1]_; of several best the one with the smallest standard error counts.
    Ties go to the higher score, then to the setting that comes first.

    A predictor that ignores its input is never chosen. It is recognised by its gaps, which are all
    0 in every split, up to rounding: 1e-7 for gaps in probability or in deviations of y, and for
    "removal_gap" and names of your own, whose units are unknown, 1e-5 of the largest value of the
    settings that compete. Names that end in "gap" are gaps. Where there are none, names of your
    own are taken for gaps, and are all 0 as well; so give a gap a name that ends in "gap" where
    you name something else beside it. With nothing but other names of
    :func:`~sgt_sklearn.metrics.get_interpretability_scorer_names`, one of them that is 0 is
    enough, as sensitivity and infidelity are; they are 0 for some useful models too, and a score
    against a known relevance mask does not show it: name a gap beside them.

    A setting with a missing score or gap (a fit failed) is not chosen either. Where this leaves
    nothing within one standard error, the best score of the others is chosen, with a warning.

    References
    ----------
    .. [1] Breiman, Friedman, Olshen, Stone, "Classification and Regression Trees", 1984, section
       3.4.3.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.metrics import get_interpretability_scorer
    >>> from sgt_sklearn.model_selection import one_standard_error_refit
    >>> X, y = load_iris(return_X_y=True)
    >>> search = GridSearchCV(
    ...     SaliencyGuidedClassifier(max_epochs=5, random_state=0),
    ...     {"consistency_weight": [0.3, 3.0]},
    ...     scoring={
    ...         "accuracy": "accuracy",
    ...         "sufficiency_gap": get_interpretability_scorer("sufficiency_gap"),
    ...     },
    ...     refit=one_standard_error_refit,
    ...     cv=3,
    ... )
    >>> search.fit(X, y).best_index_ in (0, 1)
    True
    >>> one_standard_error_refit(score="accuracy", interpretability="sufficiency_gap")
    one_standard_error_refit(score='accuracy', interpretability='sufficiency_gap')
    """
    rule = _OneStandardErrorRefit(score, interpretability)
    return rule if cv_results is None else rule(cv_results)


class _OneStandardErrorRefit:
    """The rule with its settings; an object, so that it can be pickled and shows what it is."""

    def __init__(self, score, interpretability):
        if not isinstance(score, str):
            raise TypeError(
                f"score must be the name of a scorer or 'auto', got {score!r} of type "
                f"{type(score).__name__}."
            )
        names = [interpretability] if isinstance(interpretability, str) else interpretability
        listed = isinstance(names, (list, tuple)) and len(names) > 0
        if not listed or not all(isinstance(name, str) for name in names):
            raise TypeError(
                "interpretability must be the name of a scorer, a non-empty list of names or "
                f"'auto', got {interpretability!r}."
            )
        self._score = score
        self._interpretability = interpretability

    def __call__(self, cv_results):
        if not isinstance(cv_results, Mapping):
            raise TypeError(
                "cv_results must be the `cv_results_` of a search, got "
                f"{type(cv_results).__name__}. To make a rule for `refit`, give `score` and "
                "`interpretability` by keyword."
            )
        score, names = _resolve_names(cv_results, self._score, self._interpretability)
        return _choose(cv_results, score, names)

    def __repr__(self):
        return (
            f"one_standard_error_refit(score={self._score!r}, "
            f"interpretability={self._interpretability!r})"
        )

    def __eq__(self, other):
        if not isinstance(other, _OneStandardErrorRefit):
            return NotImplemented
        return vars(self) == vars(other)

    def __hash__(self):
        return hash(repr(self))


def _resolve_names(cv_results, score, interpretability):
    """Return the name of the score and the list of names of what chooses."""
    found = [key[len("mean_test_") :] for key in cv_results if key.startswith("mean_test_")]
    known = get_interpretability_scorer_names()
    if interpretability == "auto":
        names = [name for name in found if name in known and name != score]
        if not names:
            raise ValueError(
                f"interpretability='auto' needs a scorer named as one of {', '.join(known)}, got "
                f"a search with {_listed(found)}. Name yours with `interpretability=`."
            )
    else:
        names = [interpretability] if isinstance(interpretability, str) else list(interpretability)
    if score == "auto":
        others = [name for name in found if name not in known and name not in names]
        if len(others) != 1:
            raise ValueError(
                "score='auto' needs exactly one scorer that is no interpretability scorer, got "
                f"{_listed(others)}. Name the score to keep with `score=`."
            )
        score = others[0]
    for parameter, name in (("score", score), *(("interpretability", name) for name in names)):
        if name not in found:
            raise ValueError(
                f"{parameter} must name a scorer of the search, one of {_listed(found)}, got "
                f"{name!r}. Names are the keys of `scoring`."
            )
    if score in names:
        raise ValueError(
            f"interpretability must differ from score, got {score!r} for both. A score cannot "
            "choose among the settings that keep it."
        )
    return score, names


def _choose(cv_results, score, names):
    scores = _Values(cv_results, score)
    choosers = [_Values(cv_results, name) for name in names]
    if scores.n_splits < 2:
        raise ValueError(
            "cv must make at least 2 splits, since one score has no standard error, got "
            f"{scores.n_splits}. Use for example cv=5."
        )
    if not scores.finite.any():
        raise ValueError(
            f"no setting has a score {score!r} in every split: all fits or scores failed. Use "
            "error_score='raise' to see why."
        )
    bar, error = _bar(scores)
    within = scores.mean >= bar
    telling, ignorant = _ignore_their_input(choosers, within)
    zero = f"{_listed([values.name for values in telling])} 0 in every split"
    eligible = scores.finite & ~ignorant & np.all([v.finite for v in choosers], axis=0)
    if not eligible.any():
        raise ValueError(
            f"no setting can be chosen: each one failed or ignores its input "
            f"({zero}). Search among settings that learn: check "
            "the score, and try a smaller consistency_weight, more epochs or another lr."
        )
    best = _rounded(scores.mean[scores.finite].max())
    if (within & ignorant).any():
        warnings.warn(
            f"The best {score}, {best}, is within one standard error ({error:.3g}) of that of a "
            f"setting that ignores its input ({zero}): it is at "
            "chance level. The data may hold nothing to learn, or training fails.",
            UserWarning,
            stacklevel=3,
        )
    if not (within & eligible).any():
        candidates = eligible & (scores.mean == scores.mean[eligible].max())
        warnings.warn(
            f"No setting within one standard error ({error:.3g}) of the best {score}, {best}, can "
            "be chosen: they failed or ignore their input. Chosen is the best of the others, "
            f"{_rounded(scores.mean[candidates][0])}.",
            UserWarning,
            stacklevel=3,
        )
    else:
        candidates = within & eligible
    chosen = _most_interpretable(np.flatnonzero(candidates), scores, choosers)
    _warn_of_gaps(chosen, choosers)
    return chosen


class _Values:
    """Values of one scorer: means over splits, and what is missing."""

    def __init__(self, cv_results, name):
        self.name = name
        self.mean = np.asarray(cv_results[f"mean_test_{name}"], dtype=np.float64)
        splits = []
        while (key := f"split{len(splits)}_test_{name}") in cv_results:
            splits.append(np.asarray(cv_results[key], dtype=np.float64))
        self.n_splits = len(splits)
        self.splits = np.array(splits).reshape(len(splits), len(self.mean))
        self.finite = np.isfinite(self.mean) & np.isfinite(self.splits).all(axis=0)
        self.mean = np.where(self.finite, self.mean, -np.inf)
        self.is_gap = name.endswith("gap")
        self.sizes = np.where(self.finite, np.abs(self.splits).max(axis=0, initial=0.0), 0.0)

    def are_zero(self, within):
        """Return which settings have 0 in every split, up to rounding.

        Parameters
        ----------
        within : ndarray of bool, shape (n_settings,)
            The settings that keep the score. They tell the unit: training that diverged may have
            values of any size.
        """
        return self.finite & (self.sizes <= self._limit(within))

    def _limit(self, within):
        if self.name in _OF_UNIT_SCALE:
            return _ROUNDING
        largest = self.sizes.max()
        competing = self.sizes[within].max(initial=0.0)
        if competing > _SHARE * largest:
            return _SHARE * competing
        # either these are 0, or the others diverged
        return _SHARE * min(largest, 1.0)


def _bar(scores):
    """Return the lowest score that is within one standard error of the best, and that error."""
    best = scores.mean.max()
    # means of the same values in another order differ in their last digits
    slack = 1e-12 * max(1.0, abs(best))
    tied = np.flatnonzero(scores.mean >= best - slack)
    errors = scores.splits[:, tied].std(axis=0, ddof=1) / math.sqrt(scores.n_splits)
    return best - errors.min() - slack, errors.min()


def _ignore_their_input(choosers, within):
    """Return what tells a predictor that ignores its input, and which settings are such.

    Names that end in "gap" tell it best. Names of the caller's own come next: beside a gap they
    may be anything, for example a score against a mask, which is not 0 for such a predictor.
    """
    known = get_interpretability_scorer_names()
    gaps = [values for values in choosers if values.is_gap]
    telling = gaps or [values for values in choosers if values.name not in known]
    if not telling:
        return choosers, np.any([values.are_zero(within) for values in choosers], axis=0)
    ignorant = np.all([values.are_zero(within) for values in telling], axis=0)
    if not ignorant.all() and all(0 < values.sizes.max() <= _ROUNDING for values in telling):
        warnings.warn(
            f"All values of {_listed([values.name for values in telling])} are within "
            f"{_ROUNDING:g} of 0. If their unit is not as small as that, they are rounding, and "
            "every setting ignores its input. Scale y to unit deviation to tell.",
            UserWarning,
            stacklevel=5,
        )
    return telling, ignorant


def _most_interpretable(candidates, scores, choosers):
    """Return the candidate of the lowest mean rank; ties: higher score, then the first."""
    ranks = [rankdata(-values.mean[candidates]) for values in choosers]
    order = np.lexsort((candidates, -scores.mean[candidates], np.mean(ranks, axis=0)))
    return int(candidates[order[0]])


def _warn_of_gaps(chosen, choosers):
    low = [v for v in choosers if v.is_gap and v.mean[chosen] <= 0]
    if low:
        shown = ", ".join(f"{values.name} {_rounded(values.mean[chosen])}" for values in low)
        warnings.warn(
            f"Of the chosen setting {shown} is not above 0: its attributions order the input no "
            "better than chance.",
            UserWarning,
            stacklevel=4,
        )


def _rounded(value):
    return f"{value:.4g}"


def _listed(names):
    return ", ".join(repr(name) for name in names) or "none"
