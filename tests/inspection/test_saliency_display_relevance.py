"""What is known to be relevant is outlined."""

import numpy as np
import pytest

from tests.inspection.display_cases import (
    RNG,
    cells_inside,
    draw,
    images,
    outlines,
    series,
    table,
    tokens,
)

pytestmark = pytest.mark.usefixtures("only_figures_are_garbage", "same_numbers")


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
