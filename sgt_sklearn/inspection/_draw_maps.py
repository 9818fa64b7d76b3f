"""Images and series with their attributions."""

import numpy as np

from sgt_sklearn.inspection._draw_common import (
    DATA_COLOUR,
    PADDING_STYLE,
    RELEVANCE_STYLE,
    axes_or_new,
    companion,
    label,
    set_title,
    styled,
)
from sgt_sklearn.inspection._shades import range_of

# features of a series whose own course is drawn into their rows
MOST_LINES = 12
_MOST_NAMES = 30


def draw_overlay(explanation, i, ax, scale, *, relevance, colorbar, colorbar_kwargs, image_kwargs):
    """An image in pale grey under its values, which fade towards 0."""
    values = explanation.values[i].sum(axis=0)
    height, width = values.shape
    inches = 1.4 + 3.6 * min(width / height, 2.5), 0.8 + 3.6 * max(0.5, min(height / width, 1))
    ax = axes_or_new(ax, *inches, "compressed")
    # in grey, so that all colours are those of the values
    grey = np.asarray(explanation.data[i], dtype=float).mean(axis=0, keepdims=True)
    underlay = _draw_image(ax, grey, alpha=0.4)
    style = {"cmap": scale.transparent(), "norm": scale.norm, "interpolation": "nearest"}
    image = ax.imshow(values, **style | image_kwargs)
    _finish_image(ax, explanation, i, values, relevance)
    bar = scale.colour_bar(ax, image, **colorbar_kwargs) if colorbar else None
    return {"ax_": ax, "image_": image, "data_image_": underlay, "colorbar_": bar}


def draw_side_by_side(
    explanation, i, ax, scale, *, relevance, colorbar, colorbar_kwargs, image_kwargs
):
    """An image, and its values beside it."""
    values = explanation.values[i].sum(axis=0)
    height, width = values.shape
    inches = 1.6 + 6.4 * min(width / height, 2), 0.8 + 3.2 * max(0.5, min(height / width, 1))
    ax = axes_or_new(ax, *inches, "compressed")
    data_ax = companion(ax, 1, 2)
    shown = _draw_image(data_ax, explanation.data[i])
    style = {"cmap": scale.cmap, "norm": scale.norm, "interpolation": "nearest"}
    image = ax.imshow(values, **style | image_kwargs)
    _finish_image(ax, explanation, i, values, relevance)
    data_ax.set(xticks=[], yticks=[])
    data_ax.set_title("image", fontsize="medium")
    bar = scale.colour_bar(ax, image, **colorbar_kwargs) if colorbar else None
    found = {"ax_": ax, "image_": image, "data_image_": shown, "data_ax_": data_ax}
    return found | {"colorbar_": bar}


def _draw_image(ax, image, alpha=1.0):
    """An image of channels first, in grey or in its three colours."""
    image = np.asarray(image, dtype=float)
    low, span = range_of(image)
    image = (image - low) / span
    if len(image) == 3:
        return ax.imshow(image.transpose(1, 2, 0), alpha=alpha, interpolation="nearest")
    style = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "nearest"}
    return ax.imshow(image.mean(axis=0), alpha=alpha, **style)


def _finish_image(ax, explanation, i, values, relevance):
    n_channels = explanation.data.shape[1]
    note = f"sum over {n_channels} channels" if n_channels > 1 else ""
    ax.set(xticks=[], yticks=[], xlabel=note)
    more = [] if relevance is None else ["outlined: relevant pixels"]
    set_title(ax, explanation, i, *more)
    if relevance is not None:
        mask = relevance[i] if relevance[i].ndim == 2 else relevance[i].any(axis=0)
        _draw_outline(ax, mask)


