"""A saved and loaded estimator is the one that was saved; bad files: test_persistence_files."""

import copy
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import ShuffleSplit
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
)
from skorch.dataset import Dataset, ValidSplit
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.estimators._mixin import _TRANSIENT
from sgt_sklearn.exceptions import PersistenceError
from sgt_sklearn.modules import MLP

RNG = np.random.default_rng(0)
TABLE = RNG.standard_normal((60, 5)).astype(np.float32) * [1, 10, 0.1, 1, 1]
TABLE = TABLE.astype(np.float32)
FRAME = pd.DataFrame(TABLE, columns=["ä", "b", "c", "d\N{GREEK SMALL LETTER PI}", "e"])
IMAGES = RNG.standard_normal((60, 2, 6, 6)).astype(np.float32)
CODES = np.digitize(TABLE[:, 0], [-0.5, 0.5])
LABELS = np.array(["low", "mid", "up \N{SNOWMAN}"])[CODES]
TARGETS = TABLE @ [1.0, 0.2, 0.0, 0.0, -1.0]
TWO_TARGETS = np.stack([TARGETS, 1000 * TABLE[:, 3]], axis=1)


class OwnNet(nn.Module):
    """Has buffers that a state dict keeps and leaves out, and a frozen and a tied layer."""

    def __init__(self, n_features, n_outputs, activation=nn.ReLU, dtype=torch.float32):
        super().__init__()
        self.norm = nn.BatchNorm1d(n_features, dtype=dtype)
        self.first = nn.Linear(n_features, n_features, dtype=dtype)
        self.second = nn.Linear(n_features, n_features, dtype=dtype)
        self.second.weight = self.first.weight
        self.frozen = nn.Linear(n_features, n_features, dtype=dtype).requires_grad_(False)
        self.last = nn.Linear(n_features, n_outputs, dtype=dtype)
        self.activation = activation()
        self.register_buffer("n_passes", torch.tensor(0), persistent=False)
        self.register_buffer("last_means", torch.zeros(0), persistent=False)

    def forward(self, x):
        if self.training:
            self.n_passes += 1
            self.last_means = x.detach().mean(1)
        x = self.activation(self.second(self.activation(self.first(self.norm(x)))))
        return self.last(self.frozen(x) + 1e-3 * self.n_passes)


class OwnActivation(nn.Module):
    def forward(self, x):
        return torch.sin(x)


class OwnLoss(nn.Module):
    """A criterion with a parameter that is trained."""

    def __init__(self):
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(1.5))

    def forward(self, output, y):
        return nn.functional.cross_entropy(output * self.temperature, y)


class CountEpochs(Callback):
    def __init__(self, start=0):
        self.start = start

    def initialize(self):
        self.n_epochs_ = self.start
        return self

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs_ += 1
        net.history.record("n_epochs", self.n_epochs_)


class Labelled(SaliencyGuidedClassifier):
    """A subclass with fitted state of its own."""

    def fit(self, X, y=None, **fit_params):
        super().fit(X, y, **fit_params)
        self.fit_rows_ = {"n": len(X), "first": np.asarray(X)[0], ("a", 1): [None, np.float32(2)]}
        return self


def constant_fill(x, generator):
    return torch.zeros_like(x)


def make(estimator, device, **params):
    defaults = {"max_epochs": 3, "batch_size": 16, "device": device, "random_state": 0}
    return estimator(**defaults | params)


