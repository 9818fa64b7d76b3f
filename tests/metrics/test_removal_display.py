import inspect

import matplotlib
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgt_sklearn.metrics import RemovalCurveDisplay, removal_curve


@pytest.fixture(autouse=True)
def pyplot():
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.fixture
def curve(softmax, table):
    return removal_curve(softmax, *table, n_draws=2, random_state=0)


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("constructor", ["from_estimator", "from_curve", "init"])
def test_the_lines_are_the_curve(softmax, table, curve, constructor):
    if constructor == "from_estimator":
        display = RemovalCurveDisplay.from_estimator(softmax, *table, n_draws=2, random_state=0)
    elif constructor == "from_curve":
        display = RemovalCurveDisplay.from_curve(curve)
    else:
        display = RemovalCurveDisplay(**curve).plot()
    assert display.line_.get_xdata().tolist() == curve.fractions.tolist()
    assert display.line_.get_ydata().tolist() == curve.scores.tolist()
    assert display.random_line_.get_ydata().tolist() == curve.random_scores.tolist()
    assert display.gap == curve.gap
    assert display.line_.get_color() == display.random_line_.get_color()
    assert display.random_line_.get_linestyle() == "--"
    vertices = display.area_.get_paths()[0].vertices
    assert {curve.scores.min(), curve.random_scores.max()} <= set(vertices[:, 1])
    assert display.figure_ is display.ax_.figure
    wanted = [f"replaced by attribution (gap {curve.gap:.3f})", "replaced in random order"]
    assert legend_texts(display.ax_) == wanted
    assert display.ax_.get_xlabel() == "share of groups replaced"
    ylabel = "accuracy" if constructor == "from_estimator" else "score"
    assert display.ax_.get_ylabel() == ylabel


def test_fractions_in_any_order_make_one_line(softmax, table):
    display = RemovalCurveDisplay.from_estimator(
        softmax, *table, fractions=(0.5, 0, 0.2), random_state=0
    )
    straight = removal_curve(softmax, *table, fractions=(0, 0.2, 0.5), random_state=0)
    assert display.line_.get_xdata().tolist() == [0, 0.2, 0.5]
    assert display.line_.get_ydata().tolist() == straight.scores.tolist()
    assert display.random_line_.get_ydata().tolist() == straight.random_scores.tolist()


def test_several_curves_share_an_ax(curve, pyplot):
    _, ax = pyplot.subplots()
    displays = [RemovalCurveDisplay.from_curve(curve, name=name, ax=ax) for name in "abc"]
    assert all(display.ax_ is ax for display in displays)
    gap = f"(gap {curve.gap:.3f})"
    wanted = [f"a {gap}", f"b {gap}", f"c {gap}", "replaced in random order"]
    assert legend_texts(ax) == wanted
    assert len({display.line_.get_color() for display in displays}) == 3
    # the dashed entry stands for the random curves of all, and no area covers another
    assert ax.get_legend().legend_handles[-1].get_color() == "0.4"
    assert not any(display.area_.get_visible() for display in displays)


def test_artists_can_be_styled(curve, pyplot):
    display = RemovalCurveDisplay.from_curve(
        curve,
        score_name="F1",
        line_kwargs={"color": "black", "marker": "s"},
        random_kwargs={"color": "red", "label": "chance"},
        area_kwargs={"alpha": 0.5},
    )
    assert display.line_.get_color() == "black"
    assert display.line_.get_marker() == "s"
    assert display.random_line_.get_color() == "red"
    assert display.area_.get_alpha() == 0.5
    assert display.ax_.get_ylabel() == "F1"
    assert legend_texts(display.ax_)[1] == "chance"
    assert legend_texts(display.plot(name="again").ax_)[0].startswith("again (gap")


def test_short_names_of_styles(curve):
    display = RemovalCurveDisplay.from_curve(
        curve,
        line_kwargs={"c": "black", "ms": 9},
        random_kwargs={"ls": ":", "c": "red", "lw": 3},
        area_kwargs={"lw": 2, "ec": "green"},
    )
    assert (display.line_.get_color(), display.line_.get_markersize()) == ("black", 9)
    random = display.random_line_
    assert (random.get_color(), random.get_linestyle(), random.get_linewidth()) == ("red", ":", 3)
    assert display.area_.get_linewidth()[0] == 2


@pytest.mark.parametrize(
    ("scoring", "label"),
    [
        ("balanced_accuracy", "balanced accuracy"),
        (make_scorer(accuracy_score), "score"),
        (None, "accuracy"),
    ],
)
def test_the_score_is_named(doubles, table, scoring, label):
    X, y = table
    pipeline = make_pipeline(StandardScaler(), doubles.LinearSoftmax()).fit(X, y)
    display = RemovalCurveDisplay.from_estimator(
        pipeline, X, y, scoring=scoring, fractions=(0, 0.5), n_draws=1
    )
    assert display.ax_.get_ylabel() == label


def test_a_regressor_has_r2(doubles):
    X = np.random.default_rng(0).standard_normal((20, 3))
    y = X @ np.arange(3)
    model = doubles.LinearRegressor(np.arange(3)).fit(X, y)
    display = RemovalCurveDisplay.from_estimator(model, X, y, n_draws=1, name="line")
    assert display.ax_.get_ylabel() == "R²"
    assert display.name == "line"


def test_what_is_no_curve(softmax):
    with pytest.raises(
        TypeError, match=r"curve must be what removal_curve returns, .* got Linear"
    ):
        RemovalCurveDisplay.from_curve(softmax)


def test_unknown_options_are_those_of_the_curve(softmax, table):
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        RemovalCurveDisplay.from_estimator(softmax, *table, colour="red")


def test_init_keeps_what_it_gets(curve):
    names = inspect.signature(RemovalCurveDisplay).parameters
    display = RemovalCurveDisplay(**curve, name="n", score_name="s")
    assert set(vars(display)) == set(names)
    assert display.scores is curve.scores
