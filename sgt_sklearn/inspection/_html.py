"""Explanations as HTML for notebooks: words, bars and heat maps, without scripts or style sheets.

Colours are transparent over the page, and lines take the colour of its text, so that light and
dark notebooks work. What is shown is bounded, and says what it leaves out.
"""

from html import escape

import numpy as np

from sgt_sklearn.inspection._shades import (
    NEGATIVE,
    POSITIVE,
    largest_of_blocks,
    png_source,
    range_of,
    robust_limit,
    shades,
)
from sgt_sklearn.inspection._wording import (
    counted,
    datum_text,
    describe,
    explained_name,
    is_unsigned,
    number_text,
    output_text,
    sample_name,
    target_text,
    value_name,
)

_N_SAMPLES = {"tabular": 3, "series": 3, "image": 8, "tokens": 10}
_N_OUTPUTS = 4
_N_BARS = 10
_N_TOKENS = 200
_N_LINES = 12  # features of a series with a line of their own
_N_POINTS = 400
_PIXELS = 96  # of a side of an image
_NAME_LENGTH = 80

_GREY = "rgba(128,128,128,.28)"
_SMALL = "font-size:12px;opacity:.8"
_ONE_LINE = "white-space:nowrap;overflow:hidden;text-overflow:ellipsis;max-width:16em"
_SIDE_BY_SIDE = "display:flex;flex-wrap:wrap;gap:4px 24px"
_PIXELATED = "image-rendering:pixelated"


def as_html(explanation):
    """HTML of an explanation of any kind."""
    parts = [f'<div style="font-weight:600">{escape(describe(explanation))}</div>']
    if not len(explanation):
        parts.append(_note("No samples."))
    elif explanation.kind not in _N_SAMPLES:
        shape = " x ".join(map(str, explanation.data.shape[1:]))
        parts.append(_note(f"Values of shape {shape} a sample: see .values and .to_frame()."))
    elif explanation.classes is None:
        parts.append(_body(explanation))
    else:
        for label in explanation.classes[:_N_OUTPUTS]:
            one = explanation.for_target(label)
            parts.append(f'<div style="margin-top:10px">{escape(explained_name(one))}</div>')
            parts.append(_body(one, 2))
        parts.append(_left_out(len(explanation.classes) - _N_OUTPUTS, "output"))
        parts.append(_left_out(len(explanation) - 2, "sample"))
    return f'<div style="max-width:960px;line-height:1.5">{"".join(parts)}</div>'


def _body(explanation, n_samples=None):
    shown = explanation[: n_samples or _N_SAMPLES[explanation.kind]]
    draw = {"tabular": _bars, "series": _series, "image": _images, "tokens": _tokens}
    html = draw[explanation.kind](explanation, shown)
    return html + ("" if n_samples else _left_out(len(explanation) - len(shown), "sample"))


# ---- tokens


def _tokens(explanation, shown):
    limit = robust_limit(shown.values, 0.99)
    inside = shown._inside()
    rows = []
    for i in range(len(shown)):
        words, values = shown.data[i][inside[i]], shown.values[i][inside[i]]
        spans = [
            _token(word, value, limit)
            for word, value in zip(words[:_N_TOKENS], values[:_N_TOKENS], strict=True)
        ]
        rest = _left_out(len(words) - _N_TOKENS, "token", tag="span")
        rows.append(
            _sample(shown, i, f'<div style="line-height:2">{" ".join(spans)} {rest}</div>')
        )
    return _legend(explanation, limit) + "".join(rows)


def _token(word, value, limit):
    r, g, b, alpha = shades(np.asarray(value), limit).tolist()
    style = f"background:rgba({r},{g},{b},{alpha / 255:.2f});border-radius:3px;padding:2px 3px"
    return f'<span style="{style}" title="{number_text(value)}">{_cut(word)}</span>'


# ---- tables


def _bars(explanation, shown):
    parts = []
    if len(explanation) > 1:
        means = explanation.mean_abs()
        title = f"{len(explanation)} samples, mean size"
        chart = _bar_chart(explanation, means, None, value_name(explanation), signed=False)
        parts.append(_under(title, chart))
    for i in range(len(shown)):
        chart = _bar_chart(shown, shown.values[i], shown.data[i], value_name(shown), signed=True)
        parts.append(_sample(shown, i, chart))
    return f'<div style="{_SIDE_BY_SIDE}">{"".join(parts)}</div>'