Classifier, Regressor = SaliencyGuidedClassifier, SaliencyGuidedRegressor
OWN = {"module": OwnNet, "criterion": "auto"}
# name: (estimator, parameters, X, y, what load has to be given)
CASES = {
    "texts": (Classifier, {}, TABLE, LABELS, {}),
    "objects": (Classifier, {}, TABLE, LABELS.astype(object), {}),
    "gaps": (Classifier, {}, TABLE, CODES * 10 - 7, {}),
    "booleans": (Classifier, {}, TABLE, CODES > 0, {}),
    "floats": (Classifier, {}, TABLE, (CODES > 0).astype(np.float32), {}),
    "names": (Classifier, {}, FRAME, LABELS, {}),
    "indicators": (Classifier, {}, TABLE, (TABLE[:, :3] > 0).astype(int), {}),
    "one logit": (Classifier, {"criterion": nn.BCEWithLogitsLoss}, TABLE, LABELS == "mid", {}),
    "numbers": (Regressor, {}, TABLE, TARGETS, {}),
    "two outputs": (Regressor, {}, TABLE, TWO_TARGETS, {}),
    "images": (Classifier, {"module__channels": (3,), "max_epochs": 1}, IMAGES, LABELS, {}),
    "image numbers": (Regressor, {"module__channels": (3,), "max_epochs": 1}, IMAGES, TARGETS, {}),
    "layers": (
        Classifier,
        {
            "module": "mlp",
            "module__hidden": [7, 4],
            "module__normalization": "batch",
            "module__dropout": 0.2,
            "consistency_weight": np.float32(0.3),
            "mask_fraction": np.float64(0.25),
        },
        TABLE,
        LABELS,
        {},
    ),
    "groups": (Classifier, {"feature_groups": np.array([2, 2, 5, 5, 7])}, TABLE, LABELS, {}),
    "named groups": (
        Classifier,
        {"feature_groups": np.array(["x", "x", "y", "zzz", "y"])},
        TABLE,
        LABELS,
        {},
    ),
    "listed groups": (Regressor, {"feature_groups": [1, 1, 2, 3, 3]}, TABLE, TARGETS, {}),
    "drawn": (
        Classifier,
        {"mask_order": "sampled", "mask_fill": "marginal", "mask_schedule": "ramp"},
        TABLE,
        LABELS,
        {},
    ),
    "RandomState": (Classifier, {"random_state": np.random.RandomState(3)}, TABLE, LABELS, {}),
    "split": (
        Classifier,
        {"train_split": ValidSplit(3, stratified=True), "classes": [*np.unique(LABELS)]},
        TABLE,
        LABELS,
        {},
    ),
    "random split": (
        Regressor,
        {"train_split": ValidSplit(ShuffleSplit(1, test_size=0.2, random_state=0))},
        TABLE,
        TARGETS,
        {},
    ),
    "callbacks": (
        Classifier,
        {
            "callbacks": [
                EarlyStopping("train_loss", patience=50),
                ("schedule", LRScheduler("StepLR", step_size=1, gamma=0.5)),
                GradientNormClipping(1.0),
                EpochScoring("accuracy", on_train=True, name="acc", lower_is_better=False),
            ],
            "callbacks__print_log": None,
            "callbacks__schedule__gamma": 0.7,
        },
        TABLE,
        LABELS,
        {},
    ),
    "one cycle": (
        Classifier,
        {
            "callbacks": [
                LRScheduler(
                    torch.optim.lr_scheduler.OneCycleLR,
                    step_every="batch",
                    max_lr=0.1,
                    total_steps=40,
                )
            ]
        },
        TABLE,
        LABELS,
        {},
    ),
    "parameter groups": (
        Classifier,
        {
            "optimizer": torch.optim.SGD,
            "optimizer__momentum": 0.9,
            "optimizer__param_groups": [("*bias", {"lr": 0.5, "weight_decay": 0.1})],
        },
        TABLE,
        LABELS,
        {},
    ),
    "LBFGS": (
        Regressor,
        {"optimizer": torch.optim.LBFGS, "batch_size": -1, "lr": 0.1},
        TABLE,
        TARGETS,
        {},
    ),
    "NAdam": (Regressor, {"optimizer": torch.optim.NAdam}, TABLE, TARGETS, {}),
    "weighted labels": (
        Classifier,
        {"class_weight": {"low": 2.0, "mid": 1, np.unique(LABELS)[2]: np.float64(0.5)}},
        TABLE,
        LABELS,
        {},
    ),
    "weighted codes": (Classifier, {"class_weight": {0: 2.0, 1: 1.0, 2: 0}}, TABLE, CODES, {}),
    "class weights": (
        Classifier,
        {"criterion": nn.CrossEntropyLoss, "criterion__weight": torch.tensor([1.0, 2.0, 0.5])},
        TABLE,
        LABELS,
        {},
    ),
    "torch's module": (
        Classifier,
        {"module": nn.Linear, "module__in_features": 5, "module__out_features": 3},
        TABLE,
        CODES,
        {},
    ),
    "own module": (Classifier, OWN, TABLE, LABELS, {"module": OwnNet}),
    "own module trusted": (Classifier, OWN, TABLE, LABELS, {"trusted": [OwnNet]}),
    "own activation": (
        Regressor,
        OWN | {"module__activation": OwnActivation},
        TABLE,
        TWO_TARGETS.astype(np.float32),
        {"trusted": [OwnActivation, OwnNet]},
    ),
    "precision": (
        Classifier,
        OWN | {"module__dtype": torch.float64},
        TABLE.astype(np.float64),
        CODES,
        {"module": OwnNet},
    ),
    "own criterion": (
        Classifier,
        {"criterion": OwnLoss, "consistency": "categorical_kl"},
        TABLE,
        LABELS,
        {"criterion": OwnLoss},
    ),
    "own callback": (
        Classifier,
        {"callbacks": [("count", CountEpochs(start=5))]},
        TABLE,
        LABELS,
        {"callbacks": [("count", CountEpochs(start=5))]},
    ),
    "own fill": (
        Classifier,
        {"mask_fill": constant_fill},
        TABLE,
        LABELS,
        {"trusted": constant_fill},
    ),
    "own subclass": (Labelled, {}, TABLE, LABELS, {}),
}


