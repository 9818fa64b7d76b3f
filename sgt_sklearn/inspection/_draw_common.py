"""What all drawings of explanations share: figures, colour scales, titles."""

from textwrap import wrap

import numpy as np

from sgt_sklearn.inspection._wording import (
    is_unsigned,
    method_name,
    output_text,
    sample_name,
    target_text,
    value_name,
)

DATA_COLOUR = "#222222"
NEUTRAL_COLOUR = "#7d7d9c"
PADDING_STYLE = {"facecolor": "#e6e6e6", "edgecolor": "#b0b0b0", "hatch": "///", "linewidth": 0}
_LETTER = 5.6  # width of a letter of a label, in points
RELEVANCE_STYLE = {"colors": "#111111", "linewidths": 1.6}


def import_pyplot():
    """Return pyplot, or say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib.") from error
    return plt


def axes_or_new(ax, width, height, layout="constrained"):
    """The axes to draw on: those of the caller, or a new figure of this size in inches."""
    if ax is not None:
        return ax
    _, ax = import_pyplot().subplots(figsize=(width, height), layout=layout)
    return ax


def companion(ax, rows, columns, heights=None):
    """Split the place of `ax` in two; return new axes in the first part, `ax` gets the other."""
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError(
            "ax must be in a grid, as plt.subplots makes it, to be split in two; got axes that "
            "were placed by hand. Turn the second part off with show_data=False."
        )
    parts = GridSpecFromSubplotSpec(rows, columns, subplot_spec=spec, height_ratios=heights)
    ax.set_subplotspec(parts[1])
    return ax.figure.add_subplot(parts[0])


def styled(artist, given, **defaults):
    """Keywords of an artist, those of the caller first, under whichever alias they come."""
    from matplotlib.cbook import normalize_kwargs

    return defaults | normalize_kwargs(given, artist)


def bar_style(given, colour, height=0.7):
    """Keywords of ``barh``; a colour of the caller's takes the place of ours."""
    from matplotlib.patches import Patch

    given = styled(Patch, given, height=height)
    return given if {"color", "facecolor"} & given.keys() else given | {"color": colour}


def wrapped(ax, title):
    """The title of an upright colour bar of `ax`, in lines that are no longer than the bar."""
    height = ax.get_window_extent().height * 72 / ax.figure.dpi
    return "\n".join(wrap(title, max(20, int(height / _LETTER))))


def _diverging():
    """ColorBrewer's RdBu, red for positive, without the ends on which black lines are lost."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    return ListedColormap(matplotlib.colormaps["RdBu_r"](np.linspace(0.1, 0.9, 257)), "RdBu_light")


class Scale:
    """Colours of values: a diverging map symmetric around 0, or its half where signs are none."""

    def __init__(self, explanation, values, limit, cmap):
        import matplotlib
        from matplotlib.colors import ListedColormap, Normalize

        self.title = escaped(value_name(explanation))
        self.limit = float(limit)
        cmap = _diverging() if cmap is None else cmap
        cmap = matplotlib.colormaps[cmap] if isinstance(cmap, str) else cmap
        self.unsigned = is_unsigned(explanation)
        if self.unsigned:
            # the half of the positive
            cmap = ListedColormap(cmap(np.linspace(0.5, 1, 256)), name=f"{cmap.name}_positive")
        self.cmap, self.norm = cmap, Normalize(-self.limit * (not self.unsigned), self.limit)
        sizes = np.abs(values[np.isfinite(values)])
        self.clipped = bool(sizes.size and sizes.max() > self.limit * (1 + 1e-9))

    def transparent(self):
        """The map, with values near 0 transparent."""
        from matplotlib.colors import ListedColormap

        share = np.linspace(0 if self.unsigned else -1, 1, 256)
        colours = self.cmap(np.linspace(0, 1, 256))
        colours[:, 3] = np.abs(share)
        return ListedColormap(colours, name=f"{self.cmap.name}_transparent")

    def colours(self, values):
        return self.cmap(self.norm(values))

    def colour_bar(self, ax, mappable=None, **kwargs):
        """Draw the colour bar of `mappable`, or of the scale itself."""
        from matplotlib.cm import ScalarMappable

        if mappable is None:
            mappable = ScalarMappable(self.norm, self.cmap)
        title, extend = self.title, "neither"
        if kwargs.get("orientation") != "horizontal":
            title = wrapped(ax, title)
        if self.clipped:
            extend = "max" if self.unsigned else "both"
        return ax.figure.colorbar(
            mappable, ax=ax, **{"label": title, "extend": extend, "aspect": 30} | kwargs
        )


def set_title(ax, explanation, i, *more, **kwargs):
    """Sample and target; below them the method and what the output was, and further lines.

    Images are narrow, and have a line for each.
    """
    first = sample_name(explanation, i)
    if len(explanation) > 1:  # the others are not in the picture
        first += f" (one of {len(explanation)})"
    if explanation.target is not None:
        first += f", target {target_text(explanation, i)}"
    second = method_name(explanation)
    if explanation.explained_output is not None:
        second += "\n" if explanation.kind == "image" else ": "
        second += output_text(explanation, i)
    lines = escaped("\n".join((cut(first, 70), second, *more)))
    ax.set_title(lines, **{"fontsize": "medium"} | kwargs)


def cut(text, length=40):
    """A name that is too long ends in an ellipsis."""
    text = str(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def label(text, length=40):
    """A name as a label."""
    return escaped(cut(text, length))


def escaped(text):
    """Text in which dollars are no mathematics to matplotlib."""
    return text.replace("$", r"\$")
