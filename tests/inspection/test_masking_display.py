"""``MaskingDisplay`` draws what was recorded: artists against the records they stand for."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgba
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.callbacks import MaskRecorder
from sgt_sklearn.inspection import MaskingDisplay
from sgt_sklearn.inspection._masking_drawings import HIDDEN
from sgt_sklearn.preprocessing import TokenEncoder

RNG = np.random.default_rng(0)
N = 20
SHAPES = {
    "tabular": (5,),
    "tokens": (6,),
    "series": (7, 3),
    "long series": (30, 4),
    "image": (1, 4, 5),
    "colour image": (3, 4, 5),
}


@pytest.fixture(autouse=True)
def figures():
    matplotlib.use("Agg")
    yield
    pyplot.close("all")


def made_up(name, n_epochs=9):
    """A display of random masks."""
    shape, kind = SHAPES[name], name.split()[-1]
    hidden = RNG.random((n_epochs, *shape)) < np.linspace(0.1, 0.9, n_epochs).reshape(
        -1, *(1,) * len(shape)
    )
    if kind == "image":
        hidden[:] = hidden[:, :1]
    inputs = RNG.normal(size=shape)
    return MaskingDisplay(
        hidden,
        masked=np.where(hidden, RNG.normal(size=hidden.shape), inputs),
        inputs=inputs,
        epochs=np.arange(2, 2 * n_epochs + 1, 2),
        n_hidden=hidden.reshape(n_epochs, -1).sum(axis=1),
        n_groups=int(np.prod(shape)),
        kind=kind,
        feature_names=None if kind == "image" else [f"name {i}" for i in range(shape[-1])],
    )


def row_names(axis):
    return [label.get_text() for label in axis.get_yticklabels()]


@pytest.mark.parametrize("name", SHAPES)
def test_k_is_drawn_on_top(name):
    display = made_up(name)
    assert display.plot() is display
    x, y = display.line_.get_data()
    np.testing.assert_array_equal(x, display.epochs)
    np.testing.assert_array_equal(y, display.n_hidden)
    top = display.axes_[0]
    assert display.line_.axes is top
    assert top.get_ylabel() == f"hidden k\nof {display.n_groups}"
    assert display.figure_ is display.ax_.figure is top.figure
    (legend,) = [a.get_legend() for a in display.axes_ if a.get_legend() is not None]
    assert legend.get_texts()[0].get_text() == "hidden"
    low, high = top.get_ylim()
    assert low == 0
    assert high > display.n_hidden.max()


@pytest.mark.parametrize("sort", [True, False])
def test_raster_of_a_table(sort):
    display = made_up("tabular").plot(sort=sort, bar_kwargs={"alpha": 0.5})
    share = display.hidden.mean(axis=0)
    order = sorted(range(5), key=lambda j: share[j]) if sort else list(range(5))
    (raster,) = display.images_
    np.testing.assert_array_equal(raster.get_array(), display.hidden[:, order].T)
    # each epoch is a column in the middle of its place
    assert raster.get_extent() == [1, 19, 4.5, -0.5]
    assert row_names(display.ax_) == [f"name {j}" for j in order]
    np.testing.assert_allclose([bar.get_width() for bar in display.bars_], share[order])
    middles = [bar.get_y() + bar.get_height() / 2 for bar in display.bars_]
    np.testing.assert_allclose(middles, range(5), atol=1e-12)
    assert display.bars_[0].get_alpha() == 0.5
    assert display.bars_[0].axes.get_ylim() == display.ax_.get_ylim() == (4.5, -0.5)
    assert display.ax_.get_xlabel() == "epoch"
    assert display.colorbar_ is None
    colours = raster.cmap(raster.norm([0.0, 1.0]))
    np.testing.assert_allclose(colours[1], to_rgba(HIDDEN), atol=1e-6)


def test_raster_of_a_text_keeps_the_order_of_the_words():
    display = made_up("tokens").plot(sort=True)
    np.testing.assert_array_equal(display.images_[0].get_array(), display.hidden.T)
    assert row_names(display.ax_) == [f"name {i}" for i in range(6)]


def test_many_columns_are_named_in_part():
    hidden = RNG.random((3, 150)) < 0.5
    display = MaskingDisplay(
        hidden,
        masked=hidden * 1.0,
        inputs=hidden[0] * 1.0,
        epochs=np.arange(1, 4),
        n_hidden=hidden.sum(axis=1),
        n_groups=150,
        kind="tabular",
        feature_names=[f"name {j}" for j in range(150)],
    ).plot()
    order = np.argsort(hidden.mean(axis=0), kind="stable")
    assert row_names(display.ax_) == [f"name {j}" for j in order[::3]]
    assert display.ax_.get_yticks().tolist() == list(range(0, 150, 3))


@pytest.mark.parametrize("n_panels", [1, 3, 20])
@pytest.mark.parametrize("name", ["series", "long series"])
def test_masks_of_series(name, n_panels):
    display = made_up(name).plot(n_panels=n_panels, image_kwargs={"alpha": 0.8})
    chosen = {1: [0], 3: [0, 4, 8], 20: range(9)}[n_panels]
    *masks, share = display.images_
    for image, epoch in zip(masks, chosen, strict=True):
        np.testing.assert_array_equal(image.get_array(), display.hidden[epoch].T)
        titles = [image.axes.get_title(loc=loc) for loc in ("left", "center")]
        assert f"epoch {display.epochs[epoch]}" in titles
    np.testing.assert_allclose(share.get_array(), display.hidden.mean(axis=0).T)
    assert share.get_alpha() == 0.8
    assert display.colorbar_.mappable is share
    assert share.get_clim() == (0, 1)
    marks = display.axes_[0].get_lines()[1].get_xdata()
    np.testing.assert_array_equal(marks, display.epochs[list(chosen)])
    assert share.axes.get_xlabel() == "time step"
    columns = {image.axes.get_position().x0 for image in masks}
    assert len(columns) == (1 if name == "long series" else len(masks))
    assert row_names(display.ax_) == display.feature_names


def test_few_features_are_drawn_as_lines_in_their_rows():
    display = made_up("long series").plot()
    lines = np.array([line.get_ydata() for line in display.ax_.get_lines()])
    assert lines.shape == (4, 30)
    assert (np.abs(lines - np.arange(4)[:, None]) < 0.5).all()
    for line, feature in zip(lines, display.inputs.T, strict=True):
        assert np.corrcoef(line, feature)[0, 1] < -0.999  # rows count downwards
    assert not display.images_[-1].axes.get_lines()
    display.inputs = np.ones_like(display.inputs)
    assert np.isfinite([line.get_ydata() for line in display.plot().ax_.get_lines()]).all()


@pytest.mark.parametrize("name", ["image", "colour image"])
def test_images(name):
    display = made_up(name).plot(n_panels=2)
    low, high = display.inputs.min(), display.inputs.max()
    *images, share = display.images_
    overlays, below = images[:2], images[2:]
    for overlay, picture, epoch in zip(overlays, below, [0, 8], strict=True):
        np.testing.assert_array_equal(overlay.get_array().filled(0), display.hidden[epoch, 0])
        masked = ((display.masked[epoch] - low) / (high - low)).clip(0, 1)
        expected = masked.transpose(1, 2, 0) if len(masked) == 3 else masked[0]
        np.testing.assert_allclose(picture.get_array(), expected)
        assert overlay.axes.get_title() == f"epoch {display.epochs[epoch]}"
    np.testing.assert_allclose(share.get_array(), display.hidden[:, 0].mean(axis=0))
    assert display.colorbar_.mappable is share


@pytest.mark.parametrize("name", SHAPES)
def test_into_axes(name):
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4))
    display = made_up(name).plot(axes[1])
    figure.canvas.draw()
    assert display.figure_ is figure
    assert not axes[1].axison
    left = axes[0].get_position().x1
    assert all(panel.get_position().x0 > left for panel in display.axes_)
    free = figure.add_axes((0.1, 0.2, 0.3, 0.4))
    display.plot(free, line_kwargs={"color": "red"})
    assert display.line_.get_color() == "red"
    assert all(panel.get_position().x1 < 0.41 for panel in display.axes_)


@pytest.mark.parametrize("name", SHAPES)
def test_keywords_win_under_any_name(name):
    image_kwargs = {"aspect": "auto", "interpolation": "none", "cmap": "viridis"}
    bar_kwargs = {"fc": "red", "lw": 2}
    display = made_up(name).plot(
        line_kwargs={"lw": 4, "c": "red", "ds": "default"},
        image_kwargs=image_kwargs,
        bar_kwargs=bar_kwargs,
    )
    line, image = display.line_, display.images_[-1]
    assert (line.get_linewidth(), line.get_color()) == (4, "red")
    assert line.get_drawstyle() == "default"
    assert image.get_interpolation() == "none" and image.cmap.name == "viridis"
    assert image.axes.get_aspect() == "auto"
    if display.bars_ is not None:
        bar = display.bars_[0]
        assert bar.get_facecolor() == to_rgba("red") and bar.get_linewidth() == 2


def test_dollars_in_names_are_no_mathematics():
    display = made_up("tabular")
    display.feature_names = ["cost in $", "$x$", "$", "a", "b"]
    names = row_names(display.plot(sort=False).ax_)
    assert names == [r"cost in \$", r"\$x\$", r"\$", "a", "b"]


# from estimators and recorders

FRAME = pd.DataFrame(RNG.normal(size=(N, 4)), columns=["height", "weight", "age", "dose"])
LABELS = np.where(FRAME["age"] > 0, "ill", "well")
SERIES = [RNG.normal(size=(n, 3)).astype(np.float32) for n in RNG.integers(4, 9, N)]
IMAGES = RNG.normal(size=(N, 1, 4, 4)).astype(np.float32)


def net_of(*args, cls=SaliencyGuidedClassifier, **params):
    return cls(*args, max_epochs=3, random_state=0, **params)


@pytest.mark.parametrize("sample", [0, 7, -1])
def test_a_table_is_fitted_as_by_hand(sample, device):
    net = net_of(device=device)
    display = MaskingDisplay.from_estimator(net, FRAME, LABELS, sample=sample)
    assert not net.initialized_ and net.callbacks is None
    recorder = MaskRecorder(FRAME.iloc[[sample]], LABELS[[sample]])
    net.set_params(callbacks=[recorder]).fit(FRAME, LABELS)
    hidden = [record["hidden"][0] for record in recorder.records_]
    np.testing.assert_array_equal(display.hidden, hidden)
    np.testing.assert_allclose(display.inputs, FRAME.iloc[sample], 1e-6)
    assert display.feature_names == FRAME.columns.tolist()
    assert display.epochs.tolist() == [1, 2, 3]
    assert display.n_hidden.tolist() == [2, 2, 2]
    assert display.n_groups == 4
    again = MaskingDisplay.from_recorder(recorder)
    np.testing.assert_array_equal(again.hidden, display.hidden)
    assert again.feature_names == display.feature_names
    assert set(row_names(again.ax_)) == set(FRAME.columns)


def test_names_behind_the_steps_of_a_pipeline():
    frame = FRAME.assign(sex=np.where(np.arange(N) % 3, "m", "f"))
    columns = make_column_transformer(
        (StandardScaler(), ["height", "age"]), (OneHotEncoder(), ["sex"])
    )
    inner = make_pipeline("passthrough", net_of(callbacks=[("own", MaskRecorder(np.eye(4)[:1]))]))
    inner[-1].set_params(mask_order="random")
    pipeline = make_pipeline(columns, inner)
    display = MaskingDisplay.from_estimator(pipeline, frame, LABELS, sample=2)
    assert display.feature_names == [
        "standardscaler__height",
        "standardscaler__age",
        "onehotencoder__sex_f",
        "onehotencoder__sex_m",
    ]
    expected = columns.fit_transform(frame)[2]
    np.testing.assert_allclose(display.inputs, expected, 1e-5)
    named = MaskingDisplay.from_estimator(pipeline, frame, LABELS, feature_names=list("abcd"))
    assert named.feature_names == list("abcd")


def test_disabled_callbacks_stay_disabled(capsys):
    as_ever = MaskingDisplay.from_estimator(net_of(), FRAME, LABELS)
    capsys.readouterr()
    net = net_of(callbacks="disable", verbose=1)
    display = MaskingDisplay.from_estimator(net, FRAME, LABELS)
    assert not capsys.readouterr().out  # no log of epochs
    assert net.callbacks == "disable"
    np.testing.assert_array_equal(display.hidden, as_ever.hidden)


def test_a_callback_of_the_same_name():
    own = MaskRecorder(FRAME[:1], LABELS[:1])
    net = net_of(callbacks=[("mask_recorder", own)])
    assert len(MaskingDisplay.from_estimator(net, FRAME, LABELS).hidden) == 3


@pytest.mark.parametrize("as_dict", [False, True])
def test_ragged_series_end_where_they_end(as_dict, device):
    X, lengths = SERIES, np.array([len(series) for series in SERIES])
    if as_dict:
        array = np.zeros((N, 8, 3), dtype=np.float32)
        for row, series in zip(array, SERIES, strict=True):
            row[: len(series)] = series
        X = {"X": array, "lengths": lengths}
    net = net_of(cls=SaliencyGuidedRegressor, feature_groups="time", device=device)
    display = MaskingDisplay.from_estimator(net, X, FRAME["age"].to_numpy(), sample=4)
    assert display.hidden.shape == (3, lengths[4], 3)
    np.testing.assert_array_equal(display.inputs, SERIES[4])
    assert np.isfinite(display.masked).all()
    assert display.n_groups == lengths[4]
    assert display.feature_names == ["x0", "x1", "x2"]
    # the fill takes its values from the other series that the clone was fitted on
    others = {value for i, s in enumerate(SERIES) if i != 4 for value in s.ravel().tolist()}
    assert set(display.masked[display.hidden].tolist()) <= others


def test_images_of_a_regressor(device):
    net = net_of(cls=SaliencyGuidedRegressor, device=device)
    display = MaskingDisplay.from_estimator(
        net, IMAGES, FRAME["age"].to_numpy(), fit_params={"sample_weight": np.arange(N) + 1.0}
    )
    assert display.hidden.shape == (3, 1, 4, 4)
    assert display.kind == "image"
    assert display.feature_names is None
    np.testing.assert_array_equal(display.inputs, IMAGES[0])


TEXTS = ["a fine film", "no fine film at all, no", "what a dull story", "fine story"] * 5


def test_words_of_a_text(device):
    encoder = TokenEncoder(vocabulary=["fine", "film", "no", "dull", "story"])
    params = {"module__vocabulary_size": 7, "device": device}
    pipeline = make_pipeline(encoder, net_of("text_bag", mask_fill="marginal", **params))
    display = MaskingDisplay.from_estimator(pipeline, TEXTS, LABELS, sample=1)
    words = ["no", "fine", "film", "at", "all", "no"]
    assert display.feature_names == words
    assert row_names(display.ax_) == words
    assert display.hidden.shape == (3, 6)
    assert display.n_groups == 6
    ids = encoder.fit_transform(TEXTS)
    recorder = MaskRecorder(ids[:4], LABELS[:4])
    net = net_of("text_bag", callbacks=[recorder], **params).fit(ids, LABELS)
    names = encoder.get_token_names_out()
    unknown = ["no", "fine", "film", "<unknown>", "<unknown>", "no"]
    shown = MaskingDisplay.from_recorder(recorder, 1, token_names=names)
    assert shown.feature_names == unknown
    assert MaskingDisplay.from_recorder(recorder, 1).feature_names == [
        *("4", "2", "3", "1", "1", "4")
    ]
    with pytest.raises(ValueError, match="token_names must name the ids up to 6, got 3 names"):
        MaskingDisplay.from_recorder(recorder, 2, token_names=names[:3])
    assert net.initialized_


# bad input


def test_bad_estimators():
    for estimator, kind in [
        (LogisticRegression(), "LogisticRegression"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "LogisticRegression"),
    ]:
        with pytest.raises(TypeError, match=f"must be a net of sgt_sklearn, .* got {kind}"):
            MaskingDisplay.from_estimator(estimator, FRAME, LABELS)
    plain = net_of(consistency_weight=0)
    with pytest.raises(ValueError, match="consistency_weight must be above 0"):
        MaskingDisplay.from_estimator(plain, FRAME, LABELS)
    with pytest.raises(ValueError, match="sample must be a row of X, which has 20, got 20"):
        MaskingDisplay.from_estimator(net_of(), FRAME, LABELS, sample=20)
    with pytest.raises(TypeError, match=r"sample must be an int, .* got 1\.0"):
        MaskingDisplay.from_estimator(net_of(), FRAME, LABELS, sample=1.0)
    with pytest.raises(ValueError, match="names of the 4 columns, got 2 names"):
        MaskingDisplay.from_estimator(net_of(), FRAME, LABELS, feature_names=["a", "b"])


def test_bad_recorders():
    recorder = MaskRecorder(FRAME[:2], LABELS[:2], every=5)
    with pytest.raises(TypeError, match=r"must be a .*MaskRecorder .* before any fit"):
        MaskingDisplay.from_recorder(recorder)
    with pytest.raises(TypeError, match="got SaliencyGuidedClassifier"):
        MaskingDisplay.from_recorder(net_of())
    net_of(callbacks=[recorder]).fit(FRAME, LABELS)
    with pytest.raises(ValueError, match=r"must hold a record, .* every 5 epochs"):
        MaskingDisplay.from_recorder(recorder)
    recorder.every = 1
    net_of(callbacks=[recorder]).fit(FRAME, LABELS)
    with pytest.raises(ValueError, match="one of 2 recorded samples, got 2"):
        MaskingDisplay.from_recorder(recorder, 2)
    with pytest.raises(TypeError, match="sample must be an int, got 'a'"):
        MaskingDisplay.from_recorder(recorder, "a")
    with pytest.raises(ValueError, match="n_panels must be at least 1, got 0"):
        MaskingDisplay.from_recorder(recorder, n_panels=0)