def round_trip(net, path, **params):
    net.save(path)
    return type(net).load(path, **params)


def fitted(case, device):
    estimator, params, X, y, given = CASES[case]
    net = make(estimator, device, **copy.deepcopy(params))
    return net.fit(X, y), X, y, copy.deepcopy(given)


def assert_equal(value, other):
    """Compare with types; of arrays and tensors also dtypes and bits."""
    assert type(value) is type(other)
    if isinstance(value, dict):
        assert list(value) == list(other)
        for key in value:
            assert_equal(value[key], other[key])
    elif isinstance(value, (list, tuple)):
        assert len(value) == len(other)
        for item, other_item in zip(value, other, strict=True):
            assert_equal(item, other_item)
    elif isinstance(value, np.ndarray):
        assert (value.dtype, value.shape) == (other.dtype, other.shape)
        assert value.tolist() == other.tolist()
    elif isinstance(value, torch.Tensor):
        assert (value.dtype, value.device) == (other.dtype, other.device)
        assert torch.equal(value, other)
    elif isinstance(value, np.random.RandomState):
        assert_equal(value.get_state(), other.get_state())
    elif isinstance(value, (Callback, ValidSplit, ShuffleSplit)):
        assert {k for k in vars(value) if k[-1] != "_"} == {k for k in vars(other) if k[-1] != "_"}
    else:
        assert value == other


def records(net):
    """History without durations."""
    return [{k: v for k, v in epoch.items() if k != "dur"} for epoch in net.history]


def state(net):
    tensors = {}
    for name in ("module_", "criterion_"):
        module = getattr(net, name)
        tensors |= {f"{name}{k}": v.detach() for k, v in module.named_parameters()}
        tensors |= {f"{name}{k}": v for k, v in module.named_buffers()}
    return tensors, net.optimizer_.state_dict()


def assert_same(net, loaded, X):
    assert_equal(records(net), records(loaded))
    assert_equal(state(net), state(loaded))
    names = ["predict", "attribute"]
    names += ["predict_proba"] if isinstance(net, Classifier) else []
    for name in names:
        assert_equal(getattr(net, name)(X), getattr(loaded, name)(X))
    names = ["feature_importances_", "feature_groups_", "n_features_in_", "classes_"]
    for name in [*names, "feature_names_in_", "target_scale_", "_generator_states_"]:
        if name == "feature_importances_" or hasattr(net, name):
            assert_equal(getattr(net, name), getattr(loaded, name))


@pytest.mark.parametrize("case", CASES)
def test_a_loaded_estimator_is_the_saved_one_and_goes_on_as_it(case, device, tmp_path):
    net, X, y, given = fitted(case, device)
    loaded = round_trip(net, tmp_path / "net.safetensors", **given)
    assert_same(net, loaded, X)
    params, others = net.get_params(deep=False), loaded.get_params(deep=False)
    assert set(params) == set(others)
    for name in set(params) - {"module", "criterion", "optimizer", "mask_fill"} - set(given):
        assert_equal(params[name], others[name])
    assert set(vars(net)) - set(_TRANSIENT) == set(vars(loaded)) - set(_TRANSIENT)
    net.partial_fit(X, y)
    loaded.partial_fit(X, y)
    assert_same(net, loaded, X)
    # once more, from an estimator that was loaded
    again = round_trip(loaded, tmp_path / "net.safetensors", **given)
    assert_same(again.fit(X, y), net.fit(X, y), X)


@pytest.mark.parametrize("case", ["texts", "two outputs", "images", "own module"])
def test_warm_start_goes_on_after_loading(case, device, tmp_path):
    estimator, params, X, y, given = CASES[case]
    net = make(estimator, device, warm_start=True, **params).fit(X, y)
    loaded = round_trip(net, tmp_path / "net", **given).fit(X, y)
    assert_same(net.fit(X, y), loaded, X)
    assert len(loaded.history) == 2 * net.max_epochs


