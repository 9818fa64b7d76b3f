"""Tables: bars of one sample or of all, and a swarm of dots."""

import numpy as np

from sgt_sklearn.inspection._draw_common import (
    NEUTRAL_COLOUR,
    axes_or_new,
    bar_style,
    escaped,
    label,
    set_title,
    styled,
    wrapped,
)
from sgt_sklearn.inspection._wording import (
    counted,
    datum_text,
    is_contribution,
    is_unsigned,
    method_name,
    number_text,
    value_name,
)

_MOST_DOTS = 300
_DIAMETERS = (6.0, 5.0, 4.2, 3.6, 3.1, 2.7, 2.4, 2.1, 1.8)  # of dots, in points
_BESIDE = 6.0  # points that a number at a bar keeps free on both sides together
_TICK = 45.0  # points that a number under the x axis may take
_ROW = 0.9  # share of a row's height that dots may fill


def draw_bars(explanation, i, ax, scale, *, max_display, bar_kwargs):
    """Signed bars of one sample, with the values of the data beside the names."""
    values, data = explanation.values[i], explanation.data[i]
    order = np.argsort(-np.abs(values), kind="stable")
    shown, rest = order[:max_display], order[max_display:]
    names = explanation._feature_names()
    labels = [f"{label(names[j])} = {label(datum_text(data[j]), 20)}" for j in shown]
    widths = values[shown].astype(float)
    colours = [scale.colours(np.sign(v) * 0.75 * scale.limit) for v in widths]
    if len(rest) and is_contribution(explanation):
        labels.append(f"sum of {counted(len(rest), 'other')}")
        widths = np.append(widths, values[rest].sum())
        colours.append("#c8c8c8")
    ax = axes_or_new(ax, 7.4, 1.3 + 0.32 * len(widths))
    places = np.arange(len(widths))
    bars = ax.barh(places, widths, **bar_style(bar_kwargs, colours))
    signed = not is_unsigned(explanation)
    texts = ax.bar_label(
        bars, [number_text(v, signed) for v in widths], padding=3, fontsize="small"
    )
    ax.axvline(0, color="black", linewidth=0.8)
    _finish(ax, labels, value_name(explanation[i]))
    set_title(ax, explanation, i)
    if len(rest) and not is_contribution(explanation):
        _note(
            ax,
            f"{counted(len(rest), 'more feature')}, of size "
            f"{number_text(np.abs(values[rest]).max(), signed=False)} at most",
        )
    _leave_room(ax, widths, texts)
    return {"ax_": ax, "bars_": bars, "texts_": texts}


def draw_mean_bars(explanation, ax, *, max_display, bar_kwargs):
    """Bars of the mean sizes over all samples."""
    means = explanation.mean_abs()
    order = np.argsort(-means, kind="stable")
    shown, rest = order[:max_display], order[max_display:]
    names = explanation._feature_names()
    ax = axes_or_new(ax, 7.4, 1.3 + 0.32 * len(shown))
    bars = ax.barh(np.arange(len(shown)), means[shown], **bar_style(bar_kwargs, NEUTRAL_COLOUR))
    numbers = [number_text(v, signed=False) for v in means[shown]]
    texts = ax.bar_label(bars, numbers, padding=3, fontsize="small")
    _finish(ax, [label(names[j]) for j in shown], f"size of the {value_name(explanation)}")
    of = counted(len(explanation), "sample")
    ax.set_title(escaped(f"mean over {of}\n{method_name(explanation)}"), fontsize="medium")
    if len(rest):
        _note(
            ax,
            f"{counted(len(rest), 'more feature')}, of mean size "
            f"{number_text(means[rest].max(), signed=False)} at most",
        )
    _leave_room(ax, means[shown], texts)
    return {"ax_": ax, "bars_": bars, "texts_": texts}


