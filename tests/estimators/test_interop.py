"""The estimators inside scikit-learn's tools, with skorch's callbacks, and as a mixin."""

import copy
import io
import itertools
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
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

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.modules import MLP

ESTIMATORS = [SaliencyGuidedClassifier, SaliencyGuidedRegressor]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 5)).astype(np.float32)
# the last two columns are noise
SCORE = X[:, :3] @ np.array([2.0, -1.0, 1.0])
LABELS = np.array(["low", "middle", "up"])[np.digitize(SCORE, [-1.0, 1.0])]
BINARY = np.where(SCORE > 0, "yes", "no")
FRAME = pd.DataFrame(X, columns=["first", "second", "third", "noise", "more noise"])


def make(estimator=SaliencyGuidedClassifier, device="cpu", **params):
    defaults = {"max_epochs": 3, "lr": 0.03, "device": device, "random_state": 0}
    return estimator(**defaults | params)


def targets_for(estimator):
    return SCORE if issubclass(estimator, SaliencyGuidedRegressor) else LABELS


def assert_same_predictions(net, data, other, other_data):
    """Compare up to rounding: the order of sums follows the memory layout of a table."""
    method = "predict" if isinstance(net, SaliencyGuidedRegressor) else "predict_proba"
    predictions = getattr(net, method)(data), getattr(other, method)(other_data)
    np.testing.assert_allclose(*predictions, rtol=1e-3, atol=1e-4)


# model selection


def test_grid_search_in_two_processes_over_module_optimizer_and_guidance(device):
    grid = {
        "module__hidden": [(), (8,)],
        "optimizer__weight_decay": [0.0, 0.1],
        "mask_fraction": [0.2, "auto"],
    }
    search = GridSearchCV(make(device=device), grid, cv=2, n_jobs=2, error_score="raise")
    search.fit(X, LABELS)
    assert len(search.cv_results_["params"]) == 8
    best = search.best_estimator_
    again = clone(make(device=device)).set_params(**search.best_params_).fit(X, LABELS)
    np.testing.assert_array_equal(best.predict_proba(X), again.predict_proba(X))
    hidden = [layer for layer in best.module_.modules() if isinstance(layer, nn.Linear)]
    assert len(hidden) == 1 + len(search.best_params_["module__hidden"])
    assert (
        best.optimizer_.param_groups[0]["weight_decay"]
        == search.best_params_["optimizer__weight_decay"]
    )
    assert search.score(X, LABELS) > 0.6


def test_every_candidate_of_a_search_gets_its_own_parameters(device):
    grid = {"mask_fraction": [0.0, 0.5], "mask_order": ["absolute", "random"]}
    grid |= {"consistency_weight": [0.0, 1.0]}
    search = GridSearchCV(make(device=device), grid, cv=2, error_score="raise", refit=False)
    search.fit(X, LABELS)
    nets = {}
    for params in search.cv_results_["params"]:
        net = make(device=device, **params).fit(X, LABELS)
        nets[tuple(params.values())] = net.predict_proba(X).tobytes()
    # without guidance or with nothing hidden all are the same net
    assert len(set(nets.values())) == 3


def test_random_search_draws_numpy_scalars(device):
    distributions = {"consistency_weight": np.linspace(0, 2, 5), "max_epochs": np.arange(1, 3)}
    search = RandomizedSearchCV(
        make(SaliencyGuidedRegressor, device),
        distributions,
        n_iter=3,
        cv=2,
        random_state=0,
        error_score="raise",
    )
    assert search.fit(X, SCORE).best_params_["max_epochs"] in (1, 2)


@pytest.mark.parametrize(
    ("estimator", "scorers"),
    [
        (SaliencyGuidedClassifier, ["accuracy", "neg_log_loss", "roc_auc_ovr", "f1_macro"]),
        (SaliencyGuidedRegressor, ["r2", "neg_mean_absolute_error", "neg_median_absolute_error"]),
    ],
)
def test_cross_validate_with_several_scorers(estimator, scorers, device):
    results = cross_validate(
        make(estimator, device),
        X,
        targets_for(estimator),
        scoring=scorers,
        cv=3,
        return_estimator=True,
        error_score="raise",
    )
    for scorer in scorers:
        assert np.isfinite(results[f"test_{scorer}"]).all()
    assert len({id(net.module_) for net in results["estimator"]}) == 3