def test_without_a_seed_the_global_generators_go_on(device, tmp_path):
    net = make(Classifier, device, random_state=None).fit(TABLE, LABELS)
    before = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    loaded = round_trip(net, tmp_path / "net")
    assert_equal(before, (torch.get_rng_state(), np.random.get_state()))  # noqa: NPY002
    torch.manual_seed(1)
    net.partial_fit(TABLE, LABELS)
    torch.manual_seed(1)
    loaded.partial_fit(TABLE, LABELS)
    assert_same(net, loaded, TABLE)


def test_a_random_state_given_at_load_is_not_drawn_from(tmp_path):
    net = make(Classifier, "cpu").fit(TABLE, LABELS)
    random_state = np.random.RandomState(0)
    loaded = round_trip(net, tmp_path / "net", random_state=random_state)
    assert loaded.random_state is random_state
    assert_equal(random_state.get_state(), np.random.RandomState(0).get_state())


def test_a_data_set_as_input(device, tmp_path):
    net = make(Classifier, device, module=MLP, module__n_features=5, module__n_outputs=3)
    net.fit(Dataset(TABLE, CODES))
    loaded = round_trip(net, tmp_path / "net")
    np.testing.assert_array_equal(net.predict_proba(TABLE), loaded.predict_proba(TABLE))
    with pytest.raises(AttributeError, match="feature_importances_"):
        _ = loaded.feature_importances_


class Scaled(nn.Linear):
    def forward(self, X, factor):
        return super().forward(X) * factor


def test_several_inputs(device, tmp_path):
    data = {"X": TABLE, "factor": np.ones((len(TABLE), 1), np.float32)}
    params = {"module": Scaled, "module__in_features": 5, "module__out_features": 3}
    net = make(Classifier, device, **params).fit(data, CODES)
    loaded = round_trip(net, tmp_path / "net", module=Scaled)
    for one in (net, loaded):
        one.partial_fit(data, CODES)
    assert_equal(net.predict_proba(data), loaded.predict_proba(data))


# raised by torch itself while it compiles the criterion
@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"
)
def test_a_compiled_module(tmp_path):
    params = {"compile": True, "compile__backend": "eager"}
    net = make(Classifier, "cpu", **params).fit(TABLE, LABELS)
    loaded = round_trip(net, tmp_path / "net")
    assert hasattr(loaded.module_, "_orig_mod")
    assert_same(net, loaded, TABLE)
    plain = Classifier.load(tmp_path / "net", compile=False)
    assert not hasattr(plain.module_, "_orig_mod")
    np.testing.assert_allclose(plain.predict_proba(TABLE), net.predict_proba(TABLE), rtol=1e-6)


class Versioned(nn.Linear):
    """Older weights, saved without a version, were called otherwise."""

    _version = 3

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        self.version_of_weights = local_metadata.get("version")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def get_extra_state(self):
        return {"notes": ("kept", torch.ones(2))}

    def set_extra_state(self, state):
        self.notes = state["notes"]


def test_versions_and_extra_state_of_modules_are_kept(device, tmp_path):
    params = {"module": Versioned, "module__in_features": 5, "module__out_features": 3}
    net = make(Classifier, device, **params).fit(TABLE, CODES)
    loaded = round_trip(net, tmp_path / "net", trusted=[Versioned])
    assert loaded.module_.version_of_weights == 3
    assert_equal(loaded.module_.notes, ("kept", torch.ones(2)))
    for training in (True, False):
        net.module_.train(training)
        assert round_trip(net, tmp_path / "net", trusted=[Versioned]).module_.training is training


class Lazy(nn.Sequential):
    def __init__(self, n_outputs):
        super().__init__(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(n_outputs))


@pytest.mark.parametrize("module", [Lazy, nn.LazyLinear])
def test_lazy_modules(module, device, tmp_path):
    size = {"module__out_features" if module is nn.LazyLinear else "module__n_outputs": 3}
    net = make(Classifier, device, module=module, optimizer=torch.optim.SGD, **size)
    net.initialize()
    with pytest.raises(PersistenceError, match=r"has no values yet: fit"):
        net.save(tmp_path / "net")
    net.fit(TABLE, CODES)
    loaded = round_trip(net, tmp_path / "net", trusted=[Lazy])
    assert_same(net, loaded, TABLE)
    assert_same(net.partial_fit(TABLE, CODES), loaded.partial_fit(TABLE, CODES), TABLE)


