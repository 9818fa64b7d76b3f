"""Display of a removal curve beside the one of a random order."""

import numpy as np

from sgt_sklearn.inspection._unwrap import unwrap
from sgt_sklearn.metrics._removal import removal_curve
from sgt_sklearn.metrics._resolve import has_classes

_LABEL, _RANDOM_LABEL = "replaced by attribution", "replaced in random order"
_AREA = "removal-gap"


class RemovalCurveDisplay:
    """Score of a model while its input is replaced, in order of attribution and at random.

    Make it by :meth:`from_estimator` or :meth:`from_curve`; all parameters are kept as attributes.
    The area between the curves is the gap: an attribution that finds what the model uses has its
    curve far below the one of a random order. Several displays fit on one `ax`.

    Parameters
    ----------
    fractions : array-like of shape (n_fractions,)
        Shares of the groups that are replaced.

    scores : array-like of shape (n_fractions,)
        Score with the groups of highest attribution replaced.

    random_scores : array-like of shape (n_fractions,)
        Score with as many groups replaced in random order.

    gap : float
        Mean of `random_scores - scores`.

    score_name : str, default=None
        Name of the score, for the axis. None is "score".

    name : str, default=None
        Name of the curve, for the legend. None is "replaced by attribution".

    Attributes
    ----------
    ax_ : :class:`matplotlib.axes.Axes`
        Axes with the curves.

    figure_ : :class:`matplotlib.figure.Figure`
        Figure of the axes.

    line_ : :class:`matplotlib.lines.Line2D`
        Curve of the attributions.

    random_line_ : :class:`matplotlib.lines.Line2D`
        Curve of the random order.

    area_ : matplotlib artist
        What lies between the curves.

    See Also
    --------
    removal_curve : The numbers.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_iris
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.metrics import RemovalCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> net = SaliencyGuidedClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> display = RemovalCurveDisplay.from_estimator(net, X, y, n_draws=1, random_state=0)
    >>> display.ax_.get_ylabel()
    'accuracy'
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(self, *, fractions, scores, random_scores, gap, score_name=None, name=None):
        self.fractions = fractions
        self.scores = scores
        self.random_scores = random_scores
        self.gap = gap
        self.score_name = score_name
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        name=None,
        score_name=None,
        ax=None,
        line_kwargs=None,
        random_kwargs=None,
        area_kwargs=None,
        **options,
    ):
        """Compute the removal curve of an estimator and plot it.

        Parameters
        ----------
        estimator : fitted estimator, pipeline or search
            The model to measure.

        X : array-like of shape (n_samples, n_features) or (n_samples, ...), list or dict
            Samples the model is measured on, preferably held out.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True targets of X.

        name : str, default=None
            Name of the curve, for the legend.

        score_name : str, default=None
            Name of the score. None is the name given as `scoring`, "accuracy" or "R²".

        ax : :class:`matplotlib.axes.Axes`, default=None
            Axes to plot on; None makes a figure.

        line_kwargs : dict, default=None
            Keyword arguments of the curve, for :meth:`matplotlib.axes.Axes.plot`.

        random_kwargs : dict, default=None
            Keyword arguments of the random curve, for :meth:`matplotlib.axes.Axes.plot`.

        area_kwargs : dict, default=None
            Keyword arguments of the area, for :meth:`matplotlib.axes.Axes.fill_between`.

        **options : dict
            Keyword arguments of :func:`removal_curve`, for example `method` or `random_state`.

        Returns
        -------
        RemovalCurveDisplay
            The display, plotted.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        curve = removal_curve(estimator, X, y, **options)
        if score_name is None:
            score_name = _score_name(estimator, X, options.get("scoring"))
        return cls.from_curve(
            curve,
            name=name,
            score_name=score_name,
            ax=ax,
            line_kwargs=line_kwargs,
            random_kwargs=random_kwargs,
            area_kwargs=area_kwargs,
        )

    @classmethod
    def from_curve(
        cls,
        curve,
        *,
        name=None,
        score_name=None,
        ax=None,
        line_kwargs=None,
        random_kwargs=None,
        area_kwargs=None,
    ):
        """Plot what :func:`removal_curve` returned.

        Parameters
        ----------
        curve : :class:`~sklearn.utils.Bunch`
            Result of :func:`removal_curve`.

        name : str, default=None
            Name of the curve, for the legend.

        score_name : str, default=None
            Name of the score, for the axis.

        ax : :class:`matplotlib.axes.Axes`, default=None
            Axes to plot on; None makes a figure.

        line_kwargs : dict, default=None
            Keyword arguments of the curve, for :meth:`matplotlib.axes.Axes.plot`.

        random_kwargs : dict, default=None
            Keyword arguments of the random curve, for :meth:`matplotlib.axes.Axes.plot`.

        area_kwargs : dict, default=None
            Keyword arguments of the area, for :meth:`matplotlib.axes.Axes.fill_between`.

        Returns
        -------
        RemovalCurveDisplay
            The display, plotted.

        Raises
        ------
        TypeError
            If `curve` is no result of :func:`removal_curve`.
        ImportError
            If matplotlib is not installed.
        """
        needed = ("fractions", "scores", "random_scores", "gap")
        if not all(hasattr(curve, part) for part in needed):
            raise TypeError(
                f"curve must be what removal_curve returns, with {', '.join(needed)}, got "
                f"{type(curve).__name__}. Use from_estimator for a model."
            )
        display = cls(
            **{part: getattr(curve, part) for part in needed}, score_name=score_name, name=name
        )
        return display.plot(
            ax, line_kwargs=line_kwargs, random_kwargs=random_kwargs, area_kwargs=area_kwargs
        )

    def plot(self, ax=None, *, name=None, line_kwargs=None, random_kwargs=None, area_kwargs=None):
        """Plot the curves.

        Parameters
        ----------
        ax : :class:`matplotlib.axes.Axes`, default=None
            Axes to plot on; None makes a figure.

        name : str, default=None
            Name of the curve, for the legend; None takes the one of the display.

        line_kwargs : dict, default=None
            Keyword arguments of the curve, for :meth:`matplotlib.axes.Axes.plot`.

        random_kwargs : dict, default=None
            Keyword arguments of the random curve, for :meth:`matplotlib.axes.Axes.plot`.

        area_kwargs : dict, default=None
            Keyword arguments of the area, for :meth:`matplotlib.axes.Axes.fill_between`.

        Returns
        -------
        RemovalCurveDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from sklearn.utils._optional_dependencies import check_matplotlib_support

        check_matplotlib_support("RemovalCurveDisplay.plot")
        from matplotlib import pyplot as plt
        from matplotlib.collections import PolyCollection
        from matplotlib.lines import Line2D
        from matplotlib.ticker import PercentFormatter

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        name = name if name is not None else self.name
        x = np.asarray(self.fractions, dtype=float)
        order = np.argsort(x, kind="stable")
        x = x[order]
        scores = np.asarray(self.scores, dtype=float)[order]
        at_random = np.asarray(self.random_scores, dtype=float)[order]
        shown = {"marker": "o", "markersize": 4, "label": f"{name or _LABEL} (gap {self.gap:.3f})"}
        (self.line_,) = ax.plot(x, scores, **styled(Line2D, shown, line_kwargs))
        shared = _RANDOM_LABEL in ax.get_legend_handles_labels()[1]
        color = {"color": self.line_.get_color()}
        # one entry in the legend serves all curves of an ax
        dashed = {"linestyle": "--", "label": "_" * shared + _RANDOM_LABEL}
        dashed = styled(Line2D, color | dashed, random_kwargs)
        (self.random_line_,) = ax.plot(x, at_random, **dashed)
        light = {"alpha": 0.12, "linewidth": 0, "gid": _AREA}
        area = styled(PolyCollection, color | light, area_kwargs)
        self.area_ = ax.fill_between(x, scores, at_random, **area)
        ax.set_xlabel("share of groups replaced")
        ax.set_ylabel(self.score_name or "score")
        ax.xaxis.set_major_formatter(PercentFormatter(1.0))
        _show_legend(ax, shared)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def styled(artist, defaults, given):
    """Return defaults and what is given over them, under any name that matplotlib knows it by."""
    from matplotlib.cbook import normalize_kwargs

    return defaults | normalize_kwargs(given, artist)


def _show_legend(ax, shared):
    handles, labels = ax.get_legend_handles_labels()
    entries = sorted(
        zip(handles, labels, strict=True), key=lambda entry: entry[1] == _RANDOM_LABEL
    )
    legend = ax.legend(*zip(*entries, strict=True))
    if not shared:
        return
    legend.legend_handles[-1].set_color("0.4")
    for artist in ax.collections:
        # areas of several curves would hide each other
        artist.set_visible(artist.get_visible() and artist.get_gid() != _AREA)


def _score_name(estimator, X, scoring):
    if isinstance(scoring, str):
        return scoring.replace("_", " ")
    if scoring is not None:
        return "score"
    return "accuracy" if has_classes(unwrap(estimator, X).estimator) else "R²"