def _bar_chart(explanation, values, data, title, signed):
    """Rows of name, datum, bar and number; those of the largest size first."""
    order = np.argsort(-np.abs(values), kind="stable")
    names, limit = explanation._feature_names(), robust_limit(values, 1.0)
    cells = []
    for j in order[:_N_BARS]:
        datum = "" if data is None else f"= {_cut(datum_text(data[j]))}"
        name = _cut(names[j])
        cells.append(
            f'<div style="{_ONE_LINE};text-align:right" title="{name}">{name}</div>'
            f'<div style="{_ONE_LINE};opacity:.75">{datum}</div>'
            f"{_bar(float(values[j]), limit, signed)}"
            f'<div style="text-align:right">{number_text(values[j], signed)}</div>'
        )
    rest = values[order[_N_BARS:]]
    more = ""
    if len(rest):
        size = number_text(np.abs(rest).max(), signed=False)
        more = _note(f"{counted(len(rest), 'more feature')}, of size {size} at most.")
    grid = "display:grid;grid-template-columns:auto auto 160px auto;gap:2px 8px;width:max-content"
    return (
        f'<div style="margin-top:6px;{_SMALL}">{escape(title)}</div>'
        f'<div style="{grid};align-items:center;max-width:100%">{"".join(cells)}</div>{more}'
    )


def _bar(value, limit, signed):
    """A bar from the middle to the left or right, or from the left where there are no signs."""
    share = min(abs(value) / limit, 1) * (50 if signed else 100)
    left = 50 - share * (value < 0) if signed else 0
    colour = (NEGATIVE if value < 0 else POSITIVE) if signed else (128, 128, 160)
    axis = "linear-gradient(currentColor,currentColor) center/1px 100% no-repeat"
    return (
        f'<div style="height:14px;position:relative;background:{axis if signed else "none"}">'
        f'<div style="position:absolute;left:{left:.1f}%;width:{share:.1f}%;height:14px;'
        f'background:rgb{colour}"></div></div>'
    )


# ---- images


def _images(explanation, shown):
    values = explanation.values.sum(axis=1)
    limit = robust_limit(values)
    panels = []
    for i in range(len(shown)):
        pixels = largest_of_blocks(values[i], _PIXELS, _PIXELS)
        sources = [png_source(picture(shown.data[i])), png_source(shades(pixels, limit, 1.0))]
        pair = "".join(_picture(source, values[i].shape) for source in sources)
        panels.append(_sample(shown, i, f'<div style="display:flex;gap:4px">{pair}</div>'))
    n_channels = explanation.data.shape[1]
    note = _note(f"Values are summed over {n_channels} channels.") if n_channels > 1 else ""
    if max(values.shape[1:]) > _PIXELS:
        note += _note("Large images are drawn smaller, each pixel the largest value of a block.")
    panels = f'<div style="{_SIDE_BY_SIDE}">{"".join(panels)}</div>'
    return _legend(explanation, limit) + note + panels


def _picture(source, shape):
    height, width = np.round(128 * np.asarray(shape) / max(shape)).astype(int)
    style = f"{_PIXELATED};outline:1px solid {_GREY};margin:0;width:{width}px;height:{height}px"
    return f'<img alt="" style="{style}" src="{source}">'