@pytest.mark.parametrize("named", [True, False])
def test_a_module_that_was_built_in_another_precision(named, tmp_path):
    params = {} if named else {"module": MLP, "module__n_features": 5, "module__n_outputs": 3}
    net = make(Classifier, "cpu", **params)
    torch.set_default_dtype(torch.float64)
    try:
        net.fit(TABLE, LABELS)
    finally:
        torch.set_default_dtype(torch.float32)
    loaded = round_trip(net, tmp_path / "net")
    assert next(loaded.module_.parameters()).dtype == torch.float64
    assert_same(net.partial_fit(TABLE, LABELS), loaded.partial_fit(TABLE, LABELS), TABLE)


def test_parameters_frozen_by_a_callback_stay_frozen(device, tmp_path):
    params = {"module": MLP, "module__n_features": 5, "module__n_outputs": 3}
    net = make(Classifier, device, callbacks=[Freezer("0.*")], **params).fit(TABLE, CODES)
    with pytest.raises(PersistenceError, match=r"callbacks \(an instance of skorch.*Freezer\)"):
        round_trip(net, tmp_path / "net")
    loaded = round_trip(net, tmp_path / "net", callbacks=[Freezer("0.*")])
    flags = {k: p.requires_grad for k, p in loaded.module_.named_parameters()}
    assert flags == {k: p.requires_grad for k, p in net.module_.named_parameters()}
    assert not all(flags.values())
    assert_same(net.partial_fit(TABLE, CODES), loaded.partial_fit(TABLE, CODES), TABLE)


# devices


def outputs(net, X):
    return net.predict_proba(X) if isinstance(net, Classifier) else net.predict(X)


@pytest.mark.parametrize("case", ["texts", "two outputs", "images", "own module", "callbacks"])
def test_load_on_the_cpu(case, device, tmp_path):
    net, X, y, given = fitted(case, device)
    loaded = round_trip(net, tmp_path / "net", **given | {"device": "cpu"})
    tensors, optimizer = state(loaded)
    assert {t.device.type for t in tensors.values()} == {"cpu"}
    for values in optimizer["state"].values():
        assert {v.device.type for v in values.values() if isinstance(v, torch.Tensor)} == {"cpu"}
    for (name, tensor), expected in zip(tensors.items(), state(net)[0].values(), strict=True):
        assert torch.equal(tensor, expected.cpu()), name
    np.testing.assert_allclose(outputs(loaded, X), outputs(net, X), rtol=1e-3, atol=1e-3)
    loaded.partial_fit(X, y).predict(X)


@pytest.mark.parametrize("case", ["texts", "two outputs", "own module"])
def test_load_on_another_device(case, device, tmp_path):
    net, X, y, given = fitted(case, "cpu")
    loaded = round_trip(net, tmp_path / "net", **given | {"device": device})
    assert {t.device.type for t in state(loaded)[0].values()} == {device}
    np.testing.assert_allclose(loaded.attribute(X), net.attribute(X), rtol=1e-3, atol=1e-5)
    again = Classifier.load if isinstance(net, Classifier) else Regressor.load
    again = again(tmp_path / "net", **given | {"device": device})
    assert_same(loaded.partial_fit(X, y), again.partial_fit(X, y), X)


def test_device_auto_stays_auto(tmp_path):
    net = make(Classifier, "auto").fit(TABLE, LABELS)
    loaded = round_trip(net, tmp_path / "net")
    assert loaded.get_params()["device"] == "auto"
    assert loaded.device == net.device
    assert clone(loaded).get_params()["device"] == "auto"


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_a_device_that_is_not_here_has_to_be_replaced(tmp_path):
    net = make(Classifier, "cpu").fit(TABLE, LABELS)
    net.save(tmp_path / "net")
    with pytest.raises(PersistenceError, match=r"device='cuda' is not available.*device='cpu'"):
        Classifier.load(tmp_path / "net", device="cuda")
    for device in ("meta", "nowhere", 3.5):
        with pytest.raises(PersistenceError, match=r"device(=| must be)"):
            Classifier.load(tmp_path / "net", device=device)


# what is passed to load


def test_parameters_given_to_load_replace_saved_ones(device, tmp_path):
    net = make(Classifier, device).fit(TABLE, LABELS)
    loaded = round_trip(
        net, tmp_path / "net", lr=0.5, max_epochs=1, optimizer__eps=1e-3, verbose=0
    )
    assert (loaded.lr, loaded.max_epochs, loaded.optimizer__eps) == (0.5, 1, 1e-3)
    # as set_params on the saved one does: the state of the optimizer stays
    net.set_params(lr=0.5, max_epochs=1, optimizer__eps=1e-3)
    assert loaded.optimizer_.param_groups[0]["lr"] == 0.5
    assert_same(net.partial_fit(TABLE, LABELS), loaded.partial_fit(TABLE, LABELS), TABLE)


