import inspect
import sys

import matplotlib
import numpy as np
import pytest
from sklearn.datasets import load_iris

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.model_selection import TrainingComparisonDisplay, compare_training

pytest.importorskip("pandas")

TRAININGS = ["plain", "guided", "random order"]
OPTIONS = {
    "metrics": ["sufficiency_gap", "gini_sparseness"],
    "methods": ["saliency", "input_x_gradient"],
    "controls": ["random order"],
    "n_seeds": 3,
    "verbose": 0,
}


@pytest.fixture(autouse=True)
def pyplot():
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.fixture(scope="module")
def comparison():
    net = SaliencyGuidedClassifier(max_epochs=2)
    return compare_training(net, *load_iris(return_X_y=True), return_runs=True, **OPTIONS)


@pytest.fixture
def table(comparison):
    return comparison[0]


def test_every_number_of_the_table_is_drawn(comparison):
    table, runs = comparison
    display = TrainingComparisonDisplay.from_comparison(table)
    panels = list(table.groupby(["metric", "method"], sort=False))
    assert len(display.axes_) == len(panels) == 5
    for i, ((metric, method), rows) in enumerate(panels):
        ours = runs[(runs["metric"] == metric) & (runs["method"] == method)]
        assert len(display.seed_lines_[i]) == 3
        for line, (_, of_seed) in zip(display.seed_lines_[i], ours.groupby("seed"), strict=True):
            values = of_seed.set_index("training")["value"][TRAININGS]
            assert line.get_xdata().tolist() == values.tolist()
            assert line.get_ydata().tolist() == [0, 1, 2]
        for container, row in zip(display.means_[i], rows.itertuples(), strict=True):
            mean, _, bars = container
            assert mean.get_xdata() == pytest.approx([row.mean])
            ends = bars[0].get_segments()[0][:, 0]
            error = row.sd / np.sqrt(3)
            np.testing.assert_allclose(ends, [row.mean - error, row.mean + error])
        plain = rows.set_index("training")["mean"]["plain"]
        assert display.plain_lines_[i].get_xdata() == pytest.approx([plain, plain])
        ax = display.axes_[i]
        assert ax.get_title() == "\n".join(filter(None, [metric.replace("_", " "), method]))
        # named once in a row of panels
        names = [label.get_text() for label in ax.get_yticklabels()]
        assert names == (TRAININGS if i % 3 == 0 else [])
        # the first training is on top
        assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert display.ax_ is display.axes_[0]
    assert display.figure_ is display.ax_.figure
    # no empty axes are left of the grid of 2 x 3
    assert len(display.figure_.axes) == 5
    legend = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    what = {"mean of plain training", "chance level", "one seed", "mean ± standard error"}
    assert set(legend) == what
    assert len(legend) == 4


def drawn(values, chance):
    panel = {"metric": "accuracy", "method": "", "chance": chance, "values": values}
    return TrainingComparisonDisplay(panels=[panel]).plot()


def test_the_chance_level_is_a_line_or_words():
    values = {"plain": [0.8, 0.9], "guided": [0.85, 0.9]}
    near = drawn(values, 0.7)
    assert near.chance_marks_[0].get_xdata() == [0.7, 0.7]
    assert "chance level" in [text.get_text() for text in near.figure_.legends[0].get_texts()]
    low, high = drawn(values, 0.3), drawn(values, 1.5)
    assert low.chance_marks_[0].get_text() == "← chance 0.3"
    assert high.chance_marks_[0].get_text() == "chance 1.5 →"
    # the panel is as wide as without it
    without = drawn(values, np.nan)
    assert without.chance_marks_ == [None]
    assert low.ax_.get_xlim() == without.ax_.get_xlim()
    assert near.ax_.get_xlim()[0] < 0.7 < without.ax_.get_xlim()[0]


def test_one_seed_has_no_interval():
    display = drawn({"plain": [0.8], "guided": [0.9]}, np.nan)
    assert [container.has_xerr for container in display.means_[0]] == [False, False]


def test_rows_that_are_left_out_are_not_shown(table):
    part = table[(table["metric"] == "accuracy") & (table["training"] != "random order")]
    display = TrainingComparisonDisplay.from_comparison(part)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == TRAININGS[:2]
    assert len(display.axes_) == 1
    saliency = TrainingComparisonDisplay.from_comparison(table[table["method"] == "saliency"])
    # the method is in no title where there is only one
    assert saliency.ax_.get_title() == "sufficiency gap"


def test_panels_with_other_trainings_name_them_all(table):
    uneven = table.drop(index=[2])
    display = TrainingComparisonDisplay.from_comparison(uneven)
    names = [[label.get_text() for label in ax.get_yticklabels()] for ax in display.axes_]
    assert names == [TRAININGS[:2], *[TRAININGS] * 4]


def test_on_given_axes(table, pyplot):
    part = table[table["metric"] == "sufficiency_gap"]
    figure, axes = pyplot.subplots(2)
    display = TrainingComparisonDisplay.from_comparison(part, ax=axes)
    assert list(display.axes_) == list(axes)
    assert display.figure_ is figure
    assert figure.legends == []
    assert axes[1].get_legend() is not None
    single = TrainingComparisonDisplay.from_comparison(part[:3], ax=axes[0])
    assert single.ax_ is axes[0]
    with pytest.raises(ValueError, match="one axes for each of the 2 panels, got 1"):
        TrainingComparisonDisplay.from_comparison(part, ax=axes[0])


