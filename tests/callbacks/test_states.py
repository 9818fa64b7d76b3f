"""What training leaves from one epoch to the next, beside the weights."""

import os
from collections import OrderedDict

import pytest
import torch
from skorch.callbacks import Callback, Freezer, Initializer, LRScheduler
from skorch.dataset import Dataset
from torch import nn

from sgt_sklearn import SaliencyGuidedRegressor
from tests.callbacks.killing import TARGETS, X, assert_same, outcome
from tests.callbacks.resuming import GuidedNet, Y, check_resumes, net_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs processes that can be killed")


class Accumulating(GuidedNet):
    """Steps after three batches, five of which are an epoch."""

    def train_step(self, batch, **fit_params):
        step = super().train_step(batch, **fit_params)
        if self._n_batches() % 3 == 0:
            self.optimizer_.step()
            self.optimizer_.zero_grad()
        return step

    def _n_batches(self):
        return sum(len(epoch["batches"]) for epoch in self.history)

    def _step_optimizer(self, step_fn):
        step_fn()

    def _zero_grad_optimizer(self, set_to_none=None):
        pass


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_gradients_accumulated_past_the_end_of_an_epoch(weight, tmp_path):
    check_resumes(
        lambda folder: net_of(folder, cls=Accumulating, consistency_weight=weight),
        tmp_path,
        step=13,  # one batch past a step when the epoch began
    )


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.LBFGS, {"max_iter": 3, "history_size": 4}),
        (torch.optim.Adagrad, {}),
        (torch.optim.NAdam, {"momentum_decay": 0.1}),
        (torch.optim.Adam, {"amsgrad": True, "weight_decay": 0.1}),
        (torch.optim.ASGD, {}),
    ],
)
def test_optimizers(optimizer, options, tmp_path):
    options = {f"optimizer__{name}": value for name, value in options.items()}
    check_resumes(lambda folder: net_of(folder, optimizer=optimizer, **options), tmp_path)


class PreciseSGD(torch.optim.SGD):
    """Keeps a momentum of its own in double precision."""

    def step(self, closure=None):
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                momentum = state.setdefault("precise", torch.zeros(p.shape, dtype=torch.float64))
                momentum.mul_(0.9).add_(p.grad)
                p.data.sub_((group["lr"] * momentum).to(p.dtype))
        return loss


def test_optimizer_states_of_another_dtype(tmp_path):
    check_resumes(lambda folder: net_of(folder, optimizer=PreciseSGD), tmp_path)


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ("WarmRestartLR", {"base_period": 2}),
        ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "step_every": "batch"}),
        ("MultiStepLR", {"milestones": [2, 4]}),
        ("LambdaLR", {"lr_lambda": lambda epoch: 0.9**epoch}),
        (torch.optim.lr_scheduler.CosineAnnealingWarmRestarts, {"T_0": 2}),
    ],
)
def test_schedules(policy, options, tmp_path):
    schedule = ("schedule", LRScheduler(policy, **options))
    check_resumes(lambda folder: net_of(folder, [schedule], optimizer__momentum=0.9), tmp_path)


def two_layers():
    return nn.Sequential(OrderedDict(first=nn.Linear(4, 5), second=nn.Linear(5, 1)))


def test_frozen_layers_stay_frozen(tmp_path):
    freezer = Freezer("first*", at=2)
    net = check_resumes(lambda folder: net_of(folder, [freezer], module=two_layers()), tmp_path)
    assert [p.requires_grad for p in net.module_.parameters()] == [False, False, True, True]


@pytest.mark.parametrize("step", [13, 16, 23])
def test_draws_of_callbacks_at_the_beginning_of_an_epoch(step, tmp_path):
    noise = Initializer("*weight", fn=torch.nn.init.normal_, at=4)
    check_resumes(lambda folder: net_of(folder, [noise]), tmp_path, step=step)


class RaisedDropout(Callback):
    """Changes the module and the net while they are trained."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            net.module_[1].p = 0.4
            net.consistency_weight = 2.0
            net.mask_fraction = 0.7


class LateDropout(nn.Dropout):
    """Draws nothing at first, so that guidance chooses the shared pass for the whole fit."""

    def __init__(self):
        super().__init__(0.0)
        self.register_buffer("rate", torch.zeros(()))

    def forward(self, x):
        if self.p:
            self.rate.fill_(self.p)
        return nn.functional.dropout(x, float(self.rate), self.training) if self.rate > 0 else x


def test_parameters_that_callbacks_change_and_the_pass_that_was_chosen(tmp_path):
    def build(folder):
        module = nn.Sequential(nn.Linear(4, 5), LateDropout(), nn.Linear(5, 1))
        return net_of(folder, [("raise", RaisedDropout)], module=module)

    net = check_resumes(build, tmp_path, step=23)
    assert (net.consistency_weight, net.mask_fraction) == (2.0, 0.7)


class Widths(Dataset):
    """The last batches are narrower than the first."""

    def __getitem__(self, i):
        Xi, yi = super().__getitem__(i)
        return Xi[: 4 if i < 24 else 3], yi


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, 5), LateDropout(), nn.Linear(5, 1))

    def __getitem__(self, i):
        return self.layers[i]

    def forward(self, x):
        return self.layers(x.mean(1, keepdim=True))


def test_the_pass_is_chosen_anew_for_inputs_of_another_shape(tmp_path):
    def build(folder):
        return net_of(
            folder,
            [("raise", RaisedDropout)],
            module=Pooled(),
            iterator_train__shuffle=False,
            mask_order="signed",
            mask_fill="constant",
        )

    check_resumes(build, tmp_path, data=lambda: (Widths(X, Y), None), step=11)


class Lazy(nn.Sequential):
    def __init__(self):
        super().__init__(nn.LazyLinear(5), nn.Tanh(), nn.LazyLinear(1))


@pytest.mark.parametrize("step", [3, 18])
def test_modules_that_take_their_shape_from_the_first_batch(step, tmp_path):
    # shapes come from a forward before the optimizer asks for them
    class DryRun(GuidedNet):
        def initialize_module(self):
            super().initialize_module()
            self.module_(torch.zeros(1, 4))
            return self

    check_resumes(lambda folder: net_of(folder, cls=DryRun, module=Lazy), tmp_path, step=step)
    check_resumes(lambda folder: net_of(folder, module=Lazy), tmp_path, step=step)


def test_subclass_adds_its_own_state(tmp_path):
    class Counting(GuidedNet):
        count_ = 0

        def train_step(self, batch, **fit_params):
            self.count_ += 1
            self.history.record("count", self.count_)
            return super().train_step(batch, **fit_params)

        def get_training_state(self):
            return super().get_training_state() | {"count": self.count_}

        def set_training_state(self, state):
            state = dict(state)
            self.count_ = state.pop("count")
            return super().set_training_state(state)

    check_resumes(lambda folder: net_of(folder, cls=Counting), tmp_path)


def test_training_state_survives_a_file_and_fits_another_net(tmp_path):
    one = SaliencyGuidedRegressor(max_epochs=2, random_state=0).fit(X, TARGETS)
    torch.save(one.get_training_state(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    other = SaliencyGuidedRegressor(max_epochs=2, random_state=1).fit(X, TARGETS)
    assert other.set_training_state(state) is other
    assert_same(outcome(one)["module"], outcome(other)["module"])
    with pytest.raises(ValueError, match="does not fit this net"):
        SaliencyGuidedRegressor(module__hidden=(3,), max_epochs=1).fit(
            X, TARGETS
        ).set_training_state(state)