def test_another_optimizer_starts_anew(tmp_path):
    net = make(Classifier, "cpu").fit(TABLE, LABELS)
    loaded = round_trip(net, tmp_path / "net", optimizer=torch.optim.SGD)
    assert type(loaded.optimizer_) is torch.optim.SGD
    assert not loaded.optimizer_.state
    assert_equal(loaded.predict_proba(TABLE), net.predict_proba(TABLE))


def test_another_criterion_comes_as_it_is_given(tmp_path):
    weights = torch.tensor([1.0, 2.0, 3.0])
    params = {"criterion": nn.CrossEntropyLoss, "criterion__weight": weights}
    net = make(Classifier, "cpu", **params).fit(TABLE, LABELS)
    loaded = round_trip(net, tmp_path / "net", criterion__weight=weights + 1)
    assert_equal(loaded.criterion_.weight, weights + 1)
    loaded = Classifier.load(tmp_path / "net", criterion__weight=None)
    assert loaded.criterion_.weight is None


@pytest.mark.parametrize("given", ["instance", "class", "nothing"])
def test_a_module_instance_has_to_be_passed(given, device, tmp_path):
    net = make(Classifier, device, module=OwnNet(5, 3)).fit(TABLE, CODES)
    net.save(tmp_path / "net")
    if given == "nothing":
        with pytest.raises(
            PersistenceError, match=r"module \(an instance of .*OwnNet\)"
        ) as raised:
            Classifier.load(tmp_path / "net")
        assert "load(path, module=...)" in str(raised.value)
        return
    module = OwnNet(5, 3) if given == "instance" else OwnNet
    assert_same(net, Classifier.load(tmp_path / "net", module=module), TABLE)


def test_a_failed_load_leaves_what_was_passed_as_it_was(tmp_path):
    net = make(Classifier, "cpu", module=OwnNet(5, 3)).fit(TABLE, CODES)
    net.save(tmp_path / "net")
    module, random_state = OwnNet(5, 4), np.random.RandomState(0)
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(PersistenceError, match="size mismatch for last"):
        Classifier.load(tmp_path / "net", module=module, random_state=random_state)
    assert_equal(dict(module.state_dict()), dict(before))
    assert_equal(random_state.get_state(), np.random.RandomState(0).get_state())


def test_everything_that_has_to_be_passed_is_named_at_once(tmp_path):
    params = {"module": OwnNet, "mask_fill": lambda x, generator: x, "callbacks": [CountEpochs()]}
    net = make(Classifier, "cpu", **params).fit(TABLE, CODES)
    net.save(tmp_path / "net")
    with pytest.raises(PersistenceError) as raised:
        Classifier.load(tmp_path / "net")
    for text in ("module (", "OwnNet", "mask_fill (", "<lambda>", "callbacks (", "trusted=["):
        assert text in str(raised.value)
    loaded = Classifier.load(tmp_path / "net", trusted=[OwnNet], mask_fill="mean", callbacks=None)
    assert_equal(loaded.predict(TABLE), net.predict(TABLE))


def test_trusted_classes_may_have_moved(tmp_path, monkeypatch):
    net = make(Classifier, "cpu", module=OwnNet).fit(TABLE, CODES)
    monkeypatch.setattr(OwnNet, "__module__", "__main__")
    net.save(tmp_path / "net")
    monkeypatch.undo()
    assert_same(net, Classifier.load(tmp_path / "net", trusted=[OwnNet]), TABLE)


@pytest.mark.parametrize(
    "trusted", [["os.system"], "os.system", [OwnNet(5, 3)], [lambda x: x], [None], 3]
)
def test_trusted_takes_classes_and_functions_only(trusted, tmp_path):
    make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS).save(tmp_path / "net")
    with pytest.raises(TypeError, match="trusted must hold classes and functions"):
        Classifier.load(tmp_path / "net", trusted=trusted)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"no_such_parameter": 1}, "unexpected argument"),
        ({"module": OwnNet}, "do not fit OwnNet"),
        ({"module": "cnn"}, "'cnn'|module__|height|n_channels|CNN"),
        ({"module__hidden": (4,)}, "must have the shape"),
        ({"mask_fraction": 7}, "mask_fraction must be"),
        ({"optimizer": "Adam"}, "optimizer must be"),
        ({"random_state": "seed"}, "random_state|seed"),
    ],
)
def test_parameters_given_to_load_that_do_not_fit(params, message, tmp_path):
    make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS).save(tmp_path / "net")
    with pytest.raises(PersistenceError, match=message):
        Classifier.load(tmp_path / "net", **params)


