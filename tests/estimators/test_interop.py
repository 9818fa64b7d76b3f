"""The estimators with every kind of input, cloned, pickled, and with skorch's callbacks."""

import copy
import io
import itertools
import pickle
import re
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    PrintLog,
    ProgressBar,
    TrainEndCheckpoint,
    Unfreezer,
)
from skorch.dataset import ValidSplit
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.modules import MLP
from tests.estimators.noisy_table import (
    BINARY,
    CODES,
    ESTIMATORS,
    FRAME,
    LABELS,
    RNG,
    SCORE,
    X,
    assert_same_predictions,
    make,
    targets_for,
)

# input kinds


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_frame_gives_the_net_of_its_array_and_names_its_columns(estimator, device):
    y = targets_for(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # test_a_frame_raises_no_warning is about those
        net = make(estimator, device).fit(FRAME, pd.Series(y, index=FRAME.index[::-1]))
    assert net.feature_names_in_.tolist() == FRAME.columns.tolist()
    assert net.n_features_in_ == 5
    plain = make(estimator, device).fit(X, y)
    assert not hasattr(plain, "feature_names_in_")
    assert_same_predictions(net, FRAME, plain, X)
    np.testing.assert_allclose(net.attribute(FRAME), plain.attribute(X), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(net.feature_importances_, plain.feature_importances_, rtol=1e-3)
    with pytest.raises(ValueError, match="feature names"):
        net.predict(FRAME[FRAME.columns[::-1]])
    with pytest.warns(UserWarning, match="valid feature names"):
        net.predict(X)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_frame_raises_no_warning(estimator, method, device):
    net = make(estimator, device)
    getattr(net, method)(FRAME, targets_for(estimator))


KINDS_OF_X = {
    "float64": lambda X: X.astype(np.float64),
    "list": lambda X: X.tolist(),
    "tensor": torch.from_numpy,
    "Fortran order": np.asfortranarray,
    "frame without names": lambda X: pd.DataFrame(X),
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("kind", KINDS_OF_X)
def test_every_kind_of_table_gives_the_same_net(estimator, kind, device):
    y, data = targets_for(estimator), KINDS_OF_X[kind](X)
    net, expected = make(estimator, device).fit(data, y), make(estimator, device).fit(X, y)
    assert_same_predictions(net, data, expected, X)
    np.testing.assert_allclose(net.attribute(data), expected.attribute(X), rtol=1e-3, atol=1e-4)


@pytest.fixture
def warn_always():
    # torch gives some warnings once a process, and would hide them from all tests but one
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("module", ["auto", MLP], ids=["named", "own"])
def test_read_only_data_raise_no_warning(estimator, module, device, warn_always):
    """Pandas gives read-only arrays, and so does joblib to its workers."""
    data, y = X.copy(), targets_for(estimator)
    if module is MLP and estimator is SaliencyGuidedRegressor:
        y = y.reshape(-1, 1).astype(np.float32)
    data.flags.writeable = y.flags.writeable = False
    try:
        net = make(estimator, device, module=module).fit(data, y)
        net.partial_fit(data, y).score(data, y)
        assert net.attribute(data).shape == data.shape
    finally:
        y.flags.writeable = True


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_integer_and_boolean_tables_are_numbers(estimator, device):
    for data in ((X * 3).astype(np.int64), X > 0):
        net = make(estimator, device).fit(data, targets_for(estimator))
        expected = make(estimator, device).fit(data.astype(np.float32), targets_for(estimator))
        np.testing.assert_array_equal(net.predict(data), expected.predict(data))


KINDS_OF_LABELS = {
    "strings": LABELS,
    "objects": LABELS.astype(object),
    "integers": CODES,
    "unsigned": CODES.astype(np.uint8),
    "negative": CODES - 1,
    "gaps": np.array([-5, 3, 100])[CODES],
    "whole floats": CODES.astype(float),
    "booleans": SCORE > 0,
    "binary strings": BINARY,
    "list": LABELS.tolist(),
    "series": pd.Series(LABELS, index=range(90, 0, -1)),
    "categories": pd.Series(LABELS, dtype="category"),
    "tensor": torch.from_numpy(CODES),
}


@pytest.mark.parametrize("module", ["auto", MLP], ids=["named", "own"])
@pytest.mark.parametrize("name", KINDS_OF_LABELS)
def test_labels_of_every_kind_come_back_as_they_were(name, module, device):
    if module is MLP and name in ("negative", "gaps", "whole floats", "list"):
        pytest.skip("a module of the user's own gets numbers as they are, as in skorch")
    y = KINDS_OF_LABELS[name]
    labels = np.asarray(y)
    net = make(device=device, module=module, max_epochs=20).fit(X, y)
    predicted = net.predict(X)
    assert predicted.dtype.kind == labels.dtype.kind or name in ("unsigned", "categories")
    assert set(predicted.tolist()) == set(labels.tolist())
    np.testing.assert_array_equal(net.classes_, np.unique(labels))
    probabilities = net.predict_proba(X)
    assert probabilities.shape == (90, len(net.classes_))
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(net.classes_[probabilities.argmax(1)], predicted)
    assert net.score(X, labels) > 0.7


@pytest.mark.parametrize("module", ["auto", MLP], ids=["named", "own"])
@pytest.mark.parametrize("labels", [CODES, LABELS], ids=["integers", "strings"])
def test_labels_named_beforehand_size_the_net(module, labels, device):
    rows = labels != np.unique(labels)[-1]
    classes = np.unique(labels)
    first = make(device=device, module=module)
    first.partial_fit(X[rows], labels[rows], classes=classes)
    given = make(device=device, module=module, classes=classes).fit(X[rows], labels[rows])
    for net in (first, given):
        assert net.predict_proba(X).shape == (90, 3)
        np.testing.assert_array_equal(net.classes_, np.unique(labels))
        net.partial_fit(X, labels)


def test_several_regression_targets_have_their_own_units(device):
    y = np.column_stack([SCORE, 1000 * X[:, 0] + 5000])
    net = make(SaliencyGuidedRegressor, device, max_epochs=20).fit(X, y)
    assert net.predict(X).shape == (90, 2)
    assert net.score(X, y) > 0.6
    np.testing.assert_allclose(net.target_scale_, y.std(0))


def test_images_of_several_channels(device):
    images = RNG.standard_normal((60, 3, 5, 7)).astype(np.float32)
    y = np.where(images[:, 1].mean((1, 2)) > 0, "bright", "dark")
    net = make(device=device).fit(images, y)
    assert net.n_features_in_ == 3
    assert net.attribute(images).shape == images.shape
    assert net.feature_groups_.shape == (3, 5, 7)
    assert net.feature_groups_.max() == 34
    target = images[:, 0].mean((1, 2))
    regressor = make(SaliencyGuidedRegressor, device).fit(images, target)
    assert regressor.predict(images).shape == (60,)


# clone, pickle, joblib


PARAMETERS = {
    "defaults": {},
    "module class": {"module": MLP, "module__n_features": 5, "module__n_outputs": 3},
    "module instance": {"module": MLP(5, 3)},
    "criterion instance": {"criterion": nn.CrossEntropyLoss(label_smoothing=0.1)},
    "groups": {"feature_groups": np.array([0, 0, 1, 2, 2])},
    "callable fill": {"mask_fill": torch.nn.functional.relu},
    "callbacks": {"callbacks": [EarlyStopping("train_loss"), ("clip", GradientNormClipping(1.0))]},
    "module arguments": {"module__hidden": (4, 4), "optimizer__weight_decay": 0.1},
    "seeded by RandomState": {"random_state": np.random.RandomState(0)},
    "split": {"train_split": ValidSplit(3)},
    "classes": {"classes": ["low", "middle", "up"]},
}


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("name", PARAMETERS)
def test_clone_is_unfitted_with_equal_parameters(name, fitted, device):
    if name == "callable fill" and fitted:
        pytest.skip("it stands for any callable, and is no fill")
    net = make(device=device, **copy.deepcopy(PARAMETERS[name]))
    if fitted:
        net.fit(X, LABELS if name != "module instance" else CODES)
    copied = clone(net)
    assert not copied.initialized_
    params, others = net.get_params(deep=False), copied.get_params(deep=False)
    assert params.keys() == others.keys()
    for key, value in params.items():
        assert type(value) is type(others[key])
        if isinstance(value, (str, float, tuple, np.ndarray)):
            np.testing.assert_equal(others[key], value)
    if name == "module instance":
        assert copied.module is not net.module
        np.testing.assert_equal(
            [p.detach().cpu().numpy() for p in copied.module.parameters()],
            [p.detach().cpu().numpy() for p in net.module.parameters()],
        )


def round_trip_pickle(net):
    return pickle.loads(pickle.dumps(net))


def round_trip_joblib(net):
    file = io.BytesIO()
    joblib.dump(net, file)
    file.seek(0)
    return joblib.load(file)


CALLBACKS = [
    EpochScoring("accuracy", name="train_accuracy", on_train=True, lower_is_better=False),
    EarlyStopping("train_loss", patience=2),
    LRScheduler("StepLR", step_size=1),
]


@pytest.mark.parametrize("round_trip", [round_trip_pickle, round_trip_joblib, copy.deepcopy])
@pytest.mark.parametrize("task", ["classifier", "regressor", "own module", "images", "callbacks"])
@pytest.mark.parametrize("auto", [True, False], ids=["device auto", "device named"])
def test_a_fitted_estimator_survives_a_round_trip(round_trip, task, auto, device):
    estimator = SaliencyGuidedRegressor if task == "regressor" else SaliencyGuidedClassifier
    params = {
        "own module": {"module": MLP(5, 3)},
        "callbacks": {"callbacks": CALLBACKS},
    }.get(task, {})
    if auto and device != "cpu":
        pytest.skip("auto is one device")
    net = make(estimator, "auto" if auto else device, **copy.deepcopy(params))
    data = X if task != "images" else np.tile(X[:, None, None], (1, 1, 4, 1))
    y = CODES if task == "own module" else targets_for(estimator)
    net.fit(data, y)
    loaded = round_trip(net)
    assert loaded.get_params()["device"] == net.get_params()["device"]
    assert loaded.device == net.device
    np.testing.assert_array_equal(loaded.predict(data), net.predict(data))
    np.testing.assert_array_equal(loaded.attribute(data), net.attribute(data))
    np.testing.assert_array_equal(loaded.feature_importances_, net.feature_importances_)
    assert loaded.history[:, "train_loss"] == net.history[:, "train_loss"]
    # callbacks are shown with their address
    assert re.sub(" at 0x[0-9a-f]+", "", repr(loaded)) == re.sub(" at 0x[0-9a-f]+", "", repr(net))
    # a second round trip, cloning and fitting on go as with the original
    again = round_trip(loaded)
    for one in (net, again):
        one.partial_fit(data, y)
    np.testing.assert_array_equal(again.predict(data), net.predict(data))
    assert clone(loaded).get_params()["device"] == ("auto" if auto else device)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("round_trip", [round_trip_pickle, round_trip_joblib, copy.deepcopy])
def test_an_unfitted_estimator_survives_a_round_trip(estimator, round_trip, device):
    net = make(estimator, device)
    loaded = round_trip(net)
    y = targets_for(estimator)
    np.testing.assert_array_equal(net.fit(X, y).predict(X), loaded.fit(X, y).predict(X))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_parameters_of_the_module_follow_save_and_load(estimator, device, tmp_path):
    y = targets_for(estimator)
    net = make(estimator, device).fit(X, y)
    net.save_params(f_params=tmp_path / "params.pt", f_history=tmp_path / "history.json")
    other = make(estimator, device, max_epochs=1, random_state=1).fit(X, y)
    other.load_params(f_params=tmp_path / "params.pt", f_history=tmp_path / "history.json")
    np.testing.assert_array_equal(other.predict(X), net.predict(X))


# skorch's callbacks


SPLIT = ValidSplit(3, stratified=False)


@pytest.mark.parametrize("labels", ["strings", "booleans", "integers", "gaps"])
@pytest.mark.parametrize("use_caching", [True, False])
def test_epoch_scoring_compares_labels_of_every_kind(labels, use_caching, device):
    y = KINDS_OF_LABELS[labels]
    scoring = EpochScoring("accuracy", name="scored", use_caching=use_caching)
    net = make(device=device, max_epochs=5, train_split=SPLIT, callbacks=[scoring]).fit(X, y)
    _, valid = net.get_split_datasets(X, y)
    accuracy = accuracy_score(y[valid.indices], net.predict(X[valid.indices]))
    assert accuracy > 0.5
    assert net.history[-1, "scored"] == pytest.approx(accuracy)
    assert net.history[-1, "valid_acc"] == pytest.approx(accuracy)


def test_epoch_scoring_of_a_regressor(device):
    scorings = [
        EpochScoring("r2", name="r2", use_caching=use, lower_is_better=False)
        for use in (True, False)
    ]
    scorings[1].name = "r2_uncached"
    net = make(SaliencyGuidedRegressor, device, train_split=SPLIT, callbacks=scorings)
    net.fit(X, SCORE)
    _, valid = net.get_split_datasets(X, SCORE)
    expected = net.score(X[valid.indices], SCORE[valid.indices])
    for name in ("r2", "r2_uncached"):
        assert net.history[-1, name] == pytest.approx(expected, abs=1e-4)


def test_scorers_see_probabilities_in_fit(device):
    callbacks = [
        EpochScoring("neg_log_loss", name="log_loss", lower_is_better=False),
        BatchScoring("accuracy", name="batch_accuracy", on_train=True, lower_is_better=False),
    ]
    net = make(device=device, train_split=SPLIT, callbacks=callbacks).fit(X, LABELS)
    # the criterion is the same number with the other sign
    np.testing.assert_allclose(
        net.history[:, "log_loss"], -np.array(net.history[:, "valid_loss"]), rtol=1e-4
    )


def test_early_stopping_stops_and_loads_the_best_net(device):
    stopping = EarlyStopping("valid_acc", patience=2, lower_is_better=False, load_best=True)
    net = make(device=device, max_epochs=60, train_split=SPLIT, callbacks=[stopping])
    net.fit(X, LABELS)
    assert len(net.history) < 60
    _, valid = net.get_split_datasets(X, LABELS)
    best = max(net.history[:, "valid_acc"])
    assert net.score(X[valid.indices], LABELS[valid.indices]) == pytest.approx(best)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_checkpoint_loads_the_best_net(estimator, device, tmp_path):
    checkpoint = Checkpoint(dirname=tmp_path, load_best=True)
    y = targets_for(estimator)
    net = make(
        estimator, device, max_epochs=8, lr=0.3, train_split=SPLIT, callbacks=[checkpoint]
    ).fit(X, y)
    assert {"params.pt", "optimizer.pt", "history.json"} <= {f.name for f in tmp_path.iterdir()}
    _, valid = net.get_split_datasets(X, y)
    if estimator is SaliencyGuidedRegressor:
        error = (net.predict(X[valid.indices]) - SCORE[valid.indices]) / SCORE.std()
        assert (error**2).mean() == pytest.approx(min(net.history[:, "valid_loss"]), rel=1e-3)
    else:
        chosen = net.predict_proba(X[valid.indices])
        codes = np.searchsorted(net.classes_, LABELS[valid.indices])
        log_loss = -np.log(chosen[np.arange(len(codes)), codes]).mean()
        assert log_loss == pytest.approx(min(net.history[:, "valid_loss"]), rel=1e-3)


def test_progress_bar_and_print_log_write_their_lines(device, capsys):
    callbacks = [ProgressBar(batches_per_epoch=3, detect_notebook=False)]
    make(device=device, callbacks=callbacks, verbose=1).fit(X, LABELS)
    captured = capsys.readouterr()
    assert "%|" in captured.err
    for column in ("train_loss", "train_task_loss", "train_consistency_loss", "dur"):
        assert column in captured.out
    make(device=device, callbacks=callbacks, verbose=0).fit(X, LABELS)
    assert "train_loss" not in capsys.readouterr().out


def test_learning_rate_schedulers_change_the_rate(device):
    callbacks = [LRScheduler("ExponentialLR", gamma=0.5, event_name="rate")]
    net = make(device=device, callbacks=callbacks).fit(X, LABELS)
    np.testing.assert_allclose(net.history[:, "rate"], [0.03, 0.015, 0.0075])


def test_callbacks_are_set_by_name(device):
    net = make(device=device, callbacks=[("stop", EarlyStopping("train_loss", patience=5))])
    net.set_params(callbacks__stop__patience=1, callbacks__print_log=None)
    net.fit(X, LABELS)
    callbacks = dict(net.callbacks_)
    assert callbacks["stop"].patience == 1
    assert not isinstance(callbacks.get("print_log"), PrintLog)
    make(device=device, callbacks="disable").fit(X, LABELS).predict(X)


@pytest.mark.parametrize("saliency_pass", ["shared", "separate"])
@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("change", ["freeze", "unfreeze"])
def test_layers_frozen_and_unfrozen_in_fit_rest_and_learn(change, weight, saliency_pass, device):
    first_layer = []

    class Recorder(Callback):
        def on_epoch_end(self, net, **kwargs):
            first_layer.append(net.module_[0].weight.detach().cpu().numpy().copy())

    callbacks = {
        "freeze": [Freezer("0.*", at=3)],
        "unfreeze": [Freezer("0.*"), Unfreezer("0.*", at=3)],
    }[change]
    make(
        device=device,
        module=MLP,
        max_epochs=4,
        consistency_weight=weight,
        saliency_pass=saliency_pass,
        callbacks=[*callbacks, Recorder()],
    ).fit(X, LABELS)
    moved = [(a != b).any() for a, b in itertools.pairwise(first_layer)]
    assert moved == ([True, False, False] if change == "freeze" else [False, True, True])


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("kept_by", ["Checkpoint", "TrainEndCheckpoint", "deepcopy"])
def test_a_net_kept_in_fit_predicts_labels_and_fits_on(kept_by, weight, device, tmp_path):
    class Keeper(Callback):
        def on_train_end(self, net, **kwargs):
            self.net = copy.deepcopy(net)

    callback = {
        "Checkpoint": Checkpoint(dirname=tmp_path, f_pickle="net.pkl", monitor=None),
        "TrainEndCheckpoint": TrainEndCheckpoint(
            dirname=tmp_path, fn_prefix="", f_pickle="net.pkl"
        ),
        "deepcopy": Keeper(),
    }[kept_by]
    net = make(device=device, consistency_weight=weight, callbacks=[callback]).fit(X, LABELS)
    if kept_by == "deepcopy":
        kept = callback.net
    else:
        kept = pickle.loads((tmp_path / "net.pkl").read_bytes())
    np.testing.assert_array_equal(kept.predict(X), net.predict(X))
    before = torch.get_rng_state()
    refitted = kept.set_params(callbacks=None).fit(X, LABELS)
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(refitted.predict_proba(X), net.predict_proba(X))


@pytest.mark.parametrize("moment", ["on_epoch_end", "on_batch_begin", "on_batch_end"])
def test_explaining_in_a_callback_does_not_change_the_training(moment, device):
    def look(net, *args, **kwargs):
        net.attribute(X[:5])

    callback = Callback()
    setattr(callback, moment, look)
    looked = make(device=device, module__dropout=0.2, callbacks=[callback]).fit(X, LABELS)
    net = make(device=device, module__dropout=0.2).fit(X, LABELS)
    np.testing.assert_array_equal(looked.predict_proba(X), net.predict_proba(X))


def test_parameters_set_after_fit_take_effect(device):
    net = make(device=device).fit(X, LABELS)
    before = net.predict_proba(X)
    assert net.set_params(lr=0.5, optimizer__weight_decay=0.1) is net
    assert net.optimizer_.param_groups[0]["lr"] == 0.5
    np.testing.assert_array_equal(net.predict_proba(X), before)
    net.set_params(module__hidden=(3,)).fit(X, LABELS)
    assert net.module_.module[0].out_features == 3
