"""Estimators of all kinds to save, and what a loaded one must have of the saved one."""

import copy

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import ShuffleSplit
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
)
from skorch.dataset import ValidSplit
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor

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