def test_each_class_loads_its_own_files(tmp_path):
    make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS).save(tmp_path / "classifier")
    make(Labelled, "cpu", max_epochs=1).fit(TABLE, LABELS).save(tmp_path / "labelled")
    for cls in (Regressor, Labelled):
        with pytest.raises(PersistenceError, match=r"use SaliencyGuidedClassifier.load\(path\)"):
            cls.load(tmp_path / "classifier")
    with pytest.raises(PersistenceError, match=r"use Labelled.load\(path\)"):
        Classifier.load(tmp_path / "labelled")
    assert_equal(
        Labelled.load(tmp_path / "labelled").fit_rows_,
        make(Labelled, "cpu", max_epochs=1).fit(TABLE, LABELS).fit_rows_,
    )


def test_metadata_requests_are_kept(tmp_path):
    with config_context(enable_metadata_routing=True):
        net = make(Classifier, "cpu", max_epochs=1).set_fit_request(sample_weight=True)
        loaded = round_trip(net.fit(TABLE, LABELS), tmp_path / "net")
        requests = loaded.get_metadata_routing()
    assert str(requests) == str(net.get_metadata_routing())


# saving


def test_an_unfitted_estimator_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        make(Classifier, "cpu").save(tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_an_estimator_that_is_only_initialised(device, tmp_path):
    params = {"module": MLP, "module__n_features": 5, "module__n_outputs": 3}
    net = make(Classifier, device, **params).initialize()
    loaded = round_trip(net, tmp_path / "net")
    assert_same(net.partial_fit(TABLE, LABELS), loaded.partial_fit(TABLE, LABELS), TABLE)


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_paths(kind, tmp_path):
    path = kind(str(tmp_path / "n\N{SNOWMAN}t.safetensors"))
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    loaded = round_trip(net, path)
    assert_equal(loaded.predict(TABLE), net.predict(TABLE))
    assert [p.name for p in tmp_path.iterdir()] == ["n\N{SNOWMAN}t.safetensors"]


def test_files_of_equal_estimators_are_equal(tmp_path):
    for name in ("one", "two"):
        net = make(Classifier, "cpu", callbacks__epoch_timer=None).fit(TABLE, LABELS)
        net.save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_saving_replaces_a_file_and_keeps_its_mode_and_links(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    path, link = tmp_path / "net", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o600)
    link.symlink_to(path)
    net.save(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert_equal(Classifier.load(path).predict(TABLE), net.predict(TABLE))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "net"]


@pytest.mark.parametrize("fails", ["replace", "fsync"])
def test_a_save_that_fails_leaves_the_old_file(fails, tmp_path, monkeypatch):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.save(tmp_path / "net")
    before = (tmp_path / "net").read_bytes()
    net.partial_fit(TABLE, LABELS)

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, fails, fail)
    with pytest.raises(OSError, match="no space left"):
        net.save(tmp_path / "net")
    assert (tmp_path / "net").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


