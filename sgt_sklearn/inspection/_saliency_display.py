"""Pictures of explanations, for every kind of data."""

import numpy as np

from sgt_sklearn.inspection._draw_common import Scale, import_pyplot
from sgt_sklearn.inspection._draw_maps import (
    draw_heat_map,
    draw_line,
    draw_overlay,
    draw_side_by_side,
)
from sgt_sklearn.inspection._draw_tables import draw_bars, draw_beeswarm, draw_mean_bars
from sgt_sklearn.inspection._draw_tokens import draw_tokens
from sgt_sklearn.inspection._explain import explain
from sgt_sklearn.inspection._explanation import Explanation
from sgt_sklearn.inspection._shades import robust_limit

# the first is drawn by kind="auto"; of series of one feature it is "line"
_KINDS = {
    "image": ("overlay", "side_by_side"),
    "series": ("heatmap", "line"),
    "tabular": ("bars", "mean_bars", "beeswarm"),
    "tokens": ("tokens",),
}
_COLORBAR = ("colorbar", "colorbar_kwargs")
_TIME = ("time_step", "time_label")
# the functions that draw, and the arguments of `plot` that they take
_DRAWN_BY = {
    "overlay": (draw_overlay, ("relevance", "image_kwargs", *_COLORBAR)),
    "side_by_side": (draw_side_by_side, ("relevance", "image_kwargs", *_COLORBAR)),
    "heatmap": (
        draw_heat_map,
        ("relevance", "image_kwargs", "line_kwargs", "show_data", *_TIME, *_COLORBAR),
    ),
    "line": (draw_line, ("relevance", "line_kwargs", *_TIME, *_COLORBAR)),
    "bars": (draw_bars, ("max_display", "bar_kwargs")),
    "mean_bars": (draw_mean_bars, ("max_display", "bar_kwargs")),
    "beeswarm": (draw_beeswarm, ("max_display", "scatter_kwargs", *_COLORBAR)),
    "tokens": (draw_tokens, ("relevance", "text_kwargs", *_COLORBAR)),
}
_OF_ALL_SAMPLES = ("mean_bars", "beeswarm")
# few values, none of which is lost among the others
_SCALED_BY_LARGEST = ("bars", "tokens")


