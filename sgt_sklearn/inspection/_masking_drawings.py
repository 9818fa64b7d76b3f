"""Drawings of what is hidden, by kind of input; matplotlib is imported inside functions."""

import numpy as np

from sgt_sklearn.inspection._draw_common import bar_style, label, styled

HIDDEN, KEPT, INK = "#2a5783", "#eef1f4", "#333333"
# seen on black, grey and white
_OVER_PICTURE, _TRACE = "#56b4e9", "#d55e00"
# from what is always kept to what is always hidden
_SHARE = (KEPT, "#9fc0dc", HIDDEN)
_MOST_NAMES, _FEW_NAMES = 60, 12
_FEW_FEATURES = 10


def draw_raster(display, ax, *, n_panels, sort, line_kwargs, image_kwargs, bar_kwargs):
    """Features (words) by epochs, their shares beside them."""
    hidden, share = display.hidden, display.hidden_share
    order = np.arange(hidden.shape[1])
    tabular = display.kind == "tabular"
    if sort and tabular:
        order = np.argsort(share, kind="stable")
    height = 1.9 + 0.21 * min(len(order), _MOST_NAMES)
    grid = _grid(display, ax, (7.5, max(3.2, height)), (2, 2), (1.1, height - 1.1), (5, 1))
    raster = display.figure_.add_subplot(grid[1, 0])
    top = display.figure_.add_subplot(grid[0, 0], sharex=raster)
    bars = display.figure_.add_subplot(grid[1, 1], sharey=raster)
    extent = (*_epoch_extent(display.epochs), len(order) - 0.5, -0.5)
    image = _cells(raster, hidden[:, order].T, **{"extent": extent} | image_kwargs)
    raster.set(xlabel="epoch", ylabel="most often kept first" if sort and tabular else None)
    what = "feature" if tabular else "word"
    _name_rows(raster, np.array(display.feature_names, dtype=object)[order], what)
    _draw_k(display, top, line_kwargs)
    _title(top, "sample" if tabular else "text")
    _without_labels(top, "x")
    thickness = 0.8 if len(order) <= _MOST_NAMES else 1
    style = bar_style(bar_kwargs, HIDDEN, thickness)
    display.bars_ = bars.barh(np.arange(len(order)), share[order], **style)
    bars.set(xlim=(0, 1), xlabel="share hidden", xticks=(0, 0.5, 1))
    bars.spines[["top", "right"]].set_visible(False)
    bars.tick_params(axis="y", left=False, labelleft=False)
    _legend(top, {"hidden": HIDDEN, "kept": KEPT}, beside=True)
    display.ax_, display.axes_ = raster, np.array([top, raster, bars], dtype=object)
    display.images_, display.colorbar_ = [image], None


def draw_series(display, ax, *, n_panels, sort, line_kwargs, image_kwargs, bar_kwargs):
    """Time steps by features at some epochs, and how often each cell was hidden."""
    n_steps, n_features = display.inputs.shape
    chosen = _chosen(len(display.epochs), n_panels)
    stacked = n_steps > 3 * n_features
    n = len(chosen) + 1
    if stacked:
        height = float(np.clip(0.3 * n_features, 0.8, 2))
        shape, heights, widths = (1 + n, 1), (1.0, *(height,) * n), (1,)
        size = (7.5, 1.6 + n * (height + 0.25))
    else:
        shape, heights, widths = (2, n), (1.0, 2.6), (1,) * n
        size = (2.3 * n + 1, 4.8)
    grid = _grid(display, ax, size, shape, heights, widths)
    top = display.figure_.add_subplot(grid[0, :])
    _draw_k(display, top, line_kwargs, chosen)
    top.set_xlabel("epoch")
    _title(top, "series")
    traces = n_features <= _FEW_FEATURES
    _legend(top, {"hidden": HIDDEN, "kept": KEPT}, {"series": _TRACE} if traces else {})
    panels, images = [], []
    for i in range(n):
        place = grid[1 + i, 0] if stacked else grid[1, i]
        first = panels[0] if panels else None
        panel = display.figure_.add_subplot(place, sharex=first, sharey=first)
        last = i == n - 1
        values = display.hidden_share if last else display.hidden[chosen[i]]
        title = "how often hidden" if last else f"epoch {display.epochs[chosen[i]]}"
        images.append(_cells(panel, values.T, **(image_kwargs if last else {})))
        _name_rows(panel, display.feature_names, "feature")
        if stacked:
            panel.set_title(title, loc="left", fontsize="medium")
            panel.tick_params(axis="x", labelbottom=last)
        else:
            panel.set_title(title, fontsize="medium")
            if i:
                _without_labels(panel, "y")
                panel.set_ylabel(None)
        if last or not stacked:
            panel.set_xlabel("time step")
        if traces and not last:
            _draw_traces(panel, display.inputs)
        panels.append(panel)
    _finish(display, top, panels, images, beside=panels[-1])


