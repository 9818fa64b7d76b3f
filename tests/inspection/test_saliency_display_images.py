"""Images and heat maps: artists against the values they stand for."""

import numpy as np
import pytest

from tests.inspection.display_cases import draw, images

pytestmark = pytest.mark.usefixtures("only_figures_are_garbage", "same_numbers")


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
