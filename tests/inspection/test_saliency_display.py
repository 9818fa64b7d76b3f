import gc
import sys
from functools import cache
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.inspection import Explanation, SaliencyMapDisplay, _draw_tokens, explain
from sgt_sklearn.inspection._draw_tables import swarm
from sgt_sklearn.inspection._saliency_display import _DRAWN_BY
from sgt_sklearn.inspection._shades import NEGATIVE, POSITIVE

RNG = np.random.default_rng(0)
draw = SaliencyMapDisplay.from_explanation
MINUS = "\N{MINUS SIGN}"


@pytest.fixture(autouse=True, scope="module")
def only_figures_are_garbage():
    """Closed figures are cycles; to look for them among all that is imported took a while."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def same_numbers_and_no_figures_left():
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state
    yield
    plt.close("all")


def make(values, data, kind, **params):
    params = {"method": "saliency", "output": "logit", "target": "yes"} | params
    return Explanation(values, data=data, kind=kind, **params)


def images(n_channels=1, **params):
    values = RNG.standard_normal((3, n_channels, 5, 7))
    return make(values, RNG.random(values.shape), "image", **params)


def series(n_features=3, **params):
    values = [RNG.standard_normal((8, n_features)), RNG.standard_normal((5, n_features))]
    data = [RNG.standard_normal(part.shape) for part in values]
    return make(values, data, "series", **params)


def table(n_samples=40, n_features=15, **params):
    values = RNG.standard_normal((n_samples, n_features)) * np.arange(1, n_features + 1)
    params = {"method": "integrated_gradients"} | params
    return make(values, RNG.standard_normal(values.shape), "tabular", **params)


def tokens(**params):
    values = [[3.0, -1.5, 0.0, 0.2], [1.0, -1.0]]
    data = [["good", "bad", "the", "film"], ["very", "dull"]]
    params = {"method": "integrated_gradients"} | params
    return make(values, data, "tokens", **params)


EVERY = [
    (images, "overlay"),
    (images, "side_by_side"),
    (series, "heatmap"),
    (lambda: series(20), "heatmap"),
    (lambda: series(1), "line"),
    (table, "bars"),
    (table, "mean_bars"),
    (table, "beeswarm"),
    (tokens, "tokens"),
]


@cache
def drawn(maker, kind):
    """A display without axes given, for tests that only look at it."""
    return draw(maker(), kind=kind)


def rgb(colour):
    return matplotlib.colors.to_rgb(colour)


# ---- the contract of displays


@pytest.mark.parametrize("maker, kind", EVERY)
def test_plot_draws_on_the_given_axes_and_returns_itself(maker, kind):
    figure, (ax, other) = plt.subplots(1, 2, figsize=(14, 4))
    display = SaliencyMapDisplay(maker())
    assert not hasattr(display, "ax_")
    assert display.plot(ax, kind=kind) is display
    assert display.ax_ is ax and display.figure_ is figure
    assert not other.has_data() and not other.get_title()
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize("maker, kind", EVERY)
def test_without_axes_there_is_a_figure_in_which_all_is_visible(maker, kind):
    figure = drawn(maker, kind).figure_
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    inside = figure.bbox.padded(1)
    for ax in figure.axes:
        box = ax.get_tightbbox(renderer)
        assert inside.x0 <= box.x0 and box.x1 <= inside.x1
        assert inside.y0 <= box.y0 and box.y1 <= inside.y1


@pytest.mark.parametrize(
    "maker, kind",
    [
        (images, "overlay"),
        (series, "heatmap"),
        (lambda: series(1), "line"),
        (table, "bars"),
        (tokens, "tokens"),
    ],
)
def test_auto(maker, kind, monkeypatch):
    place = SimpleNamespace(figure="figure")
    for name, (_, takes) in _DRAWN_BY.items():
        found = {"ax_": place, "drawn_": name}
        monkeypatch.setitem(_DRAWN_BY, name, (lambda *a, found=found, **k: found, takes))
    assert SaliencyMapDisplay(maker()).plot().drawn_ == kind


@pytest.mark.parametrize("maker, kind", [EVERY[i] for i in (0, 2, 4, 5, 6, 7, 8)])
def test_colour_bar_has_a_title_and_can_go(maker, kind):
    if kind in ("bars", "mean_bars"):
        assert not hasattr(draw(maker(), kind=kind), "colorbar_")
        return
    bar = drawn(maker, kind).colorbar_
    title = bar.ax.get_ylabel() or bar.ax.get_xlabel()
    expected = {"beeswarm": "value of the feature", "tokens": "contribution to the logit of 'yes'"}
    assert title.replace("\n", " ") == expected.get(kind, "logit of 'yes' per unit of input")
    bare = draw(maker(), kind=kind, colorbar=False)
    bars = [ax for ax in bare.figure_.axes if ax.get_label() == "<colorbar>"]
    assert not bars and len(bare.figure_.axes) < len(drawn(maker, kind).figure_.axes)
    if kind in ("overlay", "beeswarm", "tokens"):
        named = draw(maker(), kind=kind, colorbar_kwargs={"label": "mine"}).colorbar_
        assert "mine" in (named.ax.get_ylabel(), named.ax.get_xlabel())


@pytest.mark.parametrize("maker, kind", [pair for pair in EVERY if "_" not in pair[1]])
def test_title_names_sample_target_and_method(maker, kind):
    explanation = maker()
    if kind == "beeswarm":
        assert draw(explanation, kind=kind).ax_.get_title() == "40 samples\nintegrated_gradients"
        return
    display = draw(explanation, kind=kind, sample=1)
    title = [ax.get_title() or ax.get_title("left") for ax in display.figure_.axes]
    assert f"sample 1, target 'yes'\n{explanation.method}" in title


def test_samples_are_named_by_position():
    names = pd.Series(list("dcba"), index=[3, 2, 1, 0])
    explanation = table(4, index=names)
    assert draw(explanation, sample=1).ax_.get_title().startswith("sample c,")
    assert "sample d," in explanation._repr_html_()


def test_title_says_what_the_output_was():
    explanation = table(
        2,
        explained_output=[1.0, -2.5],
        baseline_output=[0.25, 0.5],
        index=["a", "b"],
        target=np.array(["no", "cost in $x$"], dtype=object),
    )
    title = draw(explanation, sample=1).ax_.get_title()
    assert title == (
        "sample b, target 'cost in \\$x\\$'\n"
        f"integrated_gradients: logit {MINUS}2.5, at the baseline 0.5"
    )


# ---- colours


def mappable_of(display, kind):
    return display.line_collection_ if kind == "line" else display.image_


@pytest.mark.parametrize("maker, kind", EVERY[:5:2])
def test_colours_are_symmetric_around_zero(maker, kind):
    explanation = maker()
    mappable = mappable_of(draw(explanation, kind=kind), kind)
    limit = np.nanquantile(np.abs(explanation.values[0]), 0.99, method="higher")
    assert (mappable.norm.vmin, mappable.norm.vmax) == pytest.approx((-limit, limit))
    low, middle, high = (np.array(mappable.cmap(x)[:3]) for x in (0.0, 0.5, 1.0))
    assert low[2] > low[0] and high[0] > high[2]
    assert np.ptp(middle) < 0.05 and middle.min() > 0.9
    other = mappable_of(draw(explanation, kind=kind, limit=7.0, cmap="PuOr"), kind)
    assert (other.norm.vmin, other.norm.vmax) == (-7, 7)
    assert other.cmap(0.0)[:3] == pytest.approx(plt.get_cmap("PuOr")(0.0)[:3], abs=0.01)


def test_a_few_large_values_do_not_bleach_the_rest():
    values = RNG.standard_normal((1, 1, 40, 40))
    values[0, 0, 0, 0] = 1e6
    display = draw(make(values, values, "image"))
    assert display.image_.norm.vmax < 4
    assert display.colorbar_.extend == "both"
    assert draw(make(values, values, "image"), limit=1e7).colorbar_.extend == "neither"


def test_sizes_have_one_sided_colours():
    explanation = make(
        np.abs(RNG.standard_normal((1, 8, 3))),
        np.ones((1, 8, 3)),
        "series",
        temporal_rescaling=True,
    )
    display = draw(explanation)
    assert display.image_.norm.vmin == 0
    assert np.ptp(display.image_.cmap(0.0)[:3]) < 0.05
    assert "relevance (0 to 1)" in display.colorbar_.ax.get_ylabel().replace("\n", " ")


def test_values_of_zero_only():
    for maker, kind in EVERY[::2]:
        explanation = maker()
        nothing = explanation._with(values=np.nan_to_num(explanation.values) * 0)
        draw(nothing, kind=kind).figure_.draw_without_rendering()


# what a colour of linear light becomes to eyes without one kind of cones (Machado et al., 2009)
BLIND_TO = {
    "red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen_by_blind(colours, cones):
    colours = np.asarray(colours)
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(BLIND_TO[cones]), 0, 1)
    return np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("cones", BLIND_TO)
def test_colour_blind_readers_tell_the_signs_apart(cones):
    cmap = draw(images()).image_.cmap
    for size in (0.2, 0.5, 1.0):
        pair = cmap(np.array([0.5 - size / 2, 0.5 + size / 2]))[:, :3]
        negative, positive = seen_by_blind(pair, cones)
        assert np.abs(negative - positive).max() > 0.35 * size
    in_html = np.array([NEGATIVE, POSITIVE]) / 255
    assert np.abs(np.subtract(*seen_by_blind(in_html, cones))).max() > 0.25


def test_the_simulation_confuses_red_and_green():
    red, green = seen_by_blind([[0.8, 0.45, 0.3], [0.55, 0.6, 0.3]], "green")
    assert np.abs(red - green).max() < 0.1


# ---- from estimators


def test_from_estimator_draws_what_explain_returns(device):
    X = RNG.standard_normal((40, 4)).astype(np.float32)
    y = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")
    net = SaliencyGuidedClassifier(max_epochs=2, device=device, random_state=0).fit(X, y)
    _, ax = plt.subplots()
    display = SaliencyMapDisplay.from_estimator(
        net,
        X[:5],
        method="integrated_gradients",
        target="no",
        explain_kwargs={"output": "margin", "feature_names": list("abcd")},
        ax=ax,
        sample=2,
        max_display=2,
    )
    expected = explain(
        net,
        X[:5],
        method="integrated_gradients",
        target="no",
        output="margin",
        feature_names=list("abcd"),
    )
    assert display.ax_ is ax
    np.testing.assert_allclose(display.explanation.values, expected.values, rtol=1e-5)
    values = expected.values[2]
    order = np.argsort(-np.abs(values))[:2]
    np.testing.assert_allclose(
        [bar.get_width() for bar in display.bars_[:2]], values[order], rtol=1e-5
    )
    assert [name[0] for name in names_of(ax)[:2]] == ["abcd"[j] for j in order]
    assert ax.get_xlabel() == "contribution to the margin of 'no'"


def test_from_estimator_takes_relevance(device):
    X = RNG.standard_normal((12, 6, 2)).astype(np.float32)
    net = SaliencyGuidedClassifier(max_epochs=1, device=device, random_state=0)
    net.fit(X, np.arange(12) % 2)
    relevance = np.zeros((2, 6, 2), dtype=bool)
    relevance[1, 2:4, 1] = True
    display = SaliencyMapDisplay.from_estimator(net, X[:2], relevance=relevance, sample=1)
    (outline,) = outlines(display.ax_)
    np.testing.assert_array_equal(cells_inside(outline, (2, 6)), relevance[1].T)


# ---- images


@pytest.mark.parametrize("kind", ["overlay", "side_by_side"])
@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_images(kind, n_channels):
    explanation = images(n_channels)
    display = draw(explanation, kind=kind, sample=2)
    np.testing.assert_allclose(display.image_.get_array(), explanation.values[2].sum(0))
    data = explanation.data[2]
    data = (data - data.min()) / np.ptp(data)
    expected = data.mean(0)
    if kind == "side_by_side" and n_channels == 3:
        expected = data.transpose(1, 2, 0)
    elif kind == "overlay":  # colours are those of the values
        expected = (expected - expected.min()) / np.ptp(expected)
    np.testing.assert_allclose(display.data_image_.get_array(), expected)
    note = display.ax_.get_xlabel()
    assert note == ("" if n_channels == 1 else f"sum over {n_channels} channels")


def test_overlay_lets_the_image_through_where_values_are_small():
    display = draw(images())
    opacity = display.image_.cmap(np.array([0.0, 0.25, 0.5, 1.0]))[:, 3]
    assert opacity == pytest.approx([1, 0.5, 0, 1], abs=0.01)
    assert display.data_image_.axes is display.ax_
    assert display.data_image_.get_zorder() <= display.image_.get_zorder()
    assert 0 < display.data_image_.get_alpha() < 1


def test_image_beside_its_values():
    display = draw(images(), kind="side_by_side")
    display.figure_.draw_without_rendering()
    image, values = display.data_ax_.get_position(), display.ax_.get_position()
    assert image.x1 <= values.x0 and image.y0 == pytest.approx(values.y0)
    assert display.data_image_.axes is display.data_ax_


def test_keywords_reach_the_image():
    display = draw(images(), image_kwargs={"interpolation": "bilinear"})
    assert display.image_.get_interpolation() == "bilinear"


# ---- series


def test_heat_map_of_few_features():
    explanation = series(names := 3, feature_names=["x", "y", "z"])
    display = draw(explanation, sample=1, time_step=0.5, time_label="time (s)")
    values = display.image_.get_array()
    np.testing.assert_allclose(values[:, :5], explanation.values[1, :5].T)
    assert display.image_.get_extent() == [-0.25, 3.75, names - 0.5, -0.5]
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["x", "y", "z"]
    assert display.ax_.get_yticks().tolist() == [0, 1, 2]
    assert display.ax_.get_xlabel() == "time (s)"
    # the first feature on top
    assert display.ax_.get_ylim()[0] > display.ax_.get_ylim()[1]


def test_lines_run_within_the_row_of_their_feature():
    explanation = series()
    for sample, length in ((0, 8), (1, 5)):
        lines = draw(explanation, sample=sample, time_step=2.0).lines_
        assert len(lines) == 3
        for j, line in enumerate(lines):
            times, heights = line.get_data()
            data = explanation.data[sample, :length, j]
            np.testing.assert_allclose(times, 2.0 * np.arange(length))
            assert heights.max() == pytest.approx(j + 0.38)
            assert heights.min() == pytest.approx(j - 0.38)
            np.testing.assert_allclose(np.corrcoef(heights, data)[0, 1], -1)
    assert draw(explanation, show_data=False).lines_ == []


def test_padding_is_hatched_and_not_zero():
    assert draw(series()).padding_ is None
    display = draw(series(), sample=1)
    padding = display.padding_
    assert isinstance(padding, Rectangle) and padding.get_hatch()
    assert padding.get_x() == 4.5 and padding.get_x() + padding.get_width() == 7.5
    assert (padding.get_y(), padding.get_height()) == (-0.5, 3)
    assert np.ma.getmaskarray(np.ma.masked_invalid(display.image_.get_array()))[:, 5:].all()
    assert padding.get_zorder() > display.image_.get_zorder()


def test_many_features_have_the_series_above():
    explanation = series(20)
    display = draw(explanation)
    assert display.lines_ == []
    np.testing.assert_allclose(display.data_image_.get_array(), explanation.data[0].T)
    display.figure_.draw_without_rendering()
    above, below = display.data_ax_.get_position(), display.ax_.get_position()
    assert above.y0 > below.y1 and above.x0 == pytest.approx(below.x0)
    assert display.data_image_.get_extent() == display.image_.get_extent()
    alone = draw(explanation, show_data=False)
    assert len(alone.figure_.axes) == 2  # and the colour bar


def test_names_of_many_features_are_thinned():
    names = [f"f{j}" for j in range(100)]
    values = np.ones((1, 4, 100))
    ax = draw(make(values, values, "series", feature_names=names), show_data=False).ax_
    ticks = [label.get_text() for label in ax.get_yticklabels()]
    assert 10 <= len(ticks) <= 30 and ticks[0] == "f0" and ticks[-1] == "f99"
    assert [f"f{int(tick)}" for tick in ax.get_yticks()] == ticks
    unnamed = draw(make(values, values, "series"), show_data=False).ax_
    assert unnamed.get_ylabel() == "feature"


def test_line_in_the_colours_of_its_values():
    explanation = series(1, feature_names=["pulse"])
    display = draw(explanation, sample=1, time_step=0.1)
    lines = display.line_collection_
    assert isinstance(lines, LineCollection)
    np.testing.assert_allclose(lines.get_array(), explanation.values[1, :5, 0])
    data = explanation.data[1, :5, 0]
    for t, segment in enumerate(lines.get_segments()):
        np.testing.assert_allclose(segment[1], [0.1 * t, data[t]])
        before, after = max(t - 1, 0), min(t + 1, 4)
        np.testing.assert_allclose(segment[0], [0.05 * (before + t), data[[before, t]].mean()])
        np.testing.assert_allclose(segment[2], [0.05 * (t + after), data[[t, after]].mean()])
    (line,) = display.lines_
    np.testing.assert_allclose(line.get_ydata(), data)
    assert line.get_zorder() > lines.get_zorder()  # white stretches still show the course
    assert display.ax_.get_ylabel() == "pulse"
    assert display.ax_.get_xlim() == pytest.approx((-0.05, 0.75))
    assert display.padding_.get_x() == pytest.approx(0.45)
    broad = draw(explanation, line_kwargs={"linewidths": 3}).line_collection_
    assert broad.get_linewidths().tolist() == [3]


@pytest.mark.parametrize("missing", [[2, 3], [0, 7], range(8)])
def test_line_of_missing_data(missing):
    data = np.linspace(50, 51, 8)[None, :, None]
    data[0, missing] = np.nan
    values = RNG.standard_normal((1, 8, 1))
    display = draw(make(values, data, "series"))
    # the course has gaps, and no value is lost
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), data[0, :, 0])
    segments = np.array(display.line_collection_.get_segments())
    assert segments.shape == (8, 3, 2)
    np.testing.assert_array_equal(display.line_collection_.get_array(), values[0, :, 0])
    if len(missing) < 8:
        between = {2: np.linspace(50, 51, 8), 0: [data[0, 1, 0], *data[0, 1:7, 0], data[0, 6, 0]]}
        np.testing.assert_allclose(segments[:, 1, 1], between[missing[0]])
        low, high = display.ax_.get_ylim()
        assert 49 < low < np.nanmin(data) and np.nanmax(data) < high < 52
    display.figure_.draw_without_rendering()


def test_heat_map_and_image_of_missing_data():
    explanation = series(2)
    explanation.data[0, :, 0] = np.nan
    first, second = draw(explanation).lines_
    assert np.isnan(first.get_ydata()).all() and np.isfinite(second.get_ydata()).all()
    picture = images()
    picture.data[0] = np.nan
    draw(picture).figure_.draw_without_rendering()


# ---- relevance


def cells_inside(collection, shape, width=1.0):
    """Cells that an outline encloses, by counting the upright edges to their left."""
    counts = np.zeros(shape, dtype=int)
    for (x0, y0), (x1, y1) in collection.get_segments():
        if x0 == x1:
            column = round(x0 / width + 0.5)
            counts[round((y0 + y1) / 2), column:] += 1
    return counts % 2 == 1


def outlines(ax):
    return [c for c in ax.collections if c.get_label() == "relevant"]


def test_outline_of_relevant_pixels():
    explanation = images(2)
    relevance = RNG.random((3, 5, 7)) < 0.4
    (outline,) = outlines(draw(explanation, relevance=relevance, sample=1).ax_)
    np.testing.assert_array_equal(cells_inside(outline, (5, 7)), relevance[1])
    by_channel = np.stack([relevance, np.zeros_like(relevance)], axis=1)
    (same,) = outlines(draw(explanation, relevance=by_channel, sample=1).ax_)
    np.testing.assert_array_equal(cells_inside(same, (5, 7)), relevance[1])


def test_outline_of_relevant_cells():
    for n_features in (3, 20):
        relevance = [RNG.random((8, n_features)) < 0.4, np.ones((5, n_features), dtype=bool)]
        for sample, length in ((0, 8), (1, 5)):
            display = draw(series(n_features), relevance=relevance, sample=sample, time_step=0.5)
            (outline,) = outlines(display.ax_)
            found = cells_inside(outline, (n_features, 8), 0.5)
            np.testing.assert_array_equal(found[:, :length], relevance[sample].T)
            assert not found[:, length:].any()
            titles = [ax.get_title() for ax in display.figure_.axes]
            assert any("outlined: relevant cells" in title for title in titles)


def test_ground_of_relevant_steps():
    relevance = np.zeros((2, 8, 1), dtype=bool)
    relevance[0, [0, 1, 5]] = True
    ax = draw(series(1), relevance=relevance).ax_
    spans = [patch for patch in ax.patches if patch.get_label() == "relevant"]
    edges = [(span.get_x(), span.get_x() + span.get_width()) for span in spans]
    assert edges == [(-0.5, 1.5), (4.5, 5.5)]


def test_frames_of_relevant_tokens():
    relevance = np.array([[False, True, False, False]] * 2)
    texts = draw(tokens(), relevance=relevance).texts_
    assert [text.get_bbox_patch().get_linewidth() > 0 for text in texts] == relevance[0].tolist()


@pytest.mark.parametrize(
    "relevance, message",
    [
        (np.ones((2, 8, 3)), "boolean of shape"),
        (np.ones((2, 8, 2), dtype=bool), r"shape \(2, 8, 3\), got bool of shape \(2, 8, 2\)"),
        ([np.ones((8, 3), dtype=bool), np.ones((6, 3), dtype=bool)], r"as long as each series"),
    ],
)
def test_bad_relevance(relevance, message):
    with pytest.raises(ValueError, match=message):
        draw(series(), relevance=relevance)


def test_relevance_of_images_and_tables():
    with pytest.raises(ValueError, match=r"\(3, 1, 5, 7\) or \(3, 5, 7\)"):
        draw(images(), relevance=np.ones((3, 7, 5), dtype=bool))
    with pytest.raises(ValueError, match="got it for a table"):
        draw(table(), relevance=np.ones((40, 15), dtype=bool))


# ---- tables


def names_of(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_bars():
    explanation = table(feature_names=[f"f{j}" for j in range(15)])
    display = draw(explanation, sample=3, max_display=4)
    values, data = explanation.values[3], explanation.data[3]
    order = sorted(range(15), key=lambda j: -abs(values[j]))
    widths = [bar.get_width() for bar in display.bars_]
    np.testing.assert_allclose(widths[:4], values[order[:4]])
    # contributions may be added
    np.testing.assert_allclose(widths[4], values[order[4:]].sum())
    expected = [f"f{j} = {data[j]:.4g}".replace("-", MINUS) for j in order[:4]] + [
        "sum of 11 others"
    ]
    assert names_of(display.ax_) == expected
    assert [bar.get_y() + bar.get_height() / 2 for bar in display.bars_] == pytest.approx(range(5))
    low, high = display.ax_.get_ylim()
    assert low > high  # the largest on top
    for bar, width in zip(display.bars_[:4], widths, strict=False):
        red, _, blue = rgb(bar.get_facecolor())
        assert (red > blue) == (width > 0)
    numbers = [text.get_text() for text in display.texts_]
    assert numbers == [f"{w:+.3g}".replace("-", MINUS) for w in widths]
    assert display.ax_.get_xlabel() == "contribution to the logit of 'yes'"


def test_bars_of_gradients_do_not_add_up():
    explanation = table(method="saliency")
    display = draw(explanation, max_display=4)
    assert len(display.bars_) == 4
    left = np.sort(np.abs(explanation.values[0]))[:-4].max()
    label = display.ax_.get_xlabel()
    assert label.startswith("logit of 'yes' per unit of input\n")
    assert f"11 more features, of size {left:.3g} at most" in label


def test_numbers_at_bars_do_not_touch_names_or_leave_the_axes():
    display = draw(table(), max_display=8)
    display.figure_.draw_without_rendering()
    box = display.ax_.get_window_extent()
    for text in display.texts_:
        extent = text.get_window_extent()
        assert box.x0 <= extent.x0 and extent.x1 <= box.x1


def test_mean_bars():
    explanation = table()
    display = draw(explanation, kind="mean_bars", max_display=5, bar_kwargs={"height": 0.3})
    means = np.abs(explanation.values).mean(0)
    order = np.argsort(-means)
    np.testing.assert_allclose([bar.get_width() for bar in display.bars_], means[order[:5]])
    assert names_of(display.ax_) == [f"x{j}" for j in order[:5]]
    assert all(bar.get_height() == pytest.approx(0.3) for bar in display.bars_)
    assert "10 more features, of mean size" in display.ax_.get_xlabel()
    assert display.ax_.get_xlabel().startswith("size of the contribution to the logit")


@pytest.mark.parametrize("n_samples, n_features", [(1, 3), (60, 15), (250, 4)])
def test_beeswarm(n_samples, n_features):
    explanation = table(n_samples, n_features)
    display = draw(explanation, kind="beeswarm", max_display=6)
    means = np.abs(explanation.values).mean(0)
    order = np.argsort(-means)[:6]
    assert names_of(display.ax_) == [f"x{j}" for j in order]
    display.figure_.draw_without_rendering()
    to_points = display.ax_.transData
    for row, (j, dots) in enumerate(zip(order, display.scatters_, strict=True)):
        places = np.asarray(dots.get_offsets())
        np.testing.assert_allclose(places[:, 0], explanation.values[:, j])
        assert np.abs(places[:, 1] - row).max() <= 0.45 + 1e-9
        colours = dots.get_facecolors()
        data = explanation.data[:, j]
        if n_samples > 1:
            # from dark blue to orange
            assert colours[data.argmax(), 0] > colours[data.argmin(), 0]
        pixels = to_points.transform(places)
        gaps = np.linalg.norm(pixels[:, None] - pixels[None], axis=2)
        np.fill_diagonal(gaps, np.inf)
        diameter = np.sqrt(dots.get_sizes()[0]) * display.figure_.dpi / 72
        assert gaps.min() >= diameter * (1 - 1e-6)


def test_many_samples_are_thinned_and_words_are_grey():
    values = RNG.standard_normal((1000, 2))
    data = np.array([["a", 1.0], ["b", 2.0]] * 500, dtype=object)
    explanation = make(values, data, "tabular")
    display = draw(explanation, kind="beeswarm")
    assert display.ax_.get_title() == "300 of 1000 samples\nsaliency"
    order = np.argsort(-np.abs(values).mean(0))
    for j, dots in zip(order, display.scatters_, strict=True):
        assert len(dots.get_offsets()) == 300
        colours = {tuple(colour) for colour in dots.get_facecolors()}
        assert len(colours) == (1 if j == 0 else 2)
    assert "grey: words" in display.colorbar_.ax.get_ylabel()
    labels = [text.get_text() for text in display.colorbar_.ax.get_yticklabels()]
    assert labels == ["low", "high"]


def test_swarm_that_does_not_fit_stays_in_its_row():
    (offsets,), diameter = swarm([np.zeros(500)], 20.0)
    assert np.abs(offsets).max() + diameter / 2 == pytest.approx(20.0)
    (offsets,), diameter = swarm([np.array([0.0, 100.0, 0.0])], 20.0)
    assert offsets.tolist() == [0, 0, diameter]


def test_a_constant_column_leaves_the_dots_large():
    values = np.column_stack([RNG.standard_normal((80, 2)), np.zeros((80, 2))])
    values[:, 3] = 1e-12 * RNG.standard_normal(80)
    with_it = draw(make(values, values, "tabular"), kind="beeswarm")
    ax = draw(make(values[:, :2], values[:, :2], "tabular"), kind="beeswarm").ax_
    along = np.diff(ax.transData.transform([[0, 0], [1, 0]])[:, 0]) * 72 / ax.figure.dpi
    expected = swarm(values[:, :2].T * along, 0.45 * 0.42 * 72)[1]
    sizes = {float(dots.get_sizes()[0]) for dots in with_it.scatters_}
    assert len(sizes) == 1 and np.sqrt(sizes.pop()) >= 0.8 * expected > 2.5
    for row, dots in enumerate(with_it.scatters_):  # all stay in their rows
        assert np.abs(dots.get_offsets()[:, 1] - row).max() < 0.45


@pytest.mark.parametrize("n_features", [1, 2])
def test_colour_bar_of_a_low_beeswarm_stays_in_the_figure(n_features):
    data = np.full((9, n_features), "word", dtype=object)
    display = draw(make(RNG.standard_normal((9, n_features)), data, "tabular"), kind="beeswarm")
    display.figure_.draw_without_rendering()
    words = display.colorbar_.ax.yaxis.label
    assert words.get_text().replace("\n", " ").endswith("(grey: words, or missing)")
    box, figure = words.get_window_extent(), display.figure_.bbox
    assert figure.y0 <= box.y0 and box.y1 <= figure.y1


def test_beeswarm_of_a_column_without_data():
    data = np.array([[1.0, np.nan], [2.0, np.nan]])
    values = np.array([[1.0, 2.0], [1.0, 2.0]])
    empty, known = draw(make(values, data, "tabular"), kind="beeswarm").scatters_
    assert np.ptp(empty.get_facecolors()[:, :3]) == 0 < np.ptp(known.get_facecolors()[:, :3])


# keywords under another name than the one that is set by default, and what they do
ALIASES = [
    (images, "overlay", {"image_kwargs": {"interpolation": "none", "aspect": "auto"}}, None),
    (series, "heatmap", {"image_kwargs": {"aspect": 1}, "line_kwargs": {"lw": 3, "c": "r"}}, 3),
    (lambda: series(1), "line", {"line_kwargs": {"lw": 3, "cmap": "viridis"}}, 3),
    (lambda: series(1), "line", {"line_kwargs": {"linewidths": 3}}, 3),
    (table, "bars", {"bar_kwargs": {"fc": "r", "lw": 3, "ec": "k"}}, 3),
    (table, "mean_bars", {"bar_kwargs": {"color": "r", "lw": 3}}, 3),
    (table, "beeswarm", {"scatter_kwargs": {"color": "r", "lw": 3}}, 3),
    (table, "beeswarm", {"scatter_kwargs": {"fc": "r", "linewidths": 3}}, 3),
    (tokens, "tokens", {"text_kwargs": {"va": "top", "size": 15, "c": "r"}}, None),
]


@pytest.mark.parametrize("maker, kind, params, width", ALIASES)
def test_aliases_of_keywords(maker, kind, params, width):
    display = draw(maker(), kind=kind, **params)
    if kind == "tokens":
        text = display.texts_[0]
        assert text.get_verticalalignment() == "top" and text.get_fontsize() == 15
        assert rgb(text.get_color()) == (1, 0, 0)
        return
    if kind == "overlay":
        assert display.image_.get_interpolation() == "none"
        return
    names = {"heatmap": "lines_", "bars": "bars_", "mean_bars": "bars_", "beeswarm": "scatters_"}
    first = display.line_collection_ if kind == "line" else getattr(display, names[kind])[0]
    assert np.ravel(first.get_linewidth()).tolist() == [width]
    if kind == "line":
        return
    colour = first.get_color() if kind == "heatmap" else np.ravel(first.get_facecolor())[:4]
    assert rgb(colour) == (1, 0, 0)
    if kind == "beeswarm":  # whose colours no longer stand for values
        assert display.colorbar_ is None


def test_scatter_keywords():
    display = draw(table(), kind="beeswarm", scatter_kwargs={"cmap": "viridis", "alpha": 0.5})
    assert display.scatters_[0].get_alpha() == 0.5
    assert display.colorbar_.cmap.name == "viridis"


# ---- tokens


def test_tokens_as_words_on_coloured_ground():
    texts = draw(tokens()).texts_
    assert [text.get_text() for text in texts] == ["good", "bad", "the", "film"]
    grounds = [rgb(text.get_bbox_patch().get_facecolor()) for text in texts]
    assert grounds[0][0] > 0.6 > grounds[0][2]  # red
    assert grounds[1][2] > grounds[1][0]  # blue
    assert min(grounds[2]) > 0.9  # white
    assert [text.get_text() for text in draw(tokens(), sample=1).texts_] == ["very", "dull"]


def test_words_contrast_with_their_ground():
    values = np.linspace(-1, 1, 21)[None]
    explanation = make(values, np.full((1, 21), "word", dtype=object), "tokens")
    for cmap in (None, "RdBu_r", "PuOr"):
        for text in draw(explanation, cmap=cmap).texts_:
            lightness = [
                np.dot(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4), weights)
                for c, weights in (
                    (np.array(rgb(colour)), (0.2126, 0.7152, 0.0722))
                    for colour in (text.get_color(), text.get_bbox_patch().get_facecolor())
                )
            ]
            dark, light = sorted(lightness)
            assert (light + 0.05) / (dark + 0.05) > 4.5


def test_words_neither_overlap_nor_leave_the_axes():
    words = RNG.choice(["a", "film", "extraordinary", "of", "wonderful"], 60)
    explanation = make(np.ones((1, 60)), words[None].astype(object), "tokens")
    for ax in (None, plt.subplots(figsize=(4, 4))[1]):
        display = draw(explanation, ax=ax)
        display.figure_.draw_without_rendering()
        area = display.ax_.get_window_extent()
        boxes = [text.get_window_extent() for text in display.texts_]
        for i, box in enumerate(boxes):
            assert area.x0 - 1 <= box.x0 and box.x1 <= area.x1 + 1
            assert area.y0 - 1 <= box.y0 and box.y1 <= area.y1 + 1
            assert not any(box.overlaps(other) for other in boxes[:i])
        starts = [(-text.get_position()[1], text.get_position()[0]) for text in display.texts_]
        assert starts == sorted(starts)  # in the order of reading
        assert [text.get_text() for text in display.texts_] == words.tolist()


def test_long_texts_say_what_they_leave_out(monkeypatch):
    monkeypatch.setattr(_draw_tokens, "_MOST_TOKENS", 30)
    lengths = [35, 31, 30]
    explanation = make([np.ones(n) for n in lengths], [["a"] * n for n in lengths], "tokens")
    last = [draw(explanation, sample=i).texts_[-1].get_text() for i in range(3)]
    assert last == ["… 5 more tokens", "… 1 more token", "a"]


def test_text_keywords_and_mathematics():
    explanation = make([[1.0, 2.0]], [["$x$", "y" * 100]], "tokens")
    texts = draw(explanation, text_kwargs={"fontsize": 15, "family": "monospace"}).texts_
    assert texts[0].get_fontsize() == 15 and texts[0].get_text() == r"\$x\$"
    assert len(texts[1].get_text()) == 40


# ---- bad input


@pytest.mark.parametrize(
    "maker, params, error, message",
    [
        (table, {"kind": "overlay"}, ValueError, r"one of \('bars', 'mean_bars', 'beeswarm'\)"),
        (images, {"kind": "picture"}, ValueError, "kind must be 'auto' or one of"),
        (series, {"kind": "line"}, ValueError, "for series of one feature"),
        (table, {"sample": 40}, IndexError, "there are 40 samples"),
        (table, {"sample": 1.0}, TypeError, "sample must be an int"),
        (table, {"max_display": 0}, ValueError, "max_display must be an int of at least 1"),
        (table, {"limit": -1}, ValueError, "limit must be a positive number"),
        (series, {"time_step": None}, ValueError, "time_step must be a positive number"),
        (table, {"text_kwargs": {}}, ValueError, "text_kwargs is not used by kind='bars'"),
        (table, {"colorbar_kwargs": {}}, ValueError, "which takes bar_kwargs"),
        (lambda: table()[[]], {}, ValueError, "at least one sample"),
        (lambda: None, {}, TypeError, "must be an Explanation"),
        (
            lambda: make(np.ones((1, 2, 2)), np.ones((1, 2, 2)), "other"),
            {},
            ValueError,
            "got 'other'",
        ),
        (
            lambda: make(np.ones((1, 2, 3)), np.ones((1, 3)), "tabular", target="all"),
            {},
            ValueError,
            "explanation of one output",
        ),
    ],
)
def test_bad_input(maker, params, error, message):
    with pytest.raises(error, match=message):
        draw(maker(), **params)
    assert not plt.get_fignums()


def test_axes_that_cannot_be_split():
    ax = plt.figure().add_axes([0, 0, 1, 1])
    with pytest.raises(ValueError, match="show_data=False"):
        draw(series(20), ax=ax)
    draw(series(20), ax=ax, show_data=False)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "sgt-sklearn\[plot\]"'):
        draw(table())