def draw_images(display, ax, *, n_panels, sort, line_kwargs, image_kwargs, bar_kwargs):
    """What is hidden and what the network gets at some epochs; how often pixels were hidden."""
    chosen = _chosen(len(display.epochs), n_panels)
    n = len(chosen) + 1
    grid = _grid(display, ax, (1.9 * n + 0.8, 5.6), (3, n), (1.0, 2, 2), (1,) * n)
    top = display.figure_.add_subplot(grid[0, :])
    _draw_k(display, top, line_kwargs, chosen)
    top.set_xlabel("epoch")
    _title(top, "image")
    _legend(top, {"hidden": _OVER_PICTURE})
    panels, images, below = [], [], []
    for i, epoch in enumerate(chosen):
        panel = display.figure_.add_subplot(grid[1, i])
        below.append(display.figure_.add_subplot(grid[2, i]))
        _draw_picture(panel, display.inputs, display.inputs)
        images.append(_overlay(panel, display.hidden[epoch].mean(axis=0)))
        panel.set_title(f"epoch {display.epochs[epoch]}", fontsize="medium")
        below[i].image = _draw_picture(below[i], display.masked[epoch], display.inputs)
        panels.append(panel)
    panels[0].set_ylabel("hidden pixels")
    below[0].set_ylabel("what the\nnetwork gets")
    images += [panel.image for panel in below]
    sample = display.figure_.add_subplot(grid[2, -1])
    _draw_picture(sample, display.inputs, display.inputs)
    sample.set_title("sample", fontsize="medium")
    share = display.figure_.add_subplot(grid[1, -1])
    style = {"aspect": "equal"} | image_kwargs
    images.append(_cells(share, display.hidden_share.mean(axis=0), **style))
    share.set_title("how often hidden", fontsize="medium")
    for panel in (*panels, *below, sample, share):
        panel.set(xticks=(), yticks=())
    _finish(display, top, [*panels, *below, sample, share], images, beside=share)


# parts


