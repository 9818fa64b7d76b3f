"""Methods that users override: bitwise theirs without guidance, as by hand with it."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.dataset import Dataset, unpack_data
from skorch.helper import predefined_split
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin
from tests.estimators.by_hand import (
    LR,
    SETTINGS,
    X_VALID,
    Y_VALID,
    HandTrained,
    X,
    Y,
    assert_same_state,
    make_estimator,
    make_net,
)

VALID = predefined_split(Dataset(X_VALID, Y_VALID))


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


# what users override; each comes with the loop that does the same by hand


def penalised(cls):
    class Penalised(cls):
        def get_loss(self, *args, **kwargs):
            loss = super().get_loss(*args, **kwargs)
            loss += 0.01 * sum(w.abs().sum() for w in self.module_.parameters())
            return loss

    return Penalised


def train_penalised(hand):
    def loss(rows):
        return hand.loss(rows) + 0.01 * sum(w.abs().sum() for w in hand.net.parameters())

    descend(hand, loss)


CLASS_WEIGHTS = [0.2, 1.0, 3.0]


def weighted(cls):
    class Weighted(cls):
        """The recipe of skorch's documentation, on a criterion that does not reduce."""

        def get_loss(self, y_pred, y_true, *args, **kwargs):
            losses = super().get_loss(y_pred, y_true, *args, **kwargs)
            return (losses * losses.new_tensor(CLASS_WEIGHTS)[y_true.to(losses.device)]).mean()

    return Weighted


def train_weighted(hand):
    def loss(rows):
        task, consistency = hand.terms(hand.X[rows], hand.y[rows])
        return (task.new_tensor(CLASS_WEIGHTS)[hand.y[rows]] * (task + consistency)).mean()

    descend(hand, loss)


def own_backward(cls):
    class OwnBackward(cls):
        def train_step_single(self, batch, **fit_params):
            self._set_training(True)
            Xi, yi = unpack_data(batch)
            y_pred = self.infer(Xi, **fit_params)
            loss = self.get_loss(y_pred, yi, X=Xi, training=True)
            (3 * loss).backward()
            return {"loss": loss, "y_pred": y_pred}

    return OwnBackward


def train_own_backward(hand):
    descend(hand, lambda rows: 3 * hand.loss(rows))


def augmented(cls):
    class Augmented(cls):
        def train_step_single(self, batch, **fit_params):
            Xi, yi = unpack_data(batch)
            return super().train_step_single((1.1 * Xi, yi), **fit_params)

    return Augmented


def train_augmented(hand):
    descend(hand, lambda rows: sum(hand.terms(1.1 * hand.X[rows], hand.y[rows])).mean())


def in_parts(cls):
    class InParts(cls):
        """Two halves of a batch one after the other, to save memory."""

        def train_step(self, batch, **fit_params):
            self._zero_grad_optimizer()
            Xi, yi = unpack_data(batch)
            halves = [(Xi[:3], yi[:3]), (Xi[3:], yi[3:])]
            steps = [self.train_step_single(half, **fit_params) for half in halves]
            self._step_optimizer(None)
            return steps[0]

    return InParts


def train_in_parts(hand):
    def loss(rows):
        halves = []
        for half in rows.split(3):
            hand.masked = None
            halves.append(hand.loss(half))
        return sum(halves)

    descend(hand, loss)


def two_views(cls):
    class TwoViews(cls):
        """The output may not change much where the input is shifted."""

        def train_step_single(self, batch, **fit_params):
            self._set_training(True)
            Xi, yi = unpack_data(batch)
            y_pred, shifted = self.infer(Xi), self.infer(Xi + 0.5)
            loss = self.get_loss(y_pred, yi, X=Xi, training=True)
            loss = loss + (y_pred - shifted).square().mean()
            loss.backward()
            return {"loss": loss, "y_pred": y_pred}

    return TwoViews


def train_two_views(hand):
    def loss(rows):
        x = hand.X[rows]
        return hand.loss(rows) + (hand.net(x) - hand.net(x + 0.5)).square().mean()

    descend(hand, loss)


class Temperature(nn.Module):
    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, output):
        return output * self.value


def two_modules(cls):
    class TwoModules(cls):
        """A second module with an optimizer of its own."""

        def initialize_module(self):
            super().initialize_module()
            self.temperature_ = Temperature()
            return self

        def initialize_optimizer(self):
            self.optimizer_ = torch.optim.SGD(self.module_.parameters(), lr=LR)
            self.temperature_optimizer_ = torch.optim.Adam(self.temperature_.parameters(), lr=0.05)
            return self

        def infer(self, x, **fit_params):
            return self.temperature_(super().infer(x, **fit_params))

    return TwoModules