def draw_heat_map(
    explanation,
    i,
    ax,
    scale,
    *,
    relevance,
    colorbar,
    colorbar_kwargs,
    image_kwargs,
    line_kwargs,
    show_data,
    time_step,
    time_label,
):
    """Features in rows and steps in columns, with the series in its rows or above."""
    values = explanation.values[i].T
    n_features, n_steps = values.shape
    with_lines = show_data and n_features <= MOST_LINES
    beside = show_data and not with_lines
    rows = min(max(0.42 * n_features, 1.6), 3.2 if beside else 4.2)
    ax = axes_or_new(ax, 7.4, (2 * rows + 1.4) if beside else (rows + 1.3))
    extent = _extent(n_steps, n_features, time_step)
    placed = {"extent": extent, "aspect": "auto", "interpolation": "nearest", "origin": "upper"}
    data_ax = companion(ax, 2, 1) if beside else None
    image = ax.imshow(values, **placed | {"cmap": scale.cmap, "norm": scale.norm} | image_kwargs)
    lines = []
    if with_lines:
        lines = _draw_lines(ax, explanation, i, time_step, line_kwargs)
    padding = _draw_padding(ax, explanation, i, extent, time_step)
    more = [] if relevance is None else ["outlined: relevant cells"]
    set_title(data_ax or ax, explanation, i, *more)
    if relevance is not None:
        for part in (ax, data_ax) if beside else (ax,):
            _draw_outline(part, relevance[i].T, time_step)
    _name_features(ax, explanation)
    ax.set_xlabel(time_label)
    found = {"ax_": ax, "image_": image, "lines_": lines, "padding_": padding}
    if beside:
        data = np.asarray(explanation.data[i], dtype=float).T
        found |= {"data_ax_": data_ax, "data_image_": data_ax.imshow(data, cmap="gray", **placed)}
        _draw_padding(data_ax, explanation, i, extent, time_step)
        _name_features(data_ax, explanation)
        data_ax.tick_params(labelbottom=False)
        if colorbar:
            ax.figure.colorbar(found["data_image_"], ax=data_ax, label="value of X", aspect=15)
    if colorbar:
        options = {"aspect": 15 if beside else 20} | colorbar_kwargs
        found["colorbar_"] = scale.colour_bar(ax, image, **options)
    return found


def _extent(n_steps, n_features, time_step):
    """Cells of steps are centred at their times, cells of features at their numbers."""
    return (-0.5 * time_step, (n_steps - 0.5) * time_step, n_features - 0.5, -0.5)


def _length(explanation, i):
    return explanation.data.shape[1] if explanation.lengths is None else explanation.lengths[i]


def _draw_lines(ax, explanation, i, time_step, line_kwargs):
    """The course of each feature within its row, more being up; each by its own range."""
    from matplotlib.lines import Line2D

    style = styled(Line2D, line_kwargs, color=DATA_COLOUR, linewidth=1.0)
    length = _length(explanation, i)
    lines = []
    for j, series in enumerate(np.asarray(explanation.data[i, :length], dtype=float).T):
        low, span = range_of(series)
        height = j + 0.38 - 0.76 * (series - low) / span
        lines += ax.plot(np.arange(length) * time_step, height, **style)
    return lines


def _draw_padding(ax, explanation, i, extent, time_step):
    """Hatch the steps behind the end; None where there are none."""
    length = _length(explanation, i)
    if length == explanation.data.shape[1]:
        return None
    from matplotlib.patches import Rectangle

    start = (length - 0.5) * time_step
    bottom, top = sorted(extent[2:])
    patch = Rectangle((start, bottom), extent[1] - start, top - bottom, **PADDING_STYLE)
    return ax.add_patch(patch)


