"""Tokens as running text on a ground in the colour of their values."""

import numpy as np

from sgt_sklearn.inspection._draw_common import axes_or_new, label, set_title, styled
from sgt_sklearn.inspection._wording import counted

_SIZES = (12, 11, 10, 9, 8, 7, 6)  # of the font, in points
_LINE = 1.9  # height of a line, in sizes of the font
_GAP = 0.6  # between words, in sizes of the font
_MOST_TOKENS = 400
_WIDTH = 7.4
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of red, green and blue


def draw_tokens(explanation, i, ax, scale, *, relevance, colorbar, colorbar_kwargs, text_kwargs):
    """Words in lines, broken where the axes end; the font shrinks until they fit."""
    from matplotlib.text import Text

    length = explanation.data.shape[1] if explanation.lengths is None else explanation.lengths[i]
    words = [label(word) or " " for word in explanation.data[i, :length]]
    values = explanation.values[i, :length]
    left_out = max(0, length - _MOST_TOKENS)
    words, values = words[:_MOST_TOKENS], values[:_MOST_TOKENS]
    if left_out:
        words.append(f"… {counted(left_out, 'more token')}")
    own = ax is None
    ax = axes_or_new(ax, _WIDTH, 3.0)
    ax.set_axis_off()
    more = [] if relevance is None else ["framed: relevant tokens"]
    set_title(ax, explanation, i, *more, loc="left")
    bar = None
    if colorbar:
        options = {"orientation": "horizontal", "aspect": 40, "pad": 0.04, "shrink": 0.8}
        bar = scale.colour_bar(ax, **options | colorbar_kwargs)
    style = styled(Text, text_kwargs, verticalalignment="center")
    texts = [ax.text(0, 0, word, **style) for word in words]
    for text, value in zip(texts, values, strict=False):
        _colour(text, scale.colours(value), style.get("color"))
    if relevance is not None:
        for text, inside in zip(texts, relevance[i], strict=False):
            if inside:
                text.get_bbox_patch().set(edgecolor="#111111", linewidth=1.4)
    ax.figure.draw_without_rendering()
    sizes = (texts[0].get_fontsize(),) if "fontsize" in style else _SIZES
    _place(ax, texts, sizes, own)
    return {"ax_": ax, "texts_": texts, "colorbar_": bar}


def _colour(text, colour, ink=None):
    text.set_bbox({"facecolor": colour, "linewidth": 0, "boxstyle": "round,pad=0.2"})
    if ink is not None:
        return
    channels = np.asarray(colour)[:3]
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    # of black and white the one that stands out more, by the luminance of the ground
    text.set_color("white" if linear @ _LUMINANCE < 0.179 else "black")


def _place(ax, texts, sizes, own):
    """Put words into lines in the largest font that fits; a figure of our own grows instead."""
    figure = ax.figure
    points = 72 / figure.dpi
    box = ax.get_window_extent()
    width, height = box.width * points, box.height * points
    for size in sizes:
        for text in texts:
            text.set_fontsize(size)
        widths = [text.get_window_extent().width * points for text in texts]
        places = _lines(widths, width, size * _GAP)
        n_lines = places[-1][1] + 1
        needed = n_lines * size * _LINE
        if needed <= height or own:
            break
    if own:
        inches = figure.get_size_inches()
        figure.set_size_inches(inches[0], inches[1] + (needed - height) / 72)
        height = needed
    ax.set(xlim=(0, width), ylim=(-height, 0))
    for text, (x, line) in zip(texts, places, strict=True):
        text.set_position((x + size * _GAP / 2, -(line + 0.5) * size * _LINE))


def _lines(widths, line_width, gap):
    """Place and number of the line of each word."""
    places, x, line = [], 0.0, 0
    for width in widths:
        if x > 0 and x + width + gap > line_width:
            x, line = 0.0, line + 1
        places.append((x, line))
        x += width + gap
    return places
