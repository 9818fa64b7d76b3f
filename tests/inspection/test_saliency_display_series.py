"""Series as heat maps and lines, with padding and missing data."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from tests.inspection.display_cases import RNG, draw, images, make, series

pytestmark = pytest.mark.usefixtures("only_figures_are_garbage", "same_numbers")


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