def _draw_outline(ax, mask, width=1.0):
    """Lines around the cells of a mask, along their edges; `width` is that of a cell."""
    from matplotlib.collections import LineCollection

    wide = np.pad(mask, 1)
    rows, columns = np.nonzero(wide[1:-1, 1:] != wide[1:-1, :-1])
    upright = [
        [(c - 0.5, r - 0.5), (c - 0.5, r + 0.5)] for r, c in zip(rows, columns, strict=True)
    ]
    rows, columns = np.nonzero(wide[1:, 1:-1] != wide[:-1, 1:-1])
    level = [[(c - 0.5, r - 0.5), (c + 0.5, r - 0.5)] for r, c in zip(rows, columns, strict=True)]
    segments = np.array(upright + level, dtype=float).reshape(-1, 2, 2) * (width, 1)
    lines = LineCollection(segments, label="relevant", **RELEVANCE_STYLE)
    # edges of the picture are not to be cut
    lines.set_clip_on(False)
    return ax.add_collection(lines, autolim=False)


def _name_features(ax, explanation):
    names = explanation._feature_names()
    if len(names) <= _MOST_NAMES and (explanation.feature_names is not None or len(names) > 1):
        ax.set_yticks(range(len(names)), [label(name) for name in names])
    elif explanation.feature_names is None:
        ax.set_ylabel("feature")
    else:
        some = np.unique(np.linspace(0, len(names) - 1, _MOST_NAMES // 2).round().astype(int))
        ax.set_yticks(some, [label(names[j]) for j in some])
    if len(names) == 1 and explanation.feature_names is None:
        ax.set_yticks([])


def draw_line(
    explanation,
    i,
    ax,
    scale,
    *,
    relevance,
    colorbar,
    colorbar_kwargs,
    line_kwargs,
    time_step,
    time_label,
):
    """A series of one feature: its course, on a broad line in the colours of its values."""
    from matplotlib.collections import LineCollection

    ax = axes_or_new(ax, 7.4, 3.4)
    length = _length(explanation, i)
    series = np.asarray(explanation.data[i, :length, 0], dtype=float)
    times = np.arange(length) * time_step
    # values of missing data are drawn between the neighbours of the gap
    known = np.isfinite(series)
    heights = np.interp(times, times[known], series[known]) if known.any() else 0.0 * times
    points = np.stack([times, heights], axis=1)
    middles = (points[1:] + points[:-1]) / 2
    # each step colours its half of the way to its neighbours
    starts = np.concatenate([points[:1], middles])
    ends = np.concatenate([middles, points[-1:]])
    segments = np.stack([starts, points, ends], axis=1)
    style = styled(
        LineCollection,
        line_kwargs,
        cmap=scale.cmap,
        norm=scale.norm,
        linewidth=9,
        capstyle="butt",
        joinstyle="round",
        zorder=2,
    )
    collection = LineCollection(segments, **style)
    collection.set_array(explanation.values[i, :length, 0])
    ax.add_collection(collection)
    (line,) = ax.plot(times, series, color=DATA_COLOUR, linewidth=1.0, zorder=3)
    n_steps = explanation.data.shape[1]
    low, span = range_of(series)
    ax.set(
        xlim=(-0.5 * time_step, (n_steps - 0.5) * time_step),
        ylim=(low - 0.1 * span, low + 1.1 * span),
        xlabel=time_label,
        ylabel=label(explanation._feature_names()[0])
        if explanation.feature_names
        else "value of X",
    )
    more = [] if relevance is None else ["grey ground: relevant steps"]
    set_title(ax, explanation, i, *more)
    padding = _draw_padding(ax, explanation, i, (*ax.get_xlim(), *ax.get_ylim()), time_step)
    if relevance is not None:
        _draw_spans(ax, relevance[i, :, 0], time_step)
    bar = scale.colour_bar(ax, collection, **colorbar_kwargs) if colorbar else None
    found = {"ax_": ax, "lines_": [line], "line_collection_": collection}
    return found | {"padding_": padding, "colorbar_": bar}


def _draw_spans(ax, steps, time_step):
    """A grey ground under relevant steps."""
    edges = np.flatnonzero(np.diff(np.pad(steps, 1).astype(int)))
    for start, end in edges.reshape(-1, 2):
        ax.axvspan(
            (start - 0.5) * time_step,
            (end - 0.5) * time_step,
            color="#ececec",
            zorder=0,
            label="relevant",
        )
