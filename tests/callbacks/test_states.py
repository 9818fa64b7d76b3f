"""What else a fit may depend on, beside weights, optimizer and global generators."""

import functools
import os
import random
from collections import Counter, OrderedDict, deque

import numpy as np
import pytest
import torch
from skorch import NeuralNet, NeuralNetRegressor
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EpochScoring,
    Freezer,
    Initializer,
    LRScheduler,
    ProgressBar,
    TrainEndCheckpoint,
)
from skorch.dataset import Dataset, ValidSplit
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, default_collate

from sgt_sklearn import SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.callbacks import ResumableCheckpoint
from tests.callbacks.killing import (
    TARGETS,
    X,
    assert_same,
    kill_at,
    killed,
    outcome,
    plain,
    seed_globals,
    weights,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs processes that can be killed")

Y = TARGETS.astype(np.float32)[:, None]


class GuidedNet(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


def net_of(folder, callbacks=(), cls=GuidedNet, **params):
    """A small net whose state is to survive; `folder` None is for the fit in one go."""
    if folder is not None:
        callbacks = [*callbacks, ("resume", ResumableCheckpoint(folder / "fit.ckpt"))]
    defaults = {
        "module": nn.Linear(4, 1),
        "max_epochs": 5,
        "batch_size": 8,
        "lr": 0.05,
        "train_split": None,
        "iterator_train__shuffle": True,
        "random_state": 0,
        "verbose": 0,
        "callbacks": list(callbacks),
    }
    return cls(**defaults | params)


def check_resumes(build, folder, data=(X, Y), step=18):
    """Kill a fit in a step (of 25), run it again, and compare with a fit in one go."""
    data = data if callable(data) else lambda data=data: data

    def fit(folder):
        seed_globals()
        return build(folder).fit(*data())

    expected = outcome(fit(None))

    def life():
        kill_at(NeuralNet, "train_step", step)
        fit(folder)

    assert killed(life)
    net = fit(folder)
    assert_same(expected, outcome(net))
    return net


# what training leaves from one epoch to the next


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


# generators


class OwnNoise(nn.Module):
    """A module with generators of its own."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 1)
        self.torch_generator = torch.Generator().manual_seed(5)
        self.noise = [np.random.default_rng(6)]

    def forward(self, x):
        if self.training:
            x = x + 0.1 * torch.randn(x.shape, generator=self.torch_generator)
            x = x * float(self.noise[0].uniform(0.9, 1.1))
        return self.linear(x)


class OwnFill:
    """A fill that draws from numpy, whatever generator it is given."""

    def __init__(self):
        self.rng = np.random.RandomState(7)

    def __call__(self, x, generator):
        return torch.from_numpy(self.rng.standard_normal(x.shape).astype(np.float32))


class Augmented(Dataset):
    """Draws for each row."""

    def __init__(self, X, y):
        super().__init__(X, y)
        self.rng = np.random.Generator(np.random.MT19937(8))

    def __getitem__(self, i):
        Xi, yi = super().__getitem__(i)
        return Xi + self.rng.normal(scale=0.1, size=Xi.shape).astype(np.float32), yi


class SeededLoader(DataLoader):
    def __init__(self, dataset, batch_size, shuffle=False):
        sampler = RandomSampler(dataset, generator=torch.Generator().manual_seed(9))
        super().__init__(dataset, batch_size=batch_size, sampler=sampler if shuffle else None)


@pytest.mark.parametrize("random_state", [None, 0])
def test_every_generator_goes_on(random_state, tmp_path):
    def build(folder):
        return net_of(
            folder,
            module=OwnNoise(),
            mask_fill=OwnFill(),
            iterator_train__generator=torch.Generator().manual_seed(10),
            train_split=ValidSplit(0.2, stratified=False, random_state=np.random.RandomState(11)),
            random_state=random_state,
        )

    check_resumes(build, tmp_path)


@pytest.mark.parametrize("random_state", [None, 0])
def test_generators_of_data_sets_and_loaders(random_state, tmp_path):
    def build(folder):
        return net_of(
            folder, iterator_train=SeededLoader, random_state=random_state, mask_order="absolute"
        )

    check_resumes(build, tmp_path, data=lambda: (Augmented(X, Y), None))


def noisy_collate(rows, rng):
    inputs, targets = default_collate(rows)
    return inputs + float(rng.normal(scale=0.1)), targets


def test_generators_in_methods_and_partial_functions(tmp_path):
    def build(folder):
        collate = functools.partial(noisy_collate, rng=np.random.default_rng(12))
        fill = OwnFill().__call__
        return net_of(folder, mask_fill=fill, iterator_train__collate_fn=collate)

    check_resumes(build, tmp_path)


class PythonNoise(OwnNoise):
    """Draws from Python's global generator."""

    def forward(self, x):
        return super().forward(x + random.random() if self.training else x)


@pytest.mark.parametrize("random_state", [None, 0])
def test_pythons_generator(random_state, tmp_path):
    def build(folder):
        return net_of(folder, module=PythonNoise(), random_state=random_state)

    check_resumes(build, tmp_path)


def test_a_seeded_fit_leaves_the_global_generators_alone(tmp_path):
    seed_globals()
    assert killed(lambda: (kill_at(NeuralNet, "train_step", 18), net_of(tmp_path).fit(X, Y)))
    net = net_of(tmp_path)
    seed_globals(1)
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    net.fit(X, Y)
    after = random.getstate(), torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    np.testing.assert_equal(plain(before), plain(after))


# callbacks


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


class Named:
    """No data."""


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