def test_cross_val_predict_and_learning_curve(device):
    probabilities = cross_val_predict(make(device=device), X, LABELS, method="predict_proba", cv=2)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    _, _, scores = learning_curve(
        make(device=device), X, LABELS, train_sizes=[0.5, 1.0], cv=2, error_score="raise"
    )
    assert scores.shape == (2, 2)


# meta-estimators


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibrated_classifier(method, device):
    net = CalibratedClassifierCV(make(device=device, max_epochs=10), method=method, cv=2)
    net.fit(X, LABELS)
    assert net.classes_.tolist() == ["low", "middle", "up"]
    assert net.score(X, LABELS) > 0.6


@pytest.mark.parametrize(
    ("ensemble", "estimator"),
    [
        (BaggingClassifier, SaliencyGuidedClassifier),
        (BaggingRegressor, SaliencyGuidedRegressor),
    ],
)
def test_bagging(ensemble, estimator, device):
    net = ensemble(make(estimator, device, max_epochs=10), n_estimators=2, random_state=0)
    y = targets_for(estimator)
    net.fit(X, y)
    assert net.score(X, y) > 0.6
    assert net.estimators_[0].random_state != net.estimators_[1].random_state
    again = clone(net).fit(X, y)
    np.testing.assert_array_equal(net.predict(X), again.predict(X))


def test_voting_stacking_and_multiclass_wrappers(device):
    net = make(device=device)
    named = [("guided", net), ("plain", clone(net).set_params(consistency_weight=0))]
    for wrapper in (
        VotingClassifier(named, voting="soft"),
        StackingClassifier(named, LogisticRegression(max_iter=500), cv=2),
        OneVsRestClassifier(net),
    ):
        assert set(wrapper.fit(X, LABELS).predict(X)) <= set(LABELS)


def test_multi_output_wrapper_predicts_like_single_nets(device):
    net = make(SaliencyGuidedRegressor, device)
    both = MultiOutputRegressor(net).fit(X, np.column_stack([SCORE, X[:, 0]])).predict(X)
    np.testing.assert_array_equal(both[:, 0], clone(net).fit(X, SCORE).predict(X))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("prefit", [False, True])
def test_select_from_model_keeps_the_columns_that_matter(estimator, prefit, device):
    net = make(estimator, device, max_epochs=20)
    if prefit:
        net.fit(X, targets_for(estimator))
    selector = SelectFromModel(net, max_features=3, threshold=-np.inf, prefit=prefit)
    selector.fit(X, targets_for(estimator))
    assert selector.get_support().tolist() == [True, True, True, False, False]
    assert selector.transform(X).shape == (90, 3)


def test_recursive_feature_elimination_keeps_the_columns_that_matter(device):
    selector = RFE(make(device=device, max_epochs=20), n_features_to_select=3).fit(X, LABELS)
    assert selector.support_.tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_permutation_importance_agrees_on_the_columns_that_matter(estimator, device):
    y = targets_for(estimator)
    net = make(estimator, device, max_epochs=20).fit(X, y)
    importances = permutation_importance(net, X, y, n_repeats=2, random_state=0).importances_mean
    assert importances[:3].min() > importances[3:].max()
    assert net.feature_importances_[:3].min() > net.feature_importances_[3:].max()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_pipeline_with_a_scaler(estimator, device):
    y = targets_for(estimator)
    pipeline = make_pipeline(StandardScaler(), make(estimator, device))
    pipeline.set_output(transform="pandas").fit(FRAME, y)
    assert pipeline[-1].feature_names_in_.tolist() == FRAME.columns.tolist()
    scaled = StandardScaler().fit_transform(FRAME)
    net = make(estimator, device).fit(scaled, y)
    assert_same_predictions(pipeline[-1], pipeline[:-1].transform(FRAME), net, scaled)


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


CODES = np.digitize(SCORE, [-1.0, 1.0])
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
    assert repr(loaded) == repr(net)
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


# the mixin before nets of the user's own


class GuidedNet(SaliencyGuidedMixin, NeuralNet):
    pass


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


