"""Tokens as words on coloured ground."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from sgt_sklearn.inspection import _draw_tokens
from tests.inspection.display_cases import RNG, draw, make, rgb, tokens

pytestmark = pytest.mark.usefixtures("only_figures_are_garbage", "same_numbers")


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
