"""What every drawing has in common: axes, titles, colour bars, keywords, errors."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.inspection import SaliencyMapDisplay, explain
from sgt_sklearn.inspection._saliency_display import _DRAWN_BY
from tests.inspection.display_cases import (
    EVERY,
    MINUS,
    RNG,
    cells_inside,
    draw,
    drawn,
    images,
    make,
    names_of,
    outlines,
    rgb,
    series,
    table,
    tokens,
)

pytestmark = pytest.mark.usefixtures("only_figures_are_garbage", "same_numbers")


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
    of = len(explanation)
    assert f"sample 1 (one of {of}), target 'yes'\n{explanation.method}" in title
    alone = draw(explanation[1:2], kind=kind).figure_.axes
    title = [ax.get_title() or ax.get_title("left") for ax in alone]
    assert f"sample 0, target 'yes'\n{explanation.method}" in title


def test_samples_are_named_by_position():
    names = pd.Series(list("dcba"), index=[3, 2, 1, 0])
    explanation = table(4, index=names)
    title = draw(explanation, sample=1).ax_.get_title()
    assert title.startswith("sample c (one of 4), target")
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
        "sample b (one of 2), target 'cost in \\$x\\$'\n"
        f"integrated_gradients: logit {MINUS}2.5, at the baseline 0.5"
    )


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


def test_from_estimator_brings_columns_of_tables_to_one_unit(device):
    X = RNG.standard_normal((40, 2)).astype(np.float32) * [1, 1000] + [0, 5000]
    y = np.where(X[:, 1] > 5000, "yes", "no")
    net = SaliencyGuidedClassifier(max_epochs=20, device=device, random_state=0).fit(X, y)
    raw = explain(net, X[:1], target="yes")
    assert raw.top(1).keys() == {"x0"}  # noise, in small units
    display = SaliencyMapDisplay.from_estimator(net, X[:1], target="yes")
    np.testing.assert_allclose(display.explanation.values, raw.values * X.std(0), rtol=1e-4)
    assert names_of(display.ax_)[0].startswith("x1")
    assert display.ax_.get_xlabel() == "logit of 'yes' per standard deviation"
    for params in ({"standardized": False}, {"explain_kwargs": {"standardized": False}}):
        display = SaliencyMapDisplay.from_estimator(net, X[:1], target="yes", **params)
        np.testing.assert_array_equal(display.explanation.values, raw.values)
        assert display.ax_.get_xlabel() == "logit of 'yes' per unit of the feature"


def test_from_estimator_takes_relevance(device):
    X = RNG.standard_normal((12, 6, 2)).astype(np.float32)
    net = SaliencyGuidedClassifier(max_epochs=1, device=device, random_state=0)
    net.fit(X, np.arange(12) % 2)
    relevance = np.zeros((2, 6, 2), dtype=bool)
    relevance[1, 2:4, 1] = True
    display = SaliencyMapDisplay.from_estimator(net, X[:2], relevance=relevance, sample=1)
    (outline,) = outlines(display.ax_)
    np.testing.assert_array_equal(cells_inside(outline, (2, 6)), relevance[1].T)


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


# ---- bad input


@pytest.mark.parametrize(
    "maker, params, error, message",
    [
        (table, {"kind": "overlay"}, ValueError, r"one of \('bars', 'mean_bars', 'beeswarm'\)"),
        (images, {"kind": "picture"}, ValueError, "kind must be 'auto' or one of"),
        (series, {"kind": "line"}, ValueError, "for series of one feature"),
        (table, {"sample": 40}, IndexError, r"a position from 0 to 39, got 40\.$"),
        (table, {"sample": 1.0}, TypeError, r"sample must be a position .* got 1\.0\.$"),
        (table, {"sample": True}, TypeError, r"sample must be a position .* got True\.$"),
        (
            lambda: table(3, index=[208, 7, 9]),
            {"sample": 208},
            IndexError,
            "got 208, a label of the index: use sample=0",
        ),
        (
            lambda: table(3, index=["a", "b", "b"]),
            {"sample": "a"},
            TypeError,
            "got 'a', a label of the index: use sample=0",
        ),
        (lambda: table(3, index=["a", "b", "b"]), {"sample": "b"}, TypeError, r"got 'b'\.$"),
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
    with pytest.raises(ImportError, match=r"pip install matplotlib\.$"):
        draw(table())