@pytest.mark.parametrize(("n_columns", "shape"), [(1, (5, 1)), (2, (3, 2)), (9, (1, 5))])
def test_columns(table, n_columns, shape):
    display = TrainingComparisonDisplay.from_comparison(table, n_columns=n_columns)
    grid = display.ax_.get_gridspec()
    assert (grid.nrows, grid.ncols) == shape


def test_artists_can_be_styled(table):
    display = TrainingComparisonDisplay.from_comparison(
        table,
        seed_kwargs={"color": "red"},
        mean_kwargs={"fmt": "s"},
        line_kwargs={"color": "green"},
    )
    assert display.seed_lines_[0][0].get_color() == "red"
    assert display.means_[0][0][0].get_marker() == "s"
    assert display.plain_lines_[0].get_color() == "green"
    assert display.chance_marks_[0].get_color() == "green"


def test_from_estimator_is_the_comparison(table):
    display = TrainingComparisonDisplay.from_estimator(
        SaliencyGuidedClassifier(max_epochs=2),
        *load_iris(return_X_y=True),
        n_columns=2,
        return_runs=True,
        **OPTIONS,
    )
    np.testing.assert_equal(
        display.panels, TrainingComparisonDisplay.from_comparison(table).panels
    )
    assert display.ax_.get_gridspec().ncols == 2


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda t: [1], TypeError, "must be the table that compare_training returns, .* got list"),
        (lambda t: t.drop(columns="chance"), TypeError, "with columns metric, method, tr"),
        (lambda t: type(t)(t.to_dict()), ValueError, r"values of each seed in `attrs\['runs'\]`"),
        (lambda t: t[:0], ValueError, "comparison must have at least one row"),
        (lambda t: t[1:], ValueError, "keep the rows of 'plain' training, .* guided, random o"),
    ],
)
def test_bad_comparison(table, change, error, match):
    with pytest.raises(error, match=match):
        TrainingComparisonDisplay.from_comparison(change(table))


def test_matplotlib_is_missing(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="requires matplotlib"):
        TrainingComparisonDisplay.from_comparison(table)
    with pytest.raises(ImportError, match="requires matplotlib"):
        # before anything is trained
        TrainingComparisonDisplay.from_estimator(None, None, None)


def test_init_keeps_what_it_gets():
    assert list(inspect.signature(TrainingComparisonDisplay).parameters) == ["panels"]
    assert vars(TrainingComparisonDisplay(panels=[1])) == {"panels": [1]}


def test_rows_in_any_order_keep_plain_as_the_measure(table):
    gaps = table[(table["metric"] == "sufficiency_gap") & (table["method"] == "saliency")]
    means = gaps.set_index("training")["mean"]
    for order in (["guided", "random order", "plain"], ["random order", "plain", "guided"]):
        rows = gaps.set_index("training").loc[order].reset_index()
        display = TrainingComparisonDisplay.from_comparison(rows)
        assert display.plain_lines_[0].get_xdata() == pytest.approx([means["plain"]] * 2)
        assert [label.get_text() for label in display.ax_.get_yticklabels()] == order
        for container, name in zip(display.means_[0], order, strict=True):
            assert container[0].get_xdata() == pytest.approx([means[name]])


FAR = {"plain": [0.8, 0.9], "guided": [0.85, 0.9], "weight decay": [0.85, 0.85]}


@pytest.mark.parametrize("chance", [0.3, 0.85])
@pytest.mark.parametrize("n_panels", [1, 2, 3])
def test_the_legend_fits_into_the_figure(chance, n_panels):
    panel = {"metric": "accuracy", "method": "", "chance": chance, "values": FAR}
    figure = TrainingComparisonDisplay(panels=[panel] * n_panels).plot().figure_
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    lowest = min(ax.get_tightbbox().y0 for ax in figure.axes)
    assert 0 <= box.y0 < box.y1 <= lowest


@pytest.mark.parametrize("chance", [0.3, 1.5])
def test_words_of_chance_lie_below_the_last_row(chance):
    display = drawn(FAR, chance)
    display.figure_.canvas.draw()
    words = display.chance_marks_[0].get_window_extent()
    rows = [line.get_window_extent().y0 for line, *_ in display.means_[0]]
    assert words.y1 < min(rows)
    # no line shows through
    box = display.chance_marks_[0].get_bbox_patch()
    assert box.get_alpha() is None
    assert display.chance_marks_[0].get_zorder() > display.plain_lines_[0].get_zorder()


def test_dollars_in_a_label_are_dollars():
    panel = {"metric": "cost $x$ in $", "method": "", "chance": np.nan, "values": FAR}
    display = TrainingComparisonDisplay(panels=[panel]).plot()
    assert not display.ax_.title.get_parse_math()
    display.figure_.canvas.draw()


def test_short_names_of_styles():
    values = {"plain": [0.8, 0.9], "guided": [0.85, 0.9]}
    panel = {"metric": "accuracy", "method": "", "chance": 0.7, "values": values}
    display = TrainingComparisonDisplay(panels=[panel]).plot(
        seed_kwargs={"c": "red", "lw": 3, "ms": 7},
        mean_kwargs={"ms": 2, "c": "blue"},
        line_kwargs={"c": "green", "ls": "-.", "lw": 4},
    )
    line = display.seed_lines_[0][0]
    assert (line.get_color(), line.get_linewidth(), line.get_markersize()) == ("red", 3, 7)
    mean = display.means_[0][0][0]
    assert (mean.get_color(), mean.get_markersize()) == ("blue", 2)
    plain = display.plain_lines_[0]
    assert (plain.get_color(), plain.get_linestyle(), plain.get_linewidth()) == ("green", "-.", 4)
    assert display.chance_marks_[0].get_color() == "green"