def draw_beeswarm(explanation, ax, *, max_display, colorbar, colorbar_kwargs, scatter_kwargs):
    """Dots of all samples in rows of features, in the colour of the feature's value."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PathCollection
    from matplotlib.colors import Normalize

    n_samples = len(explanation)
    rows = np.arange(n_samples)
    if n_samples > _MOST_DOTS:
        rows = np.unique(np.linspace(0, n_samples - 1, _MOST_DOTS).round().astype(int))
    means = explanation.mean_abs()
    order = np.argsort(-means, kind="stable")[:max_display]
    names = explanation._feature_names()
    ax = axes_or_new(ax, 7.4, 1.4 + (0.42 + len(rows) / 2500) * len(order))
    given = styled(PathCollection, scatter_kwargs)
    cmap, norm = _value_colours(given.pop("cmap", None)), Normalize(0, 1)
    by_value = not {"c", "color", "facecolor"} & given.keys()
    of = f"{len(rows)} of {n_samples}" if len(rows) < n_samples else str(n_samples)
    samples = f"{of} sample{'s' * (n_samples != 1)}"
    _finish(ax, [label(names[j]) for j in order], value_name(explanation))
    ax.set_title(escaped(f"{samples}\n{method_name(explanation)}"), fontsize="medium")
    ax.axvline(0, color="black", linewidth=0.8, zorder=1)
    values = explanation.values[np.ix_(rows, order)].astype(float)
    span = max(values.max(), 0) - min(values.min(), 0) or 1.0
    ax.set_xlim(min(values.min(), 0) - 0.04 * span, max(values.max(), 0) + 0.04 * span)
    shares_of = [_shares(explanation.data[:, j])[rows] for j in order]
    bar = None
    if colorbar and by_value:
        meaning = "value of the feature"
        if any(np.isnan(shares).any() for shares in shares_of):
            meaning += " (grey: words, or missing)"
        options = {"label": wrapped(ax, meaning), "aspect": 30} | colorbar_kwargs
        bar = ax.figure.colorbar(ScalarMappable(norm, cmap), ax=ax, **options)
        bar.set_ticks([0, 1], labels=["low", "high"])
    if len(means) > len(order):
        left = np.sort(means)[: len(means) - len(order)].max()
        _note(
            ax,
            f"{counted(len(means) - len(order), 'more feature')}, of mean size "
            f"{number_text(left, signed=False)} at most",
        )
    # the size of the axes in points decides which dots overlap
    ax.figure.draw_without_rendering()
    box = ax.get_window_extent()
    points = 72 / ax.figure.dpi
    along = points * box.width / np.ptp(ax.get_xlim())
    across = points * box.height / abs(np.ptp(ax.get_ylim()))
    offsets, diameter = swarm(values.T * along, _ROW / 2 * across)
    dots = []
    for k, shares in enumerate(shares_of):
        colours = cmap(norm(shares))
        colours[np.isnan(shares)] = (0.6, 0.6, 0.6, 1)
        style = {"s": diameter**2, "linewidth": 0, "zorder": 2}
        style |= {"c": colours} if by_value else {}
        dots.append(ax.scatter(values[:, k], k + offsets[k] / across, **style | given))
    return {"ax_": ax, "scatters_": dots, "colorbar_": bar}


def swarm(rows, half_height):
    """Offsets of dots in rows so that none overlap, and their diameter, in the same unit.

    Dots lie in lanes, as near the middle of their row as others let them. Dots at the very same
    place, such as those of a constant column, do not make all others smaller. Where dots do not
    fit into their row, its lanes move together, and they overlap.
    """
    places = [np.unique(np.round(row, 3)) for row in rows]
    for diameter in _DIAMETERS:
        most = max(np.abs(_lanes(row, diameter)).max() for row in places)
        if (most + 0.5) * diameter <= half_height:
            break
    offsets = []
    for row in rows:
        lanes = _lanes(row, diameter)
        room = (half_height - diameter / 2) / max(np.abs(lanes).max(), 1)
        offsets.append(lanes * min(diameter, room))
    return offsets, diameter


def _lanes(row, diameter):
    """Number of the lane of each dot: 0 in the middle, then 1, -1, 2 and so on."""
    lanes, ends = np.zeros(len(row), dtype=int), []
    for k in np.argsort(row, kind="stable"):
        free = next((j for j, end in enumerate(ends) if end <= row[k]), len(ends))
        if free == len(ends):
            ends.append(0.0)
        ends[free] = row[k] + diameter
        lanes[k] = (free + 1) // 2 * (1 if free % 2 else -1)
    return lanes


def _shares(column):
    """Values of a feature from 0 to 1 between its 5 % and 95 % quantiles; NaN for words."""
    try:
        column = np.asarray(column, dtype=float)
    except (TypeError, ValueError):
        return np.full(len(column), np.nan)
    if np.isnan(column).all():
        return column
    low, high = np.nanquantile(column, [0.05, 0.95])
    if low == high:
        low, high = np.nanmin(column), np.nanmax(column)
    return np.clip((column - low) / ((high - low) or 1.0), 0, 1)


def _value_colours(cmap):
    if cmap is not None:
        import matplotlib

        return matplotlib.colormaps[cmap] if isinstance(cmap, str) else cmap
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    # the yellow end would be lost on white
    return ListedColormap(colormaps["plasma"](np.linspace(0, 0.85, 256)), name="plasma_dark")


def _finish(ax, labels, xlabel):
    ax.set_yticks(range(len(labels)), labels)
    ax.set(ylim=(len(labels) - 0.5, -0.5), xlabel=escaped(xlabel))
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


def _leave_room(ax, widths, texts):
    """Limits of the x axis that leave room for the numbers at the bars."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(widths.min(), 0), max(widths.max(), 0)
    total = span = (high - low) or 1.0
    ax.set_xlim(low, low + span)
    # what stands beside the axes decides how wide they are, and so how much numbers take of them
    ax.figure.draw_without_rendering()
    of_text = np.array([text.get_window_extent().width for text in texts])
    width, point = ax.get_window_extent().width, ax.figure.dpi / 72
    shares = (of_text + _BESIDE * point) / width
    if isinstance(ax.xaxis.get_major_locator(), MaxNLocator):
        ax.locator_params(axis="x", nbins=int(np.clip(width / point / _TICK, 2, 9)))
    below, edge = widths < 0, 0.02 * span
    for _ in range(30):  # the wider the limits, the more a number takes in units of the values
        needs = shares * total
        left = np.max((low - widths + needs)[below], initial=edge * (low < 0))
        right = np.max((widths - high + needs)[~below], initial=edge)
        total = min(span + left + right, 5 * span)
    ax.set_xlim(low - left, high + right)


def _note(ax, text):
    """A remark under the label of the x axis."""
    ax.set_xlabel(f"{ax.get_xlabel()}\n({text})")