def tensor_of_no_module(cls):
    class TensorOfNoModule(cls):
        """The same, with a tensor that only the optimizer knows."""

        def initialize_module(self):
            super().initialize_module()
            self.temperature_tensor_ = torch.ones(
                (), dtype=torch.float64, device=self.device, requires_grad=True
            )
            return self

        def initialize_optimizer(self):
            self.optimizer_ = torch.optim.SGD(self.module_.parameters(), lr=LR)
            self.temperature_optimizer_ = torch.optim.Adam([self.temperature_tensor_], lr=0.05)
            return self

        def infer(self, x, **fit_params):
            return super().infer(x, **fit_params) * self.temperature_tensor_

    return TensorOfNoModule


def train_with_temperature(hand):
    module = hand.net
    hand.net = nn.Sequential(module, Temperature().to(hand.X.device))
    optimizers = [
        torch.optim.SGD(module.parameters(), lr=LR),
        torch.optim.Adam(hand.net[1].parameters(), lr=0.05),
    ]
    for rows in hand.batches():
        # skorch evaluates the step once for each optimizer
        for optimizer in optimizers:
            hand.net.zero_grad()
            hand.loss(rows).backward()
            optimizer.step()
    hand.net = module


def descend(hand, loss):
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    for rows in hand.batches():
        optimizer.zero_grad()
        loss(rows).backward()
        optimizer.step()


@dataclasses.dataclass(frozen=True)
class Override:
    override: Callable
    train: Callable
    options: dict = dataclasses.field(default_factory=dict)


OVERRIDES = {
    "get_loss with a penalty": Override(penalised, train_penalised),
    "get_loss with weights": Override(weighted, train_weighted, {"criterion__reduction": "none"}),
    "backward": Override(own_backward, train_own_backward),
    "augmentation": Override(augmented, train_augmented),
    "train_step in parts": Override(in_parts, train_in_parts),
    "two passes": Override(two_views, train_two_views),
    "two optimizers": Override(two_modules, train_with_temperature),
    "tensor of no module": Override(tensor_of_no_module, train_with_temperature),
}
# an outer infer that changes what the mixin's infer returns is refused, see below
INNER_ONLY = ("two optimizers", "tensor of no module")
ORDERS = [
    (name, order)
    for name in OVERRIDES
    for order in ("mixin before", "mixin behind", "estimator")
    if order == "mixin before" or name not in INNER_ONLY
]


def guided_class(name, order):
    override = OVERRIDES[name].override
    if order == "mixin before":
        return type("Guided", (SaliencyGuidedMixin, override(NeuralNetClassifier)), {})
    return override(GuidedClassifier if order == "mixin behind" else SaliencyGuidedClassifier)


@pytest.mark.parametrize(("name", "order"), ORDERS)
def test_without_guidance_a_users_class_is_bitwise_what_it_was(name, order, device):
    options = {
        "train_split": VALID,
        "iterator_train__shuffle": True,
        "random_state": None,
    } | OVERRIDES[name].options
    results = []
    for guided in (True, False):
        torch.manual_seed(0)
        if guided:
            net = make_estimator(make_net(), None, device, guided_class(name, order), **options)
        else:
            plain = {k: v for k, v in options.items() if k != "random_state"}
            common = {"criterion": nn.CrossEntropyLoss, "lr": LR, "max_epochs": 3, "batch_size": 6}
            cls = OVERRIDES[name].override(NeuralNetClassifier)
            net = cls(make_net(), device=device, verbose=0, **common | plain)
        net.fit(X, Y)
        history = net.history[:, ("train_loss", "valid_loss", "valid_acc")]
        results.append((history, net.predict_proba(X), torch.get_rng_state().numpy()))
    np.testing.assert_equal(*results)


@pytest.mark.parametrize(
    ("setting", "saliency_pass"),
    [("off", "auto"), ("fixed", "shared"), ("drawn", "shared"), ("drawn", "separate")],
)
@pytest.mark.parametrize(("name", "order"), ORDERS)
def test_with_guidance_a_users_class_trains_as_by_hand(
    name, order, saliency_pass, setting, device
):
    setting = SETTINGS[setting]
    estimator = make_estimator(
        make_net(),
        setting,
        device,
        guided_class(name, order),
        saliency_pass=saliency_pass,
        **OVERRIDES[name].options,
    ).fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    OVERRIDES[name].train(hand)
    assert_same_state(estimator.module_, hand.net)
