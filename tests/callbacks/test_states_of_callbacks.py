"""Callbacks go on where a killed fit left them, or say that they cannot."""

import os
from collections import Counter, deque

import numpy as np
import pytest
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, Checkpoint, EpochScoring, ProgressBar, TrainEndCheckpoint
from torch import nn

from tests.callbacks.killing import X, kill_at, killed, seed_globals, weights
from tests.callbacks.resuming import Named, Y, check_resumes, net_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs processes that can be killed")


def test_predictions_of_the_last_epoch_are_not_saved(tmp_path):
    states = []

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            states.append(net.get_training_state()["callbacks"]["r2"])

    score = EpochScoring("r2", lower_is_better=False, on_train=True)
    net_of(None, [("r2", score), ("look", Look)]).fit(X, Y)
    assert len(score.y_preds_) == 0  # emptied when training ends, and not before
    assert len(states) == 5
    assert not {"y_preds_", "y_trues_"} & {*states[0]["values"]}
    assert "best_score_" in states[0]["values"]


class Averaged(Callback):
    """Keeps an average of the weights, in all sorts of attributes."""

    def on_train_begin(self, net, **kwargs):
        self.average_ = torch.optim.swa_utils.AveragedModel(net.module_)
        self.generator_ = torch.Generator().manual_seed(3)
        self.seen_ = {"epochs": (), "sums": np.zeros(2), "last": deque([0], maxlen=3)}
        self.counts_, self.kinds_ = Counter(), {torch.float32}
        self.net_, self.optimizer_, self.step_fn_ = net, net.optimizer_, net.train_step

    def on_epoch_end(self, net, **kwargs):
        self.average_.update_parameters(net.module_)
        self.seen_["epochs"] += (len(net.history),)
        self.seen_["sums"] += [np.float32(0.1), 1]
        self.seen_["last"].append(np.float32(net.history[-1, "train_loss"]))
        self.counts_[str(len(net.history) % 2)] += 1
        noise = torch.randn(3, generator=self.generator_)
        net.history.record("average", self.average_.module.weight.sum().item())
        net.history.record("state", repr((self.seen_, sorted(self.counts_.items()))))
        net.history.record("kinds", [*self.kinds_])
        net.history.record("noise", noise.numpy())
        net.history.record("shape", noise.shape)


class WithState(Callback):
    """Has a state of its own, in an object that is no data."""

    def __init__(self):
        self.thing, self.count = Named(), 0

    def on_epoch_end(self, net, **kwargs):
        self.count += 1
        net.history.record("count", self.count)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def test_callbacks_of_all_sorts(tmp_path):
    def build(folder):
        here = tmp_path / ("here" if folder is None else "there")
        end = TrainEndCheckpoint(dirname=here)
        best = Checkpoint(dirname=here, monitor="train_loss_best", f_pickle="net.pkl")
        score = EpochScoring("r2", lower_is_better=False, on_train=True, name="r2")
        own = [("average", Averaged), ("state", WithState())]
        return net_of(folder, [*own, ("end", end), ("best", best), ("r2", score)])

    check_resumes(build, tmp_path)


class Parametrised(Callback):
    def __init__(self, thing, rate=1.0):
        self.thing = thing
        self.rate = rate

    def on_epoch_end(self, net, **kwargs):
        self.rate *= 0.5
        net.history.record("rate", self.rate)


def test_parameters_of_callbacks_that_they_change(tmp_path):
    check_resumes(
        lambda folder: net_of(folder, [("own", Parametrised(Named(), rate=3.0))]), tmp_path
    )


class Unsaveable(Callback):
    def on_train_begin(self, net, **kwargs):
        self.thing_ = [Named()]


class HoldingItself(Callback):
    def on_train_begin(self, net, **kwargs):
        self.items_ = []
        self.items_.append(self.items_)


class TensorOfItsOwn(torch.Tensor):
    pass


class TensorKeeping(Callback):
    def on_train_begin(self, net, **kwargs):
        self.tensor_ = torch.ones(2).as_subclass(TensorOfItsOwn)


class BufferOfItsOwn(nn.Linear):
    def __init__(self):
        super().__init__(4, 1)
        self.register_buffer("mine", torch.ones(2).as_subclass(TensorOfItsOwn))


@pytest.mark.parametrize(
    ("callback", "problem"),
    [
        (Unsaveable, r"thing_\[0\] is an instance of .*Named"),
        (TensorKeeping, "tensor_ is an instance of .*TensorOfItsOwn"),
        (HoldingItself, "items_ is nested too deeply, or holds itself"),
    ],
)
def test_state_that_cannot_be_saved_is_an_error_at_once(callback, problem, tmp_path):
    net = net_of(tmp_path, [("mine", callback)])
    with pytest.raises(TypeError, match=f"callback 'mine' .*{problem}.*state_dict"):
        net.fit(X, Y)
    assert not net.initialized_
    assert list(tmp_path.iterdir()) == []


def test_tensors_that_cannot_be_saved_are_an_error_at_once(tmp_path):
    net = net_of(tmp_path, module=BufferOfItsOwn)
    with pytest.raises(TypeError, match=r"modules\['module'\].*TensorOfItsOwn, which only pickle"):
        net.fit(X, Y)
    assert not net.initialized_
    assert list(tmp_path.iterdir()) == []


class LateState(Callback):
    def on_epoch_end(self, net, **kwargs):
        self.average_ = torch.optim.swa_utils.AveragedModel(net.module_)


def test_state_that_is_not_there_when_training_begins(tmp_path):
    net = net_of(tmp_path, [("late", LateState)])
    assert killed(lambda: (kill_at(NeuralNet, "train_step", 18), net.fit(X, Y)))
    with pytest.raises(ValueError, match="LateState makes its attribute average_ during training"):
        net_of(tmp_path, [("late", LateState)]).fit(X, Y)


def test_callbacks_that_only_report_may_come_and_go(tmp_path):
    seed_globals()
    net = net_of(tmp_path)
    assert killed(lambda: (kill_at(NeuralNet, "train_step", 18), net.fit(X, Y)))
    resumed = net_of(tmp_path, [("bar", ProgressBar())], verbose=1, callbacks__print_log=None)
    resumed.fit(X, Y)
    seed_globals()
    whole = net_of(None).fit(X, Y)
    np.testing.assert_equal(weights(whole), weights(resumed))