class SaliencyMapDisplay:
    """Picture of an explanation: images, series, tables and tokens.

    Use :meth:`from_estimator` or :meth:`from_explanation`, which draw at once, or create a display
    and call :meth:`plot`. Colours are a diverging map, symmetric around 0, that colour-blind
    readers can tell apart.

    Parameters
    ----------
    explanation : Explanation
        What is drawn. Of one output: see :meth:`Explanation.for_target`.

    relevance : array-like of bool, default=None
        Which cells are known to matter, to be outlined: of the shape of the data, for images also
        (n_samples, height, width). Of series of unequal length a list. For images, series and
        tokens.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the values.

    figure_ : matplotlib Figure
        The figure.

    colorbar_ : matplotlib Colorbar or None
        The colour bar.

    image_ : matplotlib AxesImage
        The values as an image ("overlay", "side_by_side", "heatmap").

    data_ax_, data_image_ : matplotlib Axes, AxesImage
        The data as an image ("overlay" without axes of its own, "side_by_side", "heatmap" of
        series of many features).

    lines_ : list of matplotlib Line2D
        The series ("heatmap" of series of few features, "line").

    line_collection_ : matplotlib LineCollection
        The values along a series of one feature ("line").

    bars_ : matplotlib BarContainer
        The bars ("bars", "mean_bars").

    scatters_ : list of matplotlib PathCollection
        The dots of each feature ("beeswarm").

    texts_ : list of matplotlib Text
        The words ("tokens"), or the numbers at bars.

    padding_ : matplotlib Rectangle or None
        What is behind the end of a series ("heatmap", "line").

    See Also
    --------
    explain : Makes explanations.

    Examples
    --------
    >>> from sgt_sklearn.inspection import Explanation, SaliencyMapDisplay
    >>> explanation = Explanation(
    ...     [[0.5, -2.0]],
    ...     data=[[30, "basic"]],
    ...     kind="tabular",
    ...     method="integrated_gradients",
    ...     output="logit",
    ...     target="leaves",
    ...     feature_names=["age", "plan"],
    ... )
    >>> display = SaliencyMapDisplay.from_explanation(explanation)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['plan = basic', 'age = 30']
    >>> display.ax_.get_xlabel()
    "contribution to the logit of 'leaves'"
    """

    def __init__(self, explanation, *, relevance=None):
        self.explanation = explanation
        self.relevance = relevance

    def plot(
        self,
        ax=None,
        *,
        kind="auto",
        sample=0,
        max_display=10,
        limit=None,
        cmap=None,
        colorbar=True,
        show_data=True,
        time_step=1.0,
        time_label="time step",
        image_kwargs=None,
        line_kwargs=None,
        bar_kwargs=None,
        scatter_kwargs=None,
        text_kwargs=None,
        colorbar_kwargs=None,
    ):
        """Draw the explanation.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure. Drawings in two parts split its place.

        kind : {"auto", "overlay", "side_by_side", "heatmap", "line", "bars", "mean_bars", \
"beeswarm", "tokens"}, default="auto"
            What to draw. Of images "overlay", the image in pale grey under its values, or
            "side_by_side"; of series "heatmap", or "line" for one feature; of tables "bars" of one
            sample, "mean_bars" of all, or "beeswarm", a dot a sample in the colour of the
            feature's value; of tokens "tokens". "auto" is the first of these, "line" for series of
            one feature.

        sample : int, default=0
            Which sample is drawn, by position: no label of the index. The title says if there are
            others; "mean_bars" and "beeswarm" draw all.

        max_display : int, default=10
            Largest number of features in bars and swarms: those of the largest (mean) size.

        limit : float, default=None
            Size of values at which colours are strongest. None is the 99 % quantile of the sizes
            of what is drawn; give one to compare pictures.

        cmap : str or matplotlib Colormap, default=None
            Diverging map of the values; None is ColorBrewer's RdBu with red for positive values,
            without its darkest ends. Sizes without a sign take the upper half.

        colorbar : bool, default=True
            Whether to draw a colour bar.

        show_data : bool, default=True
            Whether to draw the series in heat maps: within the rows of up to 12 features, else as
            an image of its own.

        time_step : float, default=1.0
            Time between two steps, in the unit of `time_label`.

        time_label : str, default="time step"
            Name and unit of the time axis, such as "time (s)".

        image_kwargs : dict, default=None
            Keywords for ``imshow`` of the values.

        line_kwargs : dict, default=None
            Keywords for the lines of a heat map (``plot``), or the coloured line
            (``LineCollection``).

        bar_kwargs : dict, default=None
            Keywords for ``barh``.

        scatter_kwargs : dict, default=None
            Keywords for ``scatter``; ``cmap`` is that of the features' values. With a colour for
            all dots there is no colour bar.

        text_kwargs : dict, default=None
            Keywords for ``text``.

        colorbar_kwargs : dict, default=None
            Keywords for ``colorbar``.

        Returns
        -------
        SaliencyMapDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the explanation is of all outputs or has no samples, or an argument does not fit its
            kind.

        IndexError
            If there is no sample at that position.

        TypeError
            If `explanation` is none.

        ImportError
            If matplotlib is missing.
        """
        import_pyplot()
        explanation, kind = self._checked(kind)
        _check_number("limit", limit, allow_none=True)
        _check_number("time_step", time_step)
        _check_count("max_display", max_display)
        i = _check_sample(sample, explanation)
        keywords = {
            "image_kwargs": image_kwargs,
            "line_kwargs": line_kwargs,
            "bar_kwargs": bar_kwargs,
            "scatter_kwargs": scatter_kwargs,
            "text_kwargs": text_kwargs,
            "colorbar_kwargs": colorbar_kwargs,
        }
        draw, takes = _DRAWN_BY[kind]
        _check_keywords(kind, takes, keywords)
        options = {
            "relevance": _check_relevance(self.relevance, explanation),
            "max_display": max_display,
            "colorbar": colorbar,
            "show_data": show_data,
            "time_step": time_step,
            "time_label": time_label,
        }
        options |= {name: dict(value or {}) for name, value in keywords.items()}
        options = {name: options[name] for name in takes}
        if kind in _OF_ALL_SAMPLES:
            found = draw(explanation, ax, **options)
        else:
            drawn = explanation.values[i]
            if explanation.kind == "image":
                drawn = drawn.sum(axis=0)
            quantile = 1.0 if kind in _SCALED_BY_LARGEST else 0.99
            # alone, the sample has a target by name
            scale = Scale(explanation[i], drawn, limit or robust_limit(drawn, quantile), cmap)
            found = draw(explanation, i, ax, scale, **options)
        for name, artist in found.items():
            setattr(self, name, artist)
        self.figure_ = self.ax_.figure
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        method="saliency",
        target="predicted",
        standardized="auto",
        explain_kwargs=None,
        relevance=None,
        ax=None,
        **plot_kwargs,
    ):
        """Explain predictions and draw the explanation.

        It is what ``explain(estimator, X, ...)`` returns for the same arguments; but
        `standardized` is "auto" here, and False there.

        Parameters
        ----------
        estimator : fitted estimator
            A net, pipeline, search or ensemble, as for :func:`explain`.

        X : array-like of shape (n_samples, ...)
            What is explained. Where one sample is drawn, pass that one: ``X.iloc[[i]]``,
            ``X[[i]]``.

        method : str, default="saliency"
            See :func:`explain`. Of one-hot columns gradients are no ranking: take
            "integrated_gradients" or a method that perturbs.

        target : "predicted", label or array-like of shape (n_samples,), default="predicted"
            See :func:`explain`.

        standardized : bool or "auto", default="auto"
            Whether gradients are per standard deviation of each feature in training. "auto" is
            True for tables, whose columns in different units would not compare in one picture
            (see :func:`explain`), and False for all else. The label of the axis names the unit.

        explain_kwargs : dict, default=None
            Further arguments of :func:`explain`, such as `output` and `baseline`.

        relevance : array-like of bool, default=None
            Which cells are known to matter.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        **plot_kwargs
            Arguments of :meth:`plot`, such as `kind` and `sample`.

        Returns
        -------
        SaliencyMapDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            As of :func:`explain` and :meth:`plot`.
        """
        import_pyplot()
        options = {"standardized": standardized} | dict(explain_kwargs or {})
        explanation = explain(estimator, X, method=method, target=target, **options)
        return cls(explanation, relevance=relevance).plot(ax, **plot_kwargs)

    @classmethod
    def from_explanation(cls, explanation, *, relevance=None, ax=None, **plot_kwargs):
        """Draw an explanation.

        Parameters
        ----------
        explanation : Explanation
            What is drawn.

        relevance : array-like of bool, default=None
            Which cells are known to matter.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        **plot_kwargs
            Arguments of :meth:`plot`, such as `kind` and `sample`.

        Returns
        -------
        SaliencyMapDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            As of :meth:`plot`.
        """
        return cls(explanation, relevance=relevance).plot(ax, **plot_kwargs)

    def _checked(self, kind):
        """The explanation, and the kind of drawing."""
        explanation = self.explanation
        if not isinstance(explanation, Explanation):
            raise TypeError(
                "explanation must be an Explanation, as explain returns it, got "
                f"{type(explanation).__name__}."
            )
        explanation._check_one_output("a picture")
        if not len(explanation):
            raise ValueError("explanation must have at least one sample to be drawn, got none.")
        kinds = _KINDS.get(explanation.kind)
        if kinds is None:
            raise ValueError(
                f"explanation must be of one of the kinds {tuple(_KINDS)} to be drawn, got "
                f"{explanation.kind!r}. Its values are an array: explanation.values."
            )
        if kind == "auto":
            one_feature = explanation.kind == "series" and explanation.shape[-1] == 1
            kind = "line" if one_feature else kinds[0]
        if kind not in kinds:
            raise ValueError(
                f"kind must be 'auto' or one of {kinds} for an explanation of kind "
                f"{explanation.kind!r}, got {kind!r}."
            )
        if kind == "line" and explanation.shape[-1] != 1:
            raise ValueError(
                "kind='line' is for series of one feature, got an explanation of "
                f"{explanation.shape[-1]}: use 'heatmap'."
            )
        return explanation, kind


