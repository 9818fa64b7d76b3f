"""What a fit writes to the history."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.modules import MLP

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 4)).astype(np.float32)
LABELS = np.array(["a", "b", "c"])[RNG.integers(0, 3, 50)]
TARGETS = 100 * X[:, 0] + 5


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


class GuidedRegressor(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


CODES = np.searchsorted(["a", "b", "c"], LABELS)
COLUMN = TARGETS.reshape(-1, 1).astype(np.float32) / 100
NETS = {
    "classifier": (SaliencyGuidedClassifier, {}, LABELS),
    "regressor": (SaliencyGuidedRegressor, {}, TARGETS),
    "mixin classifier": (
        GuidedClassifier,
        {"module": MLP(4, 3), "criterion": nn.CrossEntropyLoss},
        CODES,
    ),
    "mixin regressor": (GuidedRegressor, {"module": MLP(4, 1)}, COLUMN),
}
CONSISTENCY = "train_consistency_loss"


def fit(name, device, **params):
    estimator, own, y = NETS[name]
    defaults = {"max_epochs": 3, "batch_size": 15, "verbose": 0, "train_split": ValidSplit(3)}
    defaults |= {"device": device, "random_state": 0}
    return estimator(**defaults | own | params).fit(X, y), y


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("weight", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("saliency_pass", ["auto", "separate"])
def test_train_loss_is_the_sum_of_its_parts(name, weight, saliency_pass, device):
    net, _ = fit(name, device, consistency_weight=weight, saliency_pass=saliency_pass)
    assert len(net.history) == 3
    for level in (net.history[:], [b for epoch in net.history for b in epoch["batches"]]):
        rows = [row for row in level if "train_loss" in row]
        total, task, consistency = (
            np.array([row[key] for row in rows])
            for key in ("train_loss", "train_task_loss", CONSISTENCY)
        )
        np.testing.assert_allclose(total, task + weight * consistency, rtol=1e-5)
        assert (consistency > 0).all()
    # an epoch averages its batches by their rows, the last one being smaller
    for epoch in net.history:
        batches = [b for b in epoch["batches"] if "train_loss" in b]
        rows = [b["train_batch_size"] for b in batches]
        assert rows == [15, 15, 3]
        for key in ("train_loss", "train_task_loss", CONSISTENCY):
            assert epoch[key] == pytest.approx(np.average([b[key] for b in batches], weights=rows))


@pytest.mark.parametrize("name", NETS)
def test_without_guidance_the_total_is_the_task_loss(name, device):
    net, _ = fit(name, device, consistency_weight=0)
    assert net.history[:, "train_task_loss"] == net.history[:, "train_loss"]
    assert all(CONSISTENCY not in epoch for epoch in net.history)
    assert all(CONSISTENCY not in batch for epoch in net.history for batch in epoch["batches"])


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("weight", [0.0, 1.0, 50.0])
def test_valid_loss_is_the_task_loss(name, weight, device):
    net, y = fit(name, device, consistency_weight=weight)
    _, valid = net.get_split_datasets(X, y)
    rows = valid.indices
    with torch.no_grad():
        output = net.forward(X[rows])
    if "classifier" in name:
        codes = torch.from_numpy(CODES[rows])
        expected = nn.functional.cross_entropy(output, codes)
    else:
        targets = COLUMN if "mixin" in name else (TARGETS - TARGETS.mean()) / TARGETS.std()
        targets = torch.from_numpy(targets[rows].reshape(-1, 1).astype(np.float32))
        expected = nn.functional.mse_loss(output, targets)
    assert net.history[-1, "valid_loss"] == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("name", NETS)
def test_task_loss_of_training_is_comparable_with_the_loss_of_validation(name, device):
    # without steps, on one and the same data
    split = ValidSplit([(np.arange(50), np.arange(50))])
    net, _ = fit(name, device, lr=0.0, optimizer=torch.optim.SGD, train_split=split)
    for epoch in net.history:
        assert epoch["train_task_loss"] == pytest.approx(epoch["valid_loss"], rel=1e-5)
        assert epoch["train_loss"] > epoch["valid_loss"]


@pytest.mark.parametrize("name", NETS)
def test_nothing_hidden_records_a_consistency_of_zero(name, device):
    net, _ = fit(name, device, mask_fraction=0.0)
    assert net.history[:, CONSISTENCY] == [0.0] * 3


def test_a_ramp_starts_with_nothing_hidden_and_hides_more_and_more(device):
    net, _ = fit("classifier", device, mask_schedule="ramp", mask_fraction=1.0, max_epochs=8)
    consistency = net.history[:, CONSISTENCY]
    # a quarter of 8 epochs is plain, and so is the epoch at which the ramp is at 0
    assert consistency[:3] == [0.0] * 3
    assert all(value > 0 for value in consistency[3:])


def test_history_goes_on_with_partial_fit_and_starts_anew_with_fit(device):
    net, y = fit("classifier", device)
    net.partial_fit(X, y)
    assert net.history[:, "epoch"] == [1, 2, 3, 4, 5, 6]
    first = net.history
    assert len(net.fit(X, y).history) == 3
    assert len(first) == 6


def test_early_stopping_watches_the_task_loss_of_validation(device):
    stopping = EarlyStopping(patience=2)
    net, _ = fit("classifier", device, max_epochs=100, lr=0.1, callbacks=[stopping])
    losses = net.history[:, "valid_loss"]
    assert len(losses) < 100
    assert min(losses[-2:]) >= min(losses[:-2]) * (1 - 1e-3)


class Counter(Callback):
    """Counts the events of a batch; one of them is set on the instance only."""

    def __init__(self):
        self.events = []

    def on_batch_begin(self, net, **kwargs):
        self.events.append("begin")

    def on_grad_computed(self, net, **kwargs):
        self.events.append("gradient")


def test_callbacks_that_act_on_batches_hear_every_batch(device):
    class_method, on_instance = Counter(), Callback()
    on_instance.on_batch_end = lambda net, **kwargs: class_method.events.append("end")
    net = SaliencyGuidedClassifier(
        max_epochs=2,
        batch_size=16,
        device=device,
        callbacks=[("counter", class_method), ("patched", on_instance)],
    )
    X = np.random.default_rng(0).normal(size=(40, 3))
    net.fit(X, X[:, 0] > 0)
    assert class_method.events == ["begin", "gradient", "end"] * 6
