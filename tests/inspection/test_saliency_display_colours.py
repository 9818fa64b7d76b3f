"""Colours stand for signs and sizes, also to eyes that see few of them."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from sgt_sklearn.inspection._shades import NEGATIVE, POSITIVE
from tests.inspection.display_cases import EVERY, RNG, draw, images, make

pytestmark = pytest.mark.usefixtures("only_figures_are_garbage", "same_numbers")


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