def _check_keywords(kind, takes, keywords):
    for name, value in keywords.items():
        if value is not None and name not in takes:
            known = ", ".join(sorted(set(takes) & keywords.keys()))
            raise ValueError(f"{name} is not used by kind={kind!r}, which takes {known}.")


def _check_sample(sample, explanation):
    n_samples = len(explanation)
    must = f"sample must be a position from 0 to {n_samples - 1}, got {sample!r}"
    if isinstance(sample, (int, np.integer)) and not isinstance(sample, bool):
        if -n_samples <= sample < n_samples:
            return int(sample) % n_samples
        error = IndexError
    else:
        error = TypeError
    names = [] if explanation.index is None else list(explanation.index)
    found = [i for i, name in enumerate(names) if name == sample]
    if len(found) == 1:
        must += f", a label of the index: use sample={found[0]}"
    raise error(f"{must}.")


def _check_number(name, value, allow_none=False):
    if value is None and allow_none:
        return
    number = isinstance(value, (int, float, np.integer, np.floating))
    if isinstance(value, bool) or not number or not 0 < value < np.inf:
        raise ValueError(f"{name} must be a positive number, got {value!r}.")


def _check_count(name, value):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be an int of at least 1, got {value!r}.")


def _check_relevance(relevance, explanation):
    """Relevance as an array of the shape of the data, False on padding."""
    if relevance is None:
        return None
    if explanation.kind == "tabular":
        raise ValueError("relevance is drawn for images, series and tokens, got it for a table.")
    shape = explanation.data.shape
    shapes = [shape] if explanation.kind != "image" else [shape, shape[:1] + shape[2:]]
    if isinstance(relevance, (list, tuple)) and explanation.lengths is not None:
        parts = [np.asarray(part) for part in relevance]
        lengths = [len(part) for part in parts]
        if lengths != explanation.lengths.tolist():
            raise ValueError(
                "relevance must be as long as each series, "
                f"{explanation.lengths.tolist()[:5]}, got {lengths[:5]}."
            )
        mask = np.zeros(shape, dtype=np.result_type(*parts))
        for row, part in zip(mask, parts, strict=True):
            row[: len(part)] = part
    else:
        mask = np.asarray(relevance)
    if mask.dtype != bool or mask.shape not in shapes:
        expected = " or ".join(map(str, shapes))
        raise ValueError(
            f"relevance must be boolean of shape {expected}, got {mask.dtype} of shape "
            f"{mask.shape}."
        )
    if explanation.lengths is not None:
        inside = explanation._inside()
        mask = mask & inside.reshape(inside.shape + (1,) * (mask.ndim - 2))
    return mask
