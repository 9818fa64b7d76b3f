"""Display of a comparison of trainings."""

import math

import numpy as np

from sgt_sklearn.metrics._removal_display import styled
from sgt_sklearn.model_selection._compare import compare_training
from sgt_sklearn.model_selection._trainings import GUIDED, PLAIN, RANDOM_ORDER, WEIGHT_DECAY

# of Okabe and Ito, told apart by all kinds of colour vision
_COLORS = {
    PLAIN: "#555555",
    GUIDED: "#0072B2",
    RANDOM_ORDER: "#D55E00",
    WEIGHT_DECAY: "#009E73",
}
_NEEDED = ("metric", "method", "training", "chance")
_FAR = 1.5  # from all values, as a multiple of their range
_PANEL = (3.4, 0.45)  # width of a panel, height of a training in it, in inches


class TrainingComparisonDisplay:
    """What each training reaches in each seed, one panel for each metric and method.

    Make it by :meth:`from_comparison` or :meth:`from_estimator`; all parameters are kept as
    attributes. In a panel each training has a row: small points are seeds, and a thin line joins
    the trainings of one seed, which share data split, initialisation and batches; the large point
    is the mean with its standard error over seeds. The dashed line is the mean of plain training,
    the dotted one the chance level; where it is far from all values, words tell it.

    Parameters
    ----------
    panels : list of dict
        For each panel "metric", "method" and "chance" (NaN where unknown), and "values", a dict of
        trainings, "plain" among them, to their values, one a seed. Rows are in this order.

    Attributes
    ----------
    axes_ : ndarray of :class:`matplotlib.axes.Axes`, shape (n_panels,)
        The panels.

    ax_ : :class:`matplotlib.axes.Axes`
        The first of them.

    figure_ : :class:`matplotlib.figure.Figure`
        Their figure.

    seed_lines_ : list of list of :class:`matplotlib.lines.Line2D`
        For each panel the lines that join the trainings of a seed.

    means_ : list of list of :class:`matplotlib.container.ErrorbarContainer`
        For each panel the mean and standard error of each training.

    plain_lines_ : list of :class:`matplotlib.lines.Line2D`
        For each panel the line of plain training.

    chance_marks_ : list of matplotlib artists
        For each panel what tells the chance level: a line, words where a line would be far from
        all values, None where it is unknown.

    See Also
    --------
    compare_training : The numbers.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_iris
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.model_selection import TrainingComparisonDisplay, compare_training
    >>> table = compare_training(
    ...     SaliencyGuidedClassifier(max_epochs=2),
    ...     *load_iris(return_X_y=True),
    ...     metrics=["sufficiency_gap"],
    ...     controls=["random order"],
    ...     n_seeds=2,
    ...     verbose=0,
    ... )
    >>> display = TrainingComparisonDisplay.from_comparison(table)
    >>> [ax.get_title() for ax in display.axes_]
    ['accuracy', 'sufficiency gap']
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(self, *, panels):
        self.panels = panels

    @classmethod
    def from_comparison(
        cls,
        comparison,
        *,
        ax=None,
        n_columns=3,
        seed_kwargs=None,
        mean_kwargs=None,
        line_kwargs=None,
    ):
        """Plot what :func:`compare_training` returned.

        Parameters
        ----------
        comparison : :class:`pandas.DataFrame`
            Its table, all of it or some of its rows: what has no row is not shown.

        ax : :class:`matplotlib.axes.Axes` or array of them, default=None
            As many axes as there are panels; None makes a figure.

        n_columns : int, default=3
            Panels side by side in a figure of its own.

        seed_kwargs : dict, default=None
            Keyword arguments of points and lines of seeds, for :meth:`matplotlib.axes.Axes.plot`.

        mean_kwargs : dict, default=None
            Keyword arguments of the means, for :meth:`matplotlib.axes.Axes.errorbar`.

        line_kwargs : dict, default=None
            Keyword arguments of the lines of plain training and of chance, for
            :meth:`matplotlib.axes.Axes.axvline`.

        Returns
        -------
        TrainingComparisonDisplay
            The display, plotted.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the frame has lost its values of single seeds, or `ax` does not fit.
        TypeError
            If `comparison` is no table of :func:`compare_training`.
        """
        return cls(panels=_read_panels(comparison)).plot(
            ax,
            n_columns=n_columns,
            seed_kwargs=seed_kwargs,
            mean_kwargs=mean_kwargs,
            line_kwargs=line_kwargs,
        )

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        ax=None,
        n_columns=3,
        seed_kwargs=None,
        mean_kwargs=None,
        line_kwargs=None,
        **options,
    ):
        """Compare the trainings of an estimator and plot the result.

        Parameters
        ----------
        estimator : estimator
            A guided net, or a pipeline, search or ensemble with one in it.

        X : array-like of shape (n_samples, ...), list or dict
            Samples, as for `fit`.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.

        ax : :class:`matplotlib.axes.Axes` or array of them, default=None
            As many axes as there are panels; None makes a figure.

        n_columns : int, default=3
            Panels side by side in a figure of its own.

        seed_kwargs : dict, default=None
            Keyword arguments of points and lines of seeds, for :meth:`matplotlib.axes.Axes.plot`.

        mean_kwargs : dict, default=None
            Keyword arguments of the means, for :meth:`matplotlib.axes.Axes.errorbar`.

        line_kwargs : dict, default=None
            Keyword arguments of the lines of plain training and of chance, for
            :meth:`matplotlib.axes.Axes.axvline`.

        **options : dict
            Keyword arguments of :func:`compare_training`, for example `n_seeds` or `metrics`.

        Returns
        -------
        TrainingComparisonDisplay
            The display, plotted.

        Raises
        ------
        ImportError
            If matplotlib or pandas is not installed.
        ValueError
            If `ax` does not fit.
        """
        _matplotlib()
        comparison = compare_training(estimator, X, y, **options | {"return_runs": False})
        return cls.from_comparison(
            comparison,
            ax=ax,
            n_columns=n_columns,
            seed_kwargs=seed_kwargs,
            mean_kwargs=mean_kwargs,
            line_kwargs=line_kwargs,
        )

    def plot(self, ax=None, *, n_columns=3, seed_kwargs=None, mean_kwargs=None, line_kwargs=None):
        """Plot the panels.

        Parameters
        ----------
        ax : :class:`matplotlib.axes.Axes` or array of them, default=None
            As many axes as there are panels; None makes a figure.

        n_columns : int, default=3
            Panels side by side in a figure of its own.

        seed_kwargs : dict, default=None
            Keyword arguments of points and lines of seeds, for :meth:`matplotlib.axes.Axes.plot`.

        mean_kwargs : dict, default=None
            Keyword arguments of the means, for :meth:`matplotlib.axes.Axes.errorbar`.

        line_kwargs : dict, default=None
            Keyword arguments of the lines of plain training and of chance, for
            :meth:`matplotlib.axes.Axes.axvline`.

        Returns
        -------
        TrainingComparisonDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `ax` does not fit.
        """
        plt = _matplotlib()
        own = ax is None
        if own:
            axes = _make_axes(plt, self.panels, n_columns)
        else:
            axes = np.ravel(ax)
            if len(axes) != len(self.panels):
                raise ValueError(
                    f"ax must be one axes for each of the {len(self.panels)} panels, got "
                    f"{len(axes)}. Pass ax=None for a figure of its own, or fewer rows."
                )
        self.axes_, self.ax_, self.figure_ = axes, axes[0], axes[0].figure
        self.seed_lines_, self.means_, self.plain_lines_, self.chance_marks_ = [], [], [], []
        told = any(_is_far(panel["chance"], panel["values"]) for panel in self.panels)
        several = len({panel["method"] for panel in self.panels} - {""}) > 1
        for panel_ax, panel in zip(axes, self.panels, strict=True):
            self._plot_panel(panel_ax, panel, several, seed_kwargs, mean_kwargs, line_kwargs)
            # words have a row of their own, in all panels as they may share an axis
            panel_ax.set_ylim(len(panel["values"]) - 0.5 + 0.7 * told, -0.5)
        _show_legend(self.figure_ if own else axes[-1], axes, own)
        return self

    def _plot_panel(self, ax, panel, several, seed_kwargs, mean_kwargs, line_kwargs):
        from matplotlib.lines import Line2D

        names = list(panel["values"])
        values = np.array([panel["values"][name] for name in names], dtype=float)
        rows = np.arange(len(names))
        line = {"color": "0.35", "linewidth": 1, "zorder": 1}
        label = {"linestyle": "--", "label": "mean of plain training"}
        line = styled(Line2D, line | label, line_kwargs)
        plain = values[names.index(PLAIN)].mean()
        self.plain_lines_.append(ax.axvline(plain, **line))
        self.chance_marks_.append(_mark_chance(ax, panel["chance"], panel["values"], line))
        seeds = {"color": "0.6", "linewidth": 0.8, "marker": "o", "markersize": 3, "zorder": 2}
        seeds = styled(Line2D, seeds | {"label": "one seed"}, seed_kwargs)
        self.seed_lines_.append([ax.plot(column, rows, **seeds)[0] for column in values.T])
        self.means_.append(
            [
                _plot_mean(ax, name, row, of_training, mean_kwargs)
                for name, row, of_training in zip(names, rows, values, strict=True)
            ]
        )
        ax.set_yticks(rows, names)
        title = panel["metric"].replace("_", " ")
        title += f"\n{panel['method']}" * (several and panel["method"] != "")
        # a dollar sign in a label of the caller's own is no formula
        ax.set_title(title, parse_math=False)
        ax.spines[["top", "right"]].set_visible(False)
        ax.locator_params(axis="x", nbins=5)


def _is_far(chance, values):
    """Whether a line of chance would press the values together at the other end of a panel."""
    values = np.array(list(values.values()), dtype=float)
    low, high = values.min(), values.max()
    margin = _FAR * (high - low)
    # false of NaN, as it should be
    return chance < low - margin or chance > high + margin


def _mark_chance(ax, chance, values, line):
    if math.isnan(chance):
        return None
    if not _is_far(chance, values):
        return ax.axvline(chance, **line | {"linestyle": ":", "label": "chance level"})
    below = chance < min(map(min, values.values()))
    return ax.text(
        0.02 if below else 0.98,
        0.02,
        f"← chance {chance:.3g}" if below else f"chance {chance:.3g} →",
        transform=ax.transAxes,
        ha="left" if below else "right",
        va="bottom",
        color=line["color"],
        # no line runs through the words
        bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 1.5},
        zorder=4,
    )


def _plot_mean(ax, name, row, values, mean_kwargs):
    from matplotlib.lines import Line2D

    n_seeds = len(values)
    error = values.std(ddof=1) / math.sqrt(n_seeds) if n_seeds > 1 else None
    shown = {"fmt": "o", "markersize": 8, "capsize": 4, "elinewidth": 2, "zorder": 3}
    shown |= {"color": _COLORS.get(name, "black"), "label": "mean ± standard error"}
    return ax.errorbar(values.mean(), row, xerr=error, **styled(Line2D, shown, mean_kwargs))


def _make_axes(plt, panels, n_columns):
    n_columns = max(1, min(n_columns, len(panels)))
    n_rows = math.ceil(len(panels) / n_columns)
    trainings = {tuple(panel["values"]) for panel in panels}
    width, height = _PANEL
    _, axes = plt.subplots(
        n_rows,
        n_columns,
        sharey=len(trainings) == 1,
        squeeze=False,
        layout="constrained",
        figsize=(
            width * n_columns + 0.8,
            (height * max(map(len, trainings)) + 0.9) * n_rows + 0.4,
        ),
    )
    for unused in axes.flat[len(panels) :]:
        unused.remove()
    return axes.ravel()[: len(panels)]


def _show_legend(parent, axes, own):
    entries = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if own:
        # two entries are about as wide as a panel
        n_panels = axes[0].get_gridspec().ncols
        place = {"loc": "outside lower center", "ncols": min(len(entries), 2 * n_panels)}
        place |= {"frameon": False, "fontsize": "small" if n_panels == 1 else None}
    else:
        place = {"loc": "best", "fontsize": "small"}
    parent.legend(entries.values(), entries.keys(), **place)


def _read_panels(comparison):
    columns = getattr(comparison, "columns", ())
    if not all(name in columns for name in _NEEDED):
        raise TypeError(
            "comparison must be the table that compare_training returns, with columns "
            f"{', '.join(_NEEDED)}, got {type(comparison).__name__}. Use from_estimator for a net."
        )
    runs = comparison.attrs.get("runs")
    if not runs:
        raise ValueError(
            "comparison must hold the values of each seed in `attrs['runs']`, got a frame without "
            "them. Pass the table of compare_training; some operations of pandas drop attrs."
        )
    if not len(comparison):
        raise ValueError("comparison must have at least one row, got none.")
    found = {}
    for run in runs:
        key = (run["metric"], run["method"], run["training"])
        found.setdefault(key, []).append(run["value"])
    panels = []
    for (metric, method), rows in comparison.groupby(["metric", "method"], sort=False):
        trainings = list(rows["training"])
        if PLAIN not in trainings:
            raise ValueError(
                f"comparison must keep the rows of {PLAIN!r} training, with which the others are "
                f"compared, got {', '.join(trainings)} for {metric!r}."
            )
        values = {training: found[metric, method, training] for training in trainings}
        chance = float(rows["chance"].iloc[0])
        panels.append({"metric": metric, "method": method, "chance": chance, "values": values})
    return panels


def _matplotlib():
    from sklearn.utils._optional_dependencies import check_matplotlib_support

    check_matplotlib_support("TrainingComparisonDisplay.plot")
    from matplotlib import pyplot as plt

    return plt
