"""Bars, mean bars and swarms of tables."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib import pyplot as plt

from sgt_sklearn.inspection._draw_tables import swarm
from tests.inspection.display_cases import MINUS, RNG, draw, make, names_of, rgb, table

pytestmark = pytest.mark.usefixtures("only_figures_are_garbage", "same_numbers")


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
    assert label.startswith("logit of 'yes' per unit of the feature\n")
    assert f"11 more features, of size {left:.3g} at most" in label


def numbers_are_between_names_and_edge(ax, texts):
    """Whether numbers at bars lie within the axes, and none over a name."""
    ax.figure.draw_without_rendering()
    box = ax.get_window_extent()
    extents = [text.get_window_extent() for text in texts]
    names = [name.get_window_extent() for name in ax.get_yticklabels()]
    inside = all(box.x0 <= extent.x0 and extent.x1 <= box.x1 for extent in extents)
    return inside and not any(a.overlaps(b) for a in extents for b in names)


@pytest.mark.parametrize("kind", ["bars", "mean_bars"])
@pytest.mark.parametrize(
    "values",
    [
        RNG.standard_normal(8) * np.arange(1, 9),
        [70400.0, 33800.0, -3080.0, -855.0, 4.12],
        [-70400.0, -33800.0, 3080.0, 855.0, -4.12],
        [-1e-5, -1.234e-5, -1.2e-9],
        [123.0],
        [0.0, 0.0],
    ],
)
@pytest.mark.parametrize("name", ["x", "a column with a rather long name"])
def test_numbers_at_bars_do_not_touch_names_or_leave_the_axes(values, name, kind):
    names = [f"{name} {j}" for j in range(len(values))]
    explanation = make(
        [values], [np.zeros(len(values))], "tabular", method="lime", feature_names=names
    )
    display = draw(explanation, kind=kind)
    assert numbers_are_between_names_and_edge(display.ax_, display.texts_)


def test_numbers_at_bars_have_room_in_small_axes():
    _, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    values = np.array([[70400.0, 33800.0, -3080.0]])
    for ax, sign in zip(axes, (1, -1), strict=True):
        display = draw(make(sign * values, values, "tabular", method="lime"), ax=ax)
        assert numbers_are_between_names_and_edge(ax, display.texts_)
        low, high = sorted(ax.get_xlim())
        shown = [tick for tick in ax.get_xticklabels() if low < tick.get_position()[0] < high]
        ticks = [tick.get_window_extent() for tick in shown]
        assert len(ticks) > 1 and all(a.x1 < b.x0 for a, b in pairwise(ticks))


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