def _grid(display, ax, size, shape, heights, widths):
    """Divide the place of an axes, or a new figure."""
    from matplotlib import pyplot
    from matplotlib.gridspec import GridSpec, GridSpecFromSubplotSpec

    ratios = {"height_ratios": heights, "width_ratios": widths}
    if ax is None:
        display.figure_ = pyplot.figure(figsize=size, layout="constrained")
        return GridSpec(*shape, figure=display.figure_, **ratios)
    display.figure_ = ax.get_figure()
    ax.set_axis_off()
    place = ax.get_subplotspec()
    if place is None:
        box = ax.get_position()
        edges = {"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1}
        return GridSpec(*shape, figure=display.figure_, **edges, **ratios)
    return GridSpecFromSubplotSpec(*shape, subplot_spec=place, **ratios)


def _colours():
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("hidden", _SHARE)


def _chosen(n_epochs, n_panels):
    return np.unique(np.linspace(0, n_epochs - 1, min(n_panels, n_epochs)).round().astype(int))


def _epoch_extent(epochs):
    step = epochs[1] - epochs[0] if len(epochs) > 1 else 1
    return epochs[0] - step / 2, epochs[-1] + step / 2


def _draw_k(display, axis, line_kwargs, chosen=()):
    from matplotlib.lines import Line2D

    style = {"color": INK, "drawstyle": "steps-mid", "linewidth": 1.5}
    style |= {"marker": "o"} if len(display.epochs) == 1 else {}
    style = styled(Line2D, line_kwargs, **style)
    (display.line_,) = axis.plot(display.epochs, display.n_hidden, **style)
    if len(chosen):
        marked = display.epochs[chosen], display.n_hidden[chosen]
        axis.plot(*marked, "o", color=HIDDEN, zorder=3, clip_on=False)
    largest = max(1, int(display.n_hidden.max()))
    axis.set(ylim=(0, 1.2 * largest), ylabel=f"hidden k\nof {display.n_groups}")
    axis.set_xlim(*_epoch_extent(display.epochs))
    axis.spines[["top", "right"]].set_visible(False)
    if len(display.epochs) <= _FEW_NAMES:
        axis.set_xticks(display.epochs)
    else:
        _integers(axis.xaxis)
    _integers(axis.yaxis, 3)


def _title(axis, what):
    axis.set_title(f"What training hides of one {what}", loc="left")


def _legend(axis, patches, lines=(), beside=False):
    """Colours and their meaning, above an axes or beside it."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=patches[name], edgecolor="0.7", label=name) for name in patches]
    handles += [Line2D([], [], color=lines[name], label=name) for name in lines]
    place = {"loc": "lower right", "bbox_to_anchor": (1, 0.98), "ncols": len(handles)}
    if beside:
        place = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5)}
    legend = axis.legend(handles=handles, borderaxespad=0, frameon=False, **place)
    legend.set_in_layout(not beside)  # in a corner of the grid, which has the room


def _cells(axis, values, **kwargs):
    style = {"cmap": _colours(), "vmin": 0, "vmax": 1, "aspect": "auto"}
    style |= {"interpolation": "nearest"} | kwargs
    return axis.imshow(np.asarray(values, dtype=float), **style)


def _overlay(axis, hidden):
    from matplotlib.colors import ListedColormap

    shown = np.ma.masked_equal(np.asarray(hidden, dtype=float), 0)
    return axis.imshow(
        shown, cmap=ListedColormap([_OVER_PICTURE]), vmin=0, vmax=1, interpolation="nearest"
    )


def _draw_picture(axis, picture, sample):
    """An image of one or three channels, or the mean of others, in the range of the sample."""
    low, high = float(sample.min()), float(sample.max())
    values = (np.asarray(picture, dtype=float) - low) / ((high - low) or 1.0)
    values = values.clip(0, 1).transpose(1, 2, 0)
    if values.shape[2] != 3:
        values = values.mean(axis=2)
    return axis.imshow(values, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _draw_traces(axis, series):
    """Each feature of a series as a line in its row."""
    spread = np.abs(series - series.mean(axis=0)).max(axis=0)
    lines = (series.mean(axis=0) - series) / np.where(spread == 0, 1, spread) * 0.42
    axis.plot(lines + np.arange(series.shape[1]), color=_TRACE, linewidth=0.9)


def _name_rows(axis, names, what):
    """Names of rows, some of them where there are many; numbers where they have none."""
    names = list(names)
    n = len(names)
    if n > _FEW_NAMES and what == "feature" and names == [f"x{i}" for i in range(n)]:
        axis.set_ylabel(what)
        _integers(axis.yaxis)
        return
    shown = range(0, n, -(-n // _MOST_NAMES))
    size = "small" if n > _FEW_NAMES else None
    axis.set_yticks(shown, [label(names[i]) for i in shown], fontsize=size)


def _integers(axis, n_bins="auto"):
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=n_bins, integer=True))


def _without_labels(axis, which):
    axis.tick_params(axis=which, labelbottom=which != "x", labelleft=which != "y")


def _finish(display, top, panels, images, beside):
    display.colorbar_ = display.figure_.colorbar(
        images[-1], ax=beside, label="share of epochs", ticks=(0, 0.5, 1), pad=0.02
    )
    display.ax_, display.axes_ = panels[0], np.array([top, *panels], dtype=object)
    display.images_, display.bars_ = images, None