def test_places_that_cannot_be_written(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    with pytest.raises(FileNotFoundError):
        net.save(tmp_path / "no folder" / "net")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        net.save(tmp_path / "folder")
    with pytest.raises(TypeError):
        net.save(None)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_state_that_is_no_data_is_named(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.helper_ = {"inner": [threading_lock()]}
    with pytest.raises(PersistenceError, match=r"attributes\.helper_\.inner\.0 is an instance of"):
        net.save(tmp_path / "net")
    net.helper_ = [net]
    with pytest.raises(PersistenceError, match=r"attributes\.helper_\.0 is an instance of"):
        net.save(tmp_path / "net")
    net.helper_ = []
    net.helper_.append(net.helper_)
    with pytest.raises(PersistenceError, match="nested too deeply, or holds itself"):
        net.save(tmp_path / "net")
    del net.helper_
    net.remark = "no parameter"
    with pytest.raises(PersistenceError, match=r"unexpected argument.*remark"):
        net.save(tmp_path / "net")
    del net.remark
    net.save(tmp_path / "net")


VALUES = {
    **{f"array of {kind}": np.arange(3).astype(kind) for kind in "?bhilqBHILQefd"},
    "array of big-endian numbers": np.arange(6, dtype=">u2").reshape(2, 3),
    "array without axes": np.array(5, "<u8"),
    "array without values": np.zeros((0, 3), np.float32),
    "array of the largest number": np.array([2**64 - 1], np.uint64),
    "array of days": np.array(["2020-01-01", "NaT"], "M8[D]"),
    "array of durations": np.array([1, 2], ">m8[25s]"),
    "array of texts": np.array([["x", "yyy \N{SNOWMAN}"]]),
    "text without axes": np.array("zz"),
    "array without texts": np.zeros((0, 3), "U2"),
    "array of anything": np.array([[None, 1], ["a", 2.5], [(1,), np.int8(3)]], object),
    "transposed array": np.arange(6).reshape(2, 3).T,
    "reversed array": np.arange(6.0)[::-2],
    "moment": np.datetime64("2020-02-03T01:02"),
    "duration": np.timedelta64(4, "h"),
    "unsigned": np.uint64(2**64 - 1),
    "signed": np.int8(-5),
    "half": np.float16(0.1),
    "single": np.float32(0.1),
    "numpy's text": np.str_("a\0b"),
    "numpy's truth": np.bool_(True),
    "numbers": [1e-320, -0.0, 10**40, -(2**63), float("inf"), -float("inf"), 1 / 3],
    "texts": ["", "\0", "\ud800", "$name", "\N{SNOWMAN}", "{}"],
    "nested": (1, [2, (3,), ()], {"a": {}, "$b": {1: 2, None: (1,)}, "": [[]]}, {(1, "a"): True}),
    "keys that look alike": {"a.b": torch.ones(1), "a": {"b": torch.zeros(1)}},
    "tensors": [
        torch.tensor(1.5),
        torch.tensor([[True]]),
        torch.zeros(0, 2),
        torch.arange(4)[::2],
    ],
    "half tensors": [torch.tensor([0.1], dtype=d) for d in (torch.bfloat16, torch.float16)],
    "types": [torch.bfloat16, torch.device("cuda:1"), torch.nn.ReLU, torch.relu],
    "RandomState": np.random.RandomState(3),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_of_every_kind_survive(name, tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.value_ = copy.deepcopy(VALUES[name])
    assert_equal(round_trip(net, tmp_path / "net").value_, VALUES[name])


def test_nan_survives(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.values_ = [float("nan"), np.float32("nan"), np.array([np.nan])]
    values = round_trip(net, tmp_path / "net").values_
    assert [type(value) for value in values] == [float, np.float32, np.ndarray]
    assert np.isnan(np.hstack(values)).all()


@pytest.mark.parametrize(
    "value",
    [
        *(np.array([1j]), np.zeros(2, "f8,i4"), np.zeros(2, "S3"), np.ma.array([1])),
        *(b"bytes", {1, 2}, 1j, lambda: 0, "text".upper, nn.Linear(1, 1)),
        *(nn.Parameter(torch.ones(1)), torch.ones(2) * 1j, torch.ones(1, device="meta")),
    ],
    ids=repr,
)
def test_values_of_other_kinds_are_refused(value, tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.value_ = [value]
    with pytest.raises(PersistenceError, match=r"attributes\.value_\.0 is"):
        net.save(tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def threading_lock():
    import threading

    return threading.Lock()


def test_a_class_in_the_state_has_to_be_trusted(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.kind_ = OwnNet
    net.save(tmp_path / "net")
    with pytest.raises(PersistenceError, match=r"attributes.kind_ holds .*OwnNet.*trusted="):
        Classifier.load(tmp_path / "net")
    assert Classifier.load(tmp_path / "net", trusted=[OwnNet]).kind_ is OwnNet


def test_tensors_that_the_format_lacks_are_named(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.sparse_ = torch.eye(3).to_sparse()
    with pytest.raises(PersistenceError, match="sparse_ is an instance of"):
        net.save(tmp_path / "net")
    del net.sparse_
    net.module_.register_buffer("sparse", torch.eye(3).to_sparse())
    with pytest.raises(PersistenceError, match=r"module_\.sparse is a sparse tensor"):
        net.save(tmp_path / "net")


def test_a_net_trimmed_for_prediction_is_refused(tmp_path):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.trim_for_prediction()
    with pytest.raises(PersistenceError, match="trimmed for prediction"):
        net.save(tmp_path / "net")


def test_without_safetensors_the_error_names_the_extra(tmp_path, monkeypatch):
    net = make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS)
    net.save(tmp_path / "net")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for call in (lambda: net.save(tmp_path / "other"), lambda: Classifier.load(tmp_path / "net")):
        with pytest.raises(ImportError, match=r'pip install "sgt-sklearn\[safetensors\]"'):
            call()
