"""Without guidance the estimators are bitwise the plain skorch nets."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import EpochScoring, GradientNormClipping, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.modules import CNN, MLP

pytestmark = pytest.mark.usefixtures("deterministic_cuda")
RNG = np.random.default_rng(0)
N_ROWS = 50  # not a multiple of any batch size used here
TABLE = RNG.standard_normal((N_ROWS, 4)).astype(np.float32)
IMAGES = RNG.standard_normal((N_ROWS, 2, 6, 6)).astype(np.float32)
LABELS = RNG.integers(0, 3, N_ROWS)
TARGETS = RNG.standard_normal((N_ROWS, 2)).astype(np.float32)


class GuidedNet(SaliencyGuidedMixin, NeuralNet):
    pass


class GuidedBinary(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    pass


NORMALIZED = {"module__normalization": "batch", "module__dropout": 0.2}
TABLE_MLP = {"module__n_features": 4, "module__hidden": (6,)} | NORMALIZED
IMAGE_CNN = {
    "module__n_channels": 2,
    "module__height": 6,
    "module__width": 6,
    "module__channels": (3,),
    "module__hidden": (5,),
} | NORMALIZED
TASKS = {
    "classifier": (
        (SaliencyGuidedClassifier, NeuralNetClassifier),
        (TABLE, LABELS),
        {"module": MLP, "criterion": nn.CrossEntropyLoss, "module__n_outputs": 3} | TABLE_MLP,
    ),
    "image classifier": (
        (SaliencyGuidedClassifier, NeuralNetClassifier),
        (IMAGES, LABELS),
        {"module": CNN, "criterion": nn.CrossEntropyLoss, "module__n_outputs": 3} | IMAGE_CNN,
    ),
    "regressor": (
        (SaliencyGuidedRegressor, NeuralNetRegressor),
        (TABLE, TARGETS),
        {"module": MLP, "criterion": nn.MSELoss, "module__n_outputs": 2} | TABLE_MLP,
    ),
    "mixin": (
        (GuidedNet, NeuralNet),
        (TABLE, TARGETS),
        {"module": MLP, "criterion": nn.MSELoss, "module__n_outputs": 2} | TABLE_MLP,
    ),
    "binary mixin": (
        (GuidedBinary, NeuralNetBinaryClassifier),
        (TABLE, (LABELS > 0).astype(np.float32)),
        {"module": MLP, "criterion": nn.BCEWithLogitsLoss, "module__n_outputs": 1} | TABLE_MLP,
    ),
}


def options():
    """Build fresh arguments: callbacks and modules keep state."""
    return {
        "shuffled": {},
        "in order": {"iterator_train__shuffle": False},
        "drop_last": {"iterator_train__drop_last": True},
        "no full batch": {"iterator_train__drop_last": True, "batch_size": 64},
        "one batch": {"batch_size": -1},
        "stratified split": {"train_split": ValidSplit(3, stratified=True)},
        "random split": {"train_split": ValidSplit(0.3)},
        "other valid batches": {"train_split": ValidSplit(3), "iterator_valid__batch_size": 5},
        "sampler": {
            "iterator_train__shuffle": False,
            "iterator_train__sampler": WeightedRandomSampler(torch.ones(N_ROWS), 40),
        },
        "generator": {"iterator_train__generator": torch.Generator().manual_seed(3)},
        "pin_memory": {"iterator_train__pin_memory": False},
        "momentum": {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9},
        "lbfgs": {"optimizer": torch.optim.LBFGS, "optimizer__max_iter": 3, "lr": 0.1},
        "callbacks": {
            "callbacks": [
                LRScheduler("StepLR", step_size=1, gamma=0.5),
                GradientNormClipping(0.1),
                EpochScoring(lambda net, X, y=None: 1.0, name="scored", on_train=True),
            ]
        },
        "no callbacks": {"callbacks": "disable"},
    }


def both(task, device, changes=dict):
    """Return the estimator without guidance, the plain net built in the same way, and data."""
    (guided, plain), data, params = TASKS[task]
    common = params | {
        "optimizer": torch.optim.Adam,
        "lr": 0.01,
        "max_epochs": 3,
        "batch_size": 15,
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
        "device": device,
    }
    return guided(**common | changes(), consistency_weight=0), plain(**common | changes()), data


def generator_states():
    """As bytes and texts: thousands of numbers are compared one by one otherwise, slowly."""
    numpy = np.random.get_state()  # noqa: NPY002
    states = numpy[1].tobytes(), torch.get_rng_state().numpy().tobytes()
    return repr(random.getstate()), repr(numpy[2:]), *states


def seed_generators():
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


def outcome(net, use):
    """Train a net from one seed; return everything that must be equal."""
    seed_generators()
    use(net)
    after_fit = generator_states()
    predictions = net.predict(TABLE if net.module_[0].weight.ndim == 2 else IMAGES)
    keys = ("train_loss", "valid_loss", "valid_acc", "scored", "train_batch_count")
    return {
        "state": {k: v.cpu().numpy() for k, v in net.module_.state_dict().items()},
        "history": [{k: epoch[k] for k in keys if k in epoch} for epoch in net.history],
        "batch losses": [[b.get("train_loss") for b in e["batches"]] for e in net.history],
        "predictions": predictions,
        "generators after fit": after_fit,
        "generators after predict": generator_states(),
    }


def assert_equal_outcomes(guided, plain, use):
    one, other = outcome(guided, use), outcome(plain, use)
    for name in one:
        np.testing.assert_equal(one[name], other[name], err_msg=name)


EVERYWHERE = ("shuffled", "drop_last", "random split", "lbfgs")
COMBINATIONS = [
    (task, name)
    for task in TASKS
    for name in options()
    if (task in ("classifier", "regressor") or name in EVERYWHERE)
    # the estimators refuse to train on nothing
    and name != "no full batch"
]
COMBINATIONS.append(("mixin", "no full batch"))


@pytest.mark.parametrize(("task", "name"), COMBINATIONS)
def test_fit_without_guidance_is_bitwise_the_plain_fit(task, name, device):
    if name == "stratified split" and TASKS[task][1][1].dtype.kind == "f":
        pytest.skip("continuous targets have no strata")
    guided, plain, data = both(task, device, changes=lambda: options()[name])
    assert_equal_outcomes(guided, plain, lambda net: net.fit(*data))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("going_on", ["fit again", "warm_start", "partial_fit", "initialize"])
def test_going_on_without_guidance_is_bitwise_going_on_plainly(task, going_on, device):
    guided, plain, data = both(task, device)
    for net in (guided, plain):
        net.set_params(warm_start=going_on == "warm_start")

    def use(net):
        if going_on == "initialize":
            net.initialize()
        else:
            net.fit(*data)
            net.predict(data[0])
        (net.partial_fit if going_on in ("partial_fit", "initialize") else net.fit)(*data)

    assert_equal_outcomes(guided, plain, use)


def as_frame(table):
    return pd.DataFrame(table, columns=list("abcd"))


CONTAINERS = {
    "float32 array": lambda X: X,
    "Fortran order": np.asfortranarray,
    "reversed view": lambda X: X[::-1],
    "tensor": torch.from_numpy,
    "read only": lambda X: np.frombuffer(X.tobytes(), np.float32).reshape(X.shape),
}


@pytest.mark.parametrize("task", ["classifier", "image classifier", "mixin"])
@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("shuffle", [True, False], ids=["shuffled", "in order"])
def test_every_container_gives_the_plain_fit(task, name, shuffle, device):
    guided, plain, (X, y) = both(task, device, lambda: {"iterator_train__shuffle": shuffle})
    data = CONTAINERS[name](X)
    assert_equal_outcomes(guided, plain, lambda net: net.fit(data, y))


@pytest.mark.parametrize("task", ["classifier", "regressor", "mixin"])
def test_a_data_set_gives_the_plain_fit(task, device):
    guided, plain, (X, y) = both(task, device)
    dataset = TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    assert_equal_outcomes(guided, plain, lambda net: net.fit(dataset, None))


# of pandas 3's read-only columns, which skorch hands to torch as they are; once a process only
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_columns_of_a_frame_reach_a_module_that_takes_them_as_plainly(device):
    class Columns(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, a, b, c, d):
            return self.linear(torch.cat([a, b, c, d], dim=1))

    fits = []
    for cls, params in [
        (SaliencyGuidedClassifier, {"consistency_weight": 0}),
        (NeuralNetClassifier, {}),
    ]:
        torch.manual_seed(0)
        net = cls(
            Columns,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.SGD,
            lr=0.1,
            max_epochs=2,
            batch_size=15,
            train_split=None,
            iterator_train__shuffle=True,
            verbose=0,
            device=device,
            **params,
        )
        fits.append(net.fit(as_frame(TABLE), LABELS).predict_proba(as_frame(TABLE)))
    np.testing.assert_array_equal(*fits)


class MonteCarloDropout(nn.Sequential):
    """Draws in evaluation mode too."""

    def __init__(self):
        super().__init__(nn.Linear(4, 3))

    def forward(self, x):
        return super().forward(nn.functional.dropout(x, 0.2, training=True))


class InPlace(nn.Sequential):
    """Writes into its input."""

    def __init__(self):
        super().__init__(nn.ReLU(inplace=True), nn.Linear(4, 3))


class OneBatchSize(nn.Linear):
    """Takes full batches only, as recurrent networks that keep a state do."""

    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        if len(x) != 10:
            raise RuntimeError("expected 10 rows")
        return super().forward(x)


@pytest.mark.parametrize("module", [nn.Linear, MonteCarloDropout, InPlace, OneBatchSize])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given", ["class", "instance"])
def test_modules_that_only_training_knows_give_the_plain_fit(module, dtype, given, device):
    arguments = {"in_features": 4, "out_features": 3} if module is nn.Linear else {}
    outcomes = []
    for cls, params in [
        (SaliencyGuidedClassifier, {"consistency_weight": 0}),
        (NeuralNetClassifier, {}),
    ]:
        seed_generators()
        torch.set_default_dtype(torch.float64 if dtype is np.float64 else torch.float32)
        try:
            net = cls(
                module(**arguments) if given == "instance" else module,
                criterion=nn.CrossEntropyLoss,
                optimizer=torch.optim.Adam,
                lr=0.1,
                max_epochs=2,
                batch_size=10,
                train_split=None,
                iterator_train__shuffle=True,
                verbose=0,
                device=device,
                **params,
            )
            if given == "class":
                net.set_params(**{f"module__{key}": value for key, value in arguments.items()})
            net.fit(TABLE.astype(dtype), LABELS)
        finally:
            torch.set_default_dtype(torch.float32)
        state = {name: v.cpu().numpy() for name, v in net.module_.state_dict().items()}
        outcomes.append((state, generator_states(), net.history[:, "train_loss"]))
    np.testing.assert_equal(*outcomes)


@pytest.mark.parametrize("container", [np.copy, torch.tensor], ids=["array", "tensor"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_module_that_works_in_place_does_not_change_the_users_data(container, shuffle, device):
    X = container(TABLE)
    net = GuidedNet(
        InPlace,
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        verbose=0,
        consistency_weight=0,
        max_epochs=1,
        iterator_train__shuffle=shuffle,
        device=device,
    )
    net.fit(X, LABELS).predict(X)
    np.testing.assert_array_equal(np.asarray(X), TABLE)


def test_another_iterator_class_is_used_as_it_is(device):
    class Loader(DataLoader):
        n_started = 0

        def __iter__(self):
            Loader.n_started += 1
            return super().__iter__()

    guided, plain, data = both("classifier", device, changes=lambda: {"iterator_train": Loader})
    assert_equal_outcomes(guided, plain, lambda net: net.fit(*data))
    assert Loader.n_started == 2 * 3