def picture(image):
    """Grey pixels of an image (n_channels, height, width), or its colours if it has three."""
    image = np.nan_to_num(np.asarray(image, dtype=float))
    steps = [max(1, -(-n // _PIXELS)) for n in image.shape[1:]]
    image = image[:, :: steps[0], :: steps[1]]
    image = image if len(image) == 3 else image.mean(axis=0, keepdims=True)
    span = np.ptp(image) or 1.0
    grey = np.round((image - image.min()) / span * 255).astype(np.uint8)
    if len(grey) == 1:
        return grey[0]
    return np.concatenate([grey, np.full_like(grey[:1], 255)]).transpose(1, 2, 0)


# ---- series


def _series(explanation, shown):
    limit = robust_limit(explanation.values)
    n_steps, n_features = explanation.data.shape[1:]
    with_lines = n_features <= _N_LINES
    draw = _lines if with_lines else _heat_map
    rows = [_sample(shown, i, draw(shown, i, limit)) for i in range(len(shown))]
    notes = [] if with_lines else [f"{n_features} features from top to bottom."]
    if shown.lengths is not None:
        notes.append("Grey is padding.")
    if n_steps > _N_POINTS:
        notes.append(f"Drawn at {_N_POINTS} points, each the largest value of some steps.")
    return _legend(explanation, limit) + _note(" ".join(notes)) + "".join(rows)


def _heat_map(shown, i, limit):
    values = largest_of_blocks(shown.values[i].T, 160, _N_POINTS)
    height = min(320, max(120, 4 * values.shape[0]))
    picture = _svg_picture(values, limit, shown, i, height)
    return f"<div>{_svg(height, picture)}</div>{_steps_axis(shown)}"


def _lines(shown, i, limit):
    """Each feature as a line over its colours."""
    names, height = shown._feature_names(), _line_height(shown.data.shape[2])
    if len(names) == 1 and shown.feature_names is None:
        names = [""]
    length = shown.data.shape[1] if shown.lengths is None else shown.lengths[i]
    cells = []
    for j, name in enumerate(names):
        values = largest_of_blocks(shown.values[i][:, j][None], 1, _N_POINTS)
        line = _polyline(shown.data[i][:length, j], shown.data.shape[1], height)
        picture = _svg_picture(values, limit, shown, i, height)
        cells.append(
            f'<div style="{_ONE_LINE};text-align:right;{_SMALL}" title="{_cut(name)}">'
            f"{_cut(name)}</div><div>{_svg(height, picture + line)}</div>"
        )
    cells.append(f"<div></div>{_steps_axis(shown)}")
    grid = "display:grid;grid-template-columns:max-content auto;gap:2px 8px;align-items:center"
    return f'<div style="{grid};width:max-content;max-width:100%">{"".join(cells)}</div>'


def _line_height(n_features):
    return 110 if n_features == 1 else 30 if n_features <= 6 else 20


def _svg(height, inner):
    style = f"display:block;outline:1px solid {_GREY};max-width:100%"
    return (
        f'<svg width="640" height="{height}" viewBox="0 0 640 {height}" style="{style}" '
        f'preserveAspectRatio="none">{inner}</svg>'
    )


def _svg_picture(values, limit, shown, i, height):
    """Colours of a matrix, features in rows, over the whole width; padding grey."""
    place = f'width="640" height="{height}" preserveAspectRatio="none" style="{_PIXELATED}"'
    source = png_source(shades(values, limit, 1.0))
    padding = ""
    if shown.lengths is not None:
        start = 640 * shown.lengths[i] / shown.data.shape[1]
        rest = f'width="{640 - start:.1f}" height="{height}"'
        padding = f'<rect x="{start:.1f}" {rest} fill="{_GREY}"><title>padding</title></rect>'
    return f'<image {place} href="{source}"/>{padding}'


def _polyline(data, n_steps, height):
    """A line, broken where data are missing."""
    data = np.asarray(data, dtype=float)
    steps = np.unique(np.linspace(0, len(data) - 1, min(len(data), _N_POINTS)).astype(int))
    data = data[steps]
    low, span = range_of(data)
    x, y = (steps + 0.5) * 640 / n_steps, height - 4 - (data - low) / span * (height - 8)
    known = np.isfinite(data)
    line = 'fill="none" stroke="currentColor" stroke-width="1.2"'
    parts = []
    for part in np.split(np.arange(len(data)), np.flatnonzero(np.diff(known)) + 1):
        if known[part[0]]:
            points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[part], y[part], strict=True))
            parts.append(
                f'<polyline points="{points}" {line} vector-effect="non-scaling-stroke"/>'
            )
    return "".join(parts)


def _steps_axis(shown):
    last = shown.data.shape[1] - 1
    style = f"display:flex;justify-content:space-between;width:640px;max-width:100%;{_SMALL}"
    return f'<div style="{style}"><span>step 0</span><span>{last}</span></div>'


# ---- shared


def _sample(shown, i, body):
    """A sample under its name, its target and the explained output."""
    words = [sample_name(shown, i)]
    if shown.target is not None:
        words.append(target_text(shown, i))
    if shown.explained_output is not None:
        words.append(output_text(shown, i))
    return _under(", ".join(words), body)


def _under(head, body):
    return f'<div style="margin-top:8px"><div style="{_SMALL}">{_cut(head)}</div>{body}</div>'


def _legend(explanation, limit):
    """The colours with what they stand for."""
    low = 0.0 if is_unsigned(explanation) else -limit
    strongest = {} if explanation.kind == "tokens" else {"strongest": 1.0}
    source = png_source(shades(np.linspace(low, limit, 65)[None], limit, **strongest))
    name = escape(value_name(explanation))
    ends = f"{number_text(low, low < 0)}", f"{number_text(limit, low < 0)}"
    style = f"display:flex;gap:6px;align-items:center;flex-wrap:wrap;{_SMALL}"
    bar = f"width:160px;height:12px;margin:0;outline:1px solid {_GREY}"
    return (
        f'<div style="{style}"><span>{ends[0]}</span><img alt="" style="{bar}" src="{source}">'
        f"<span>{ends[1]}</span><span>{name}</span></div>"
    )


def _left_out(n, what, tag="div"):
    return _note(f"… {counted(n, f'more {what}')}.", tag) if n > 0 else ""


def _note(text, tag="div"):
    return f'<{tag} style="{_SMALL}">{escape(text)}</{tag}>' if text else ""


def _cut(text):
    text = str(text)
    return escape(text if len(text) <= _NAME_LENGTH else text[: _NAME_LENGTH - 1] + "…")
