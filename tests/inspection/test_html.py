import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from sgt_sklearn.inspection import Explanation
from sgt_sklearn.inspection._shades import largest_of_blocks, png_source, robust_limit, shades

RNG = np.random.default_rng(0)
VOID = ("img",)
MINUS = "\N{MINUS SIGN}"


class Page(HTMLParser):
    """Elements in order, as (tag, attributes, text inside); fails on tags that do not match."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def of(self, tag, **having):
        return [
            element
            for element in self.elements
            if element[0] == tag
            and all(text in element[1].get(name, "") for name, text in having.items())
        ]

    @property
    def text(self):
        return self.elements[0][2]


def make(values, data, kind, **params):
    params = {"method": "integrated_gradients", "output": "logit", "target": "yes"} | params
    return Explanation(values, data=data, kind=kind, **params)


def page(*args, **params):
    return Page(make(*args, **params)._repr_html_())


def decode(source):
    """RGBA of a data URI, read by another library."""
    image = pytest.importorskip("PIL.Image")
    head, body = source.split(",", 1)
    assert head == "data:image/png;base64"
    return np.asarray(image.open(io.BytesIO(base64.b64decode(body))))


def style(element, key):
    return float(re.search(rf"(?:^|;){key}:(-?[\d.]+)", element[1]["style"]).group(1))


# ---- words


def words_of(found):
    """(word, red, blue, opacity) of each token."""
    spans = [span for span in found.of("span") if "title" in span[1]]
    colours = [re.search(r"rgba\((\d+),(\d+),(\d+),([\d.]+)\)", s[1]["style"]) for s in spans]
    return [
        (span[2], int(c.group(1)), int(c.group(3)), float(c.group(4)))
        for span, c in zip(spans, colours, strict=True)
    ]


def test_tokens_have_the_colour_of_their_sign_and_size():
    found = page([[2.0, -1.0, 0.0], [0.5]], [["good", "bad", "the"], ["well"]], "tokens")
    words = words_of(found)
    assert [word for word, *_ in words] == ["good", "bad", "the", "well"]  # no padding
    (_, red, blue, most), (_, red_of_bad, blue_of_bad, half), *_ = words
    assert red > blue and red_of_bad < blue_of_bad
    assert [alpha / most for *_, alpha in words] == pytest.approx([1, 0.5, 0, 0.25], abs=0.02)
    assert [span[1]["title"] for span in found.of("span") if "title" in span[1]] == [
        *("+2", f"{MINUS}1", "+0", "+0.5"),
    ]
    assert f"{MINUS}2" in found.text and "contribution to the logit of 'yes'" in found.text
    assert half < most < 1  # words stay readable


def test_ids_stand_for_tokens_without_an_encoder():
    words = words_of(page([[1.0, 2.0], [3.0]], [[5, 6], [7]], "tokens"))
    assert [word for word, *_ in words] == ["5", "6", "7"]


def test_sizes_without_signs_have_one_colour():
    found = page([[2.0, 1.0]], [["a", "b"]], "tokens", method="saliency")
    ends = [s[2] for s in found.of("span") if "title" not in s[1]]
    assert ends[:2] == ["0", "2"]
    assert "size of the gradient" in found.text
    assert (decode(found.of("img")[0][1]["src"])[..., 0] > 200).all()


# ---- bars


def charts(found):
    """Of each chart a list of (name, datum, left, width, number)."""
    result = []
    for grid in found.of("div", style="grid-template-columns"):
        start = found.elements.index(grid)
        cells = found.elements[start + 1 :]
        rows = []
        while cells and cells[0][0] == "div" and "title" in cells[0][1]:
            name, datum, _, bar, number = cells[:5]
            cells = cells[5:]
            rows.append((name[2], datum[2], style(bar, "left"), style(bar, "width"), number[2]))
        result.append(rows)
    return result


def table(**params):
    values = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -0.5]])
    data = np.array([["red", 1.23456, 2], ["blue", 2.5, 3]], dtype=object)
    return make(values, data, "tabular", feature_names=["hue", "size", "count"], **params)


def test_bars_of_samples_and_of_their_mean():
    mean, first, second = charts(Page(table()._repr_html_()))
    assert mean == [
        ("hue", "", 0, 100, "2"),
        ("size", "", 0, 50, "1"),
        ("count", "", 0, 25, "0.5"),
    ]
    assert first == [
        ("size", "= 1.235", 0, 50, f"{MINUS}2"),
        ("hue", "= red", 50, 25, "+1"),
        ("count", "= 2", 50, 12.5, "+0.5"),
    ]
    assert second[0] == ("hue", "= blue", 50, 50, "+3")


def test_one_sample_has_no_mean():
    assert len(charts(Page(table()[0]._repr_html_()))) == 1


def test_bars_say_what_they_leave_out():
    values = np.arange(1, 26.0) * np.ones((5, 1))
    found = page(values, np.zeros((5, 25)), "tabular")
    assert [len(chart) for chart in charts(found)] == [10] * 4
    assert charts(found)[0][0][0] == "x24"
    assert "15 more features, of size 15 at most." in found.text
    assert "… 2 more samples." in found.text


def test_samples_say_what_was_explained():
    explanation = table(
        target=np.array(["no", "yes"], dtype=object),
        explained_output=[3.0, -2.5],
        baseline_output=[0.5, 0.5],
        index=["u", "v"],
    )
    text = Page(explanation._repr_html_()).text
    assert "sample u, 'no', logit 3, at the baseline 0.5" in text
    assert f"sample v, 'yes', logit {MINUS}2.5" in text


def test_every_output_of_several():
    values = RNG.standard_normal((3, 6, 2))
    found = page(values, np.zeros((3, 2)), "tabular", target="all", classes=list("abcdef"))
    for label in "abcd":
        assert f"logit of '{label}'" in found.text
    assert "logit of 'e'" not in found.text and "… 2 more outputs." in found.text
    first = charts(found)[0]
    expected = np.abs(values[:, 0]).mean(0)
    assert float(first[0][-1]) == pytest.approx(expected.max(), rel=0.01)
    assert "… 1 more sample." in found.text


# ---- images


def test_images_beside_their_values():
    values = RNG.standard_normal((10, 1, 4, 6))
    data = RNG.random((10, 1, 4, 6))
    found = page(values, data, "image")
    legend, *pictures = [decode(image[1]["src"]) for image in found.of("img")]
    assert len(pictures) == 2 * 8 and "… 2 more samples." in found.text
    assert legend.shape[1] > legend.shape[0]
    limit = np.quantile(np.abs(values), 0.99, method="higher")
    for i in range(8):
        grey, colours = pictures[2 * i : 2 * i + 2]
        span = np.ptp(data[i])
        np.testing.assert_allclose(grey / 255, (data[i, 0] - data[i].min()) / span, atol=0.003)
        np.testing.assert_allclose(
            colours[..., 3] / 255, np.minimum(np.abs(values[i, 0]) / limit, 1), atol=0.003
        )
        np.testing.assert_array_equal(colours[..., 0] > colours[..., 2], values[i, 0] >= 0)
    sizes = [(style(image, "width"), style(image, "height")) for image in found.of("img")[1:]]
    assert set(sizes) == {(128, 85)}


def test_channels_are_summed_and_large_images_drawn_smaller():
    values = np.zeros((1, 3, 200, 120))
    values[0, :, 150, 60] = [-1.0, -2.0, 1.0]
    data = RNG.random((1, 3, 200, 120))
    found = page(values, data, "image")
    _, picture, colours = [decode(image[1]["src"]) for image in found.of("img")]
    assert picture.shape == (67, 60, 4) and colours.shape == (67, 60, 4)
    # the one pixel that counts is still there, in the colour of what is negative
    assert np.argwhere(colours[..., 3]).tolist() == [[50, 30]]
    assert colours[50, 30, 2] > colours[50, 30, 0]
    assert "summed over 3 channels" in found.text and "drawn smaller" in found.text


# ---- series


def test_series_as_lines_over_their_values():
    values = [RNG.standard_normal((6, 2)), RNG.standard_normal((3, 2))]
    data = [RNG.standard_normal((6, 2)), RNG.standard_normal((3, 2))]
    found = page(values, data, "series", feature_names=["x", "y"])
    lines, pictures = found.of("polyline"), found.of("image")
    assert len(lines) == len(pictures) == 4
    points = [np.array([p.split(",") for p in line[1]["points"].split()], float) for line in lines]
    assert [len(p) for p in points] == [6, 6, 3, 3]
    for line, (i, j) in zip(points, [(0, 0), (0, 1), (1, 0), (1, 1)], strict=True):
        series = data[i][:, j]
        # up is more
        np.testing.assert_allclose(np.corrcoef(line[:, 1], series)[0, 1], -1, atol=1e-4)
        np.testing.assert_allclose(line[:, 0], (np.arange(len(series)) + 0.5) * 640 / 6, atol=0.1)
    colours = decode(pictures[1][1]["href"])
    np.testing.assert_array_equal(colours[0, :, 0] > colours[0, :, 2], values[0][:, 1] >= 0)
    (padding,) = {rect[1]["x"] for rect in found.of("rect") if float(rect[1]["width"]) > 0}
    assert float(padding) == 320 and "Grey is padding." in found.text


def test_lines_break_where_data_are_missing():
    data = np.array([50.0, 51, np.nan, np.nan, 52, 53, np.nan])[None, :, None]
    found = page(np.ones((1, 7, 1)), data, "series")
    points = [
        np.array([p.split(",") for p in line[1]["points"].split()], float)
        for line in found.of("polyline")
    ]
    steps = np.arange(7)[np.isfinite(data[0, :, 0])]
    np.testing.assert_allclose(np.concatenate(points)[:, 0], (steps + 0.5) * 640 / 7, atol=0.1)
    assert [len(part) for part in points] == [2, 2]
    # from the smallest value to the largest, with equal steps between them
    heights = np.concatenate(points)[:, 1]
    np.testing.assert_allclose(np.diff(heights), -(110 - 8) / 3, atol=0.11)
    assert not page(np.ones((1, 3, 1)), np.full((1, 3, 1), np.nan), "series").of("polyline")


def test_many_features_as_a_heat_map():
    values = RNG.standard_normal((5, 7, 20))
    found = page(values, values, "series")
    assert not found.of("polyline") and len(found.of("image")) == 3
    colours = decode(found.of("image")[0][1]["href"])
    assert colours.shape == (20, 7, 4)  # features from top to bottom
    np.testing.assert_array_equal(colours[..., 0] > colours[..., 2], values[0].T >= 0)
    assert "20 features" in found.text and "… 2 more samples." in found.text


# ---- all kinds

BAD = "<script>alert('x')</script>"


@pytest.mark.parametrize(
    "explanation",
    [
        make([[1.0, 2.0]], [[BAD, "b"]], "tokens", target=BAD),
        make([[1.0, 2.0]], [[BAD, 2]], "tabular", target=BAD, feature_names=[BAD, '"']),
        make(np.ones((1, 3, 1)), np.ones((1, 3, 1)), "series", feature_names=[BAD], index=[BAD]),
        make(np.ones((1, 1, 3, 2)), np.ones((1, 1, 3, 2)), "image", target=BAD, method=BAD),
        make(np.ones((1, 2, 3)), np.ones((1, 3)), "tabular", target="all", classes=[BAD, "b"]),
    ],
)
def test_everything_is_escaped(explanation):
    html = explanation._repr_html_()
    assert "<script" not in html
    found = Page(html)
    assert not found.of("script") and BAD in found.text
    assert all(set(attributes) <= ATTRIBUTES[tag] for tag, attributes, _ in found.elements)


ATTRIBUTES = {
    "div": {"style", "title"},
    "span": {"style", "title"},
    "img": {"style", "alt", "src"},
    "svg": {"style", "width", "height", "viewbox", "preserveaspectratio"},
    "image": {"style", "width", "height", "href", "preserveaspectratio"},
    "polyline": {"points", "fill", "stroke", "stroke-width", "vector-effect"},
}


@pytest.mark.parametrize(
    "kind, shape",
    [
        ("tokens", (12, 2000)),
        ("tabular", (5, 20_000)),
        ("image", (9, 3, 150, 200)),
        ("series", (4, 5000, 12)),
        ("series", (4, 1000, 300)),
    ],
)
def test_size_is_bounded(kind, shape):
    values = np.resize(RNG.standard_normal(9973), shape)
    data = values if kind != "tokens" else np.full(shape, "word" * 50, dtype=object)
    html = make(values, data, kind)._repr_html_()
    assert len(html) < 1_500_000
    assert "more" in html
    Page(html)


def test_colours_need_no_light_page():
    for values, data, kind in (
        ([[1.0]], [["a"]], "tokens"),
        (np.ones((1, 2)), np.ones((1, 2)), "tabular"),
        (np.ones((1, 2, 1)), np.ones((1, 2, 1)), "series"),
    ):
        html = make(values, data, kind)._repr_html_()
        # no colour of text, and no background that is not transparent or part of a drawing
        assert not re.search(r"[;\"]color:", html)
        assert "white" not in html.replace("white-space", "") and "black" not in html


def test_other_data_and_no_samples():
    values = np.ones((2, 3, 4))
    found = page(values, values, "other")
    assert "Values of shape 3 x 4 a sample" in found.text
    assert "No samples." in Page(table()[[]]._repr_html_()).text


# ---- shades


def test_png_is_what_others_read():
    pixels = RNG.integers(0, 256, (5, 3, 4), dtype=np.uint8)
    np.testing.assert_array_equal(decode(png_source(pixels)), pixels)
    grey = RNG.integers(0, 256, (4, 7), dtype=np.uint8)
    np.testing.assert_array_equal(decode(png_source(grey)), grey)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (12, 30)])
def test_blocks_keep_what_is_largest(shape):
    values = RNG.standard_normal(shape)
    pooled = largest_of_blocks(values, 4, 6)
    rows, columns = -(-shape[0] // 4), -(-shape[1] // 6)
    for i, row in enumerate(pooled):
        for j, value in enumerate(row):
            block = values[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns].ravel()
            assert value == max(block, key=abs)
    assert pooled.shape[0] <= 4 and pooled.shape[1] <= 6


def test_limit():
    values = np.append(np.linspace(-1, 1, 201), 50.0)
    assert robust_limit(values) == pytest.approx(
        np.quantile(np.abs(values), 0.99, method="higher")
    )
    assert robust_limit(values) < 1.01
    assert robust_limit(np.array([0.0, 0.0, np.nan])) == 1
    assert robust_limit(np.array([0.5, -2.0])) == 2  # of few values none is cut off
    assert robust_limit(np.append(np.zeros(1000), 3.0)) == 3


def test_shades_are_clipped():
    alphas = shades(np.array([-9.0, -1.0, 0.0, 0.5]), 1.0, strongest=1.0)[:, 3]
    assert alphas.tolist() == [255, 255, 0, 128]