class GuidedBinary(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    pass


class GuidedRegressor(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


class TupleNet(MLP):
    def forward(self, x):
        return super().forward(x), x


def softmax_net():
    return nn.Sequential(MLP(5, 3, hidden=(8,)), nn.Softmax(dim=1))


COLUMN = SCORE.reshape(-1, 1).astype(np.float32)


def make_nets():
    return {
        "net": (GuidedNet, MLP(5, 1), {"criterion": nn.MSELoss}, COLUMN),
        "net of logits": (GuidedNet, MLP(5, 3), {"criterion": nn.CrossEntropyLoss}, CODES),
        "net of log-probabilities": (
            GuidedNet,
            nn.Sequential(MLP(5, 3), nn.LogSoftmax(dim=1)),
            {"criterion": nn.NLLLoss},
            CODES,
        ),
        "several logits": (
            GuidedNet,
            MLP(5, 2),
            {"criterion": nn.BCEWithLogitsLoss},
            (X[:, :2] > 0).astype(np.float32),
        ),
        "probability": (
            GuidedNet,
            nn.Sequential(MLP(5, 1), nn.Sigmoid()),
            {"criterion": nn.BCELoss},
            (COLUMN > 0).astype(np.float32),
        ),
        "tuple": (GuidedNet, TupleNet(5, 3), {"criterion": nn.CrossEntropyLoss}, CODES),
        "callable divergence": (
            GuidedNet,
            MLP(5, 1),
            {"criterion": nn.L1Loss, "consistency": lambda a, b: (a - b).abs().sum(1)},
            COLUMN,
        ),
        "classifier": (GuidedClassifier, softmax_net(), {}, CODES),
        "classifier of logits": (
            GuidedClassifier,
            MLP(5, 3),
            {"criterion": nn.CrossEntropyLoss},
            CODES,
        ),
        "binary": (GuidedBinary, MLP(5, 1), {}, (SCORE > 0).astype(np.float32)),
        "regressor": (GuidedRegressor, MLP(5, 1), {}, COLUMN),
    }


# seeded, so that the initial weights do not depend on which tests were collected before
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    NETS = make_nets()


def make_net(name, device, **params):
    cls, module, own, y = NETS[name]
    defaults = {
        "optimizer": torch.optim.Adam,
        "lr": 0.03,
        "max_epochs": 15,
        "batch_size": 32,
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
        "device": device,
        "random_state": 0,
    }
    return cls(copy.deepcopy(module), **defaults | own | params), y


def weights(net):
    return [value.cpu().numpy() for value in net.module_.state_dict().values()]


@pytest.mark.parametrize("name", NETS)
def test_nets_of_the_users_own_learn_and_explain(name, device):
    net, y = make_net(name, device)
    net.fit(X, y)
    losses, consistency = (net.history[:, key] for key in ("train_loss", "train_consistency_loss"))
    assert losses[-1] < 0.8 * losses[0]
    assert all(value > 0 for value in consistency)
    values = np.abs(net.attribute(X)).mean(0)
    assert values.shape == (5,)
    assert values[:2].min() > values[3:].max()
    if hasattr(net, "score"):
        assert net.score(X, y) > 0.6


@pytest.mark.parametrize("name", NETS)
def test_guidance_changes_nets_of_the_users_own(name, device):
    fits = [
        make_net(name, device, max_epochs=2, **params)[0].fit(X, NETS[name][3])
        for params in ({}, {"consistency_weight": 0}, {"mask_order": "random"})
    ]
    states = {tuple(v.tobytes() for v in weights(net)) for net in fits}
    assert len(states) == 3


@pytest.mark.parametrize("name", [name for name in NETS if name != "callable divergence"])
def test_nets_of_the_users_own_survive_clone_and_pickle(name, device):
    net, y = make_net(name, device, max_epochs=2)
    net = clone(net).fit(X, y)
    loaded = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    np.testing.assert_array_equal(loaded.attribute(X), net.attribute(X))


def test_a_guided_skorch_net_in_a_grid_search(device):
    net, y = make_net("classifier", device, max_epochs=2)
    grid = {"mask_fraction": [0.25, 0.5], "optimizer__weight_decay": [0, 0.1]}
    assert GridSearchCV(net, grid, cv=2, error_score="raise").fit(X, y).best_score_ > 0.3


def test_pipeline_on_real_unscaled_data(device):
    data, y = load_iris(return_X_y=True)
    net = make(device=device, max_epochs=15).fit(data * [1, 1000, 1e-3, 1], y)
    assert net.score(data * [1, 1000, 1e-3, 1], y) > 0.9
