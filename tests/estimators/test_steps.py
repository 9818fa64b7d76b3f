"""Training steps of the user's own: layers before the net, adversarial inputs, joined outputs."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.dataset import unpack_data
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin
from tests.estimators.by_hand import (
    LR,
    SETTINGS,
    HandTrained,
    X,
    Y,
    assert_same_state,
    make_estimator,
    make_net,
)


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


BASES = [GuidedClassifier, SaliencyGuidedClassifier]
PASSES = [("off", "auto"), ("fixed", "shared"), ("drawn", "shared"), ("drawn", "separate")]


def make_stem():
    torch.manual_seed(7)
    return nn.Linear(6, 6).double()


def with_stem(cls):
    class WithStem(cls):
        """A layer in front of what is guided."""

        def initialize_module(self):
            super().initialize_module()
            self.stem_ = make_stem().to(self.device)
            return self

        def infer(self, x, **fit_params):
            return super().infer(self.stem_(x.to(self.device)), **fit_params)

    return WithStem


@pytest.mark.parametrize(("setting", "saliency_pass"), PASSES)
@pytest.mark.parametrize("base", BASES)
def test_a_layer_before_infer_is_trained_as_by_hand(base, setting, saliency_pass, device):
    setting = SETTINGS[setting]
    net = make_estimator(
        make_net(), setting, device, with_stem(base), saliency_pass=saliency_pass
    ).fit(X, Y)
    hand, stem = HandTrained(make_net(), setting, device), make_stem().to(device)
    optimizer = torch.optim.SGD([*hand.net.parameters(), *stem.parameters()], lr=LR)
    for rows in hand.batches():
        optimizer.zero_grad()
        task, consistency = hand.terms(stem(hand.X[rows]), hand.y[rows])
        (task + consistency).mean().backward()
        optimizer.step()
    assert_same_state(net.module_, hand.net)
    assert_same_state(net.stem_, stem)
    assert not torch.equal(stem.weight, make_stem().to(device).weight)


def adversarial(cls):
    class Adversarial(cls):
        """Steps along the sign of the input's gradient before each batch."""

        def train_step_single(self, batch, **fit_params):
            self._set_training(True)
            Xi, yi = unpack_data(batch)
            Xi = Xi.clone().requires_grad_()
            loss = self.get_loss(self.infer(Xi), yi, X=Xi, training=True)
            (gradient,) = torch.autograd.grad(loss, Xi)
            Xi = (Xi + 0.1 * gradient.sign()).detach()
            y_pred = self.infer(Xi)
            loss = self.get_loss(y_pred, yi, X=Xi, training=True)
            loss.backward()
            return {"loss": loss, "y_pred": y_pred}

    return Adversarial


def train_adversarial(hand, rows):
    x = hand.X[rows].clone().requires_grad_()
    task, consistency = hand.terms(x, hand.y[rows])
    (gradient,) = torch.autograd.grad((task + consistency).mean(), x)
    hand.masked = None
    task, consistency = hand.terms((x + 0.1 * gradient.sign()).detach(), hand.y[rows])
    return (task + consistency).mean()


def penalised(cls):
    class Penalised(cls):
        """Adds the squared gradient of the input to the loss."""

        def train_step_single(self, batch, **fit_params):
            self._set_training(True)
            Xi, yi = unpack_data(batch)
            Xi = Xi.clone().requires_grad_()
            y_pred = self.infer(Xi)
            loss = self.get_loss(y_pred, yi, X=Xi, training=True)
            (gradient,) = torch.autograd.grad(y_pred.sum(), Xi, create_graph=True)
            loss = loss + gradient.square().sum()
            loss.backward()
            return {"loss": loss, "y_pred": y_pred}

    return Penalised


def train_penalised(hand, rows):
    x = hand.X[rows].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(hand.net.train()(x).sum(), x, create_graph=True)
    return hand.loss(rows) + gradient.square().sum()


@pytest.mark.parametrize(("setting", "saliency_pass"), PASSES)
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    ("override", "by_hand"), [(adversarial, train_adversarial), (penalised, train_penalised)]
)
def test_gradients_of_the_input_are_those_by_hand(
    override, by_hand, base, setting, saliency_pass, device
):
    setting = SETTINGS[setting]
    net = make_estimator(
        make_net(), setting, device, override(base), saliency_pass=saliency_pass
    ).fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    for rows in hand.batches():
        optimizer.zero_grad()
        by_hand(hand, rows).backward()
        optimizer.step()
    assert_same_state(net.module_, hand.net)


# outputs that are none of infer's own


def joined(self, Xi):
    return torch.cat([self.infer(x) for x in Xi.split(3)])


def averaged(self, Xi):
    return (self.infer(Xi) + self.infer(Xi + 0.1)) / 2


def scaled(self, Xi):
    return 2 * self.infer(Xi)


def chosen(self, Xi):
    return self.infer(Xi)[:4]


def stepping(cls, output_of):
    class Stepping(cls):
        def train_step_single(self, batch, **fit_params):
            self._set_training(True)
            Xi, yi = unpack_data(batch)
            y_pred = output_of(self, Xi)
            loss = self.get_loss(y_pred, yi[: len(y_pred)], X=Xi, training=True)
            loss.backward()
            return {"loss": loss, "y_pred": y_pred}

    return Stepping


@pytest.mark.parametrize("output_of", [joined, averaged, scaled, chosen])
@pytest.mark.parametrize("saliency_pass", ["shared", "separate"])
@pytest.mark.parametrize("base", BASES)
def test_a_step_that_changes_outputs_is_refused(base, saliency_pass, output_of, device):
    cls = stepping(base, output_of)
    options = {"saliency_pass": saliency_pass}
    with pytest.raises(TypeError, match=r"none of those of the [12] calls of infer in this step"):
        make_estimator(make_net(), SETTINGS["fixed"], device, cls, **options).fit(X, Y)
    assert len(make_estimator(make_net(), None, device, cls).fit(X, Y).history) == 3


class Reshapes(SaliencyGuidedClassifier):
    """get_loss may prepare one output, as the net's own does with a tuple."""

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        return super().get_loss(y_pred.reshape(-1, 3), y_true, *args, **kwargs)


def test_get_loss_may_reshape_one_output(device):
    net = make_estimator(make_net(), SETTINGS["drawn"], device, Reshapes).fit(X, Y)
    hand = HandTrained(make_net(), SETTINGS["drawn"], device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    for rows in hand.batches():
        hand.step(rows, optimizer)
    assert_same_state(net.module_, hand.net)
    for output_of in (joined, averaged):
        with pytest.raises(TypeError, match="none of those of the 2 calls of infer"):
            make_estimator(
                make_net(), SETTINGS["fixed"], device, stepping(Reshapes, output_of)
            ).fit(X, Y)


def test_each_output_with_its_loss_is_guided(device):
    class Halves(SaliencyGuidedClassifier):
        def train_step_single(self, batch, **fit_params):
            self._set_training(True)
            Xi, yi = unpack_data(batch)
            outputs = [self.infer(x) for x in Xi.split(3)]
            losses = [
                self.get_loss(output, y, X=x, training=True)
                for output, x, y in zip(outputs, Xi.split(3), yi.split(3), strict=True)
            ]
            (sum(losses) / 2).backward()
            return {"loss": sum(losses) / 2, "y_pred": torch.cat(outputs)}

    net = make_estimator(make_net(), SETTINGS["fixed"], device, Halves).fit(X, Y)
    whole = make_estimator(make_net(), SETTINGS["fixed"], device).fit(X, Y)
    assert_same_state(net.module_, whole.module_)
    np.testing.assert_allclose(net.predict_proba(X), whole.predict_proba(X), atol=1e-10)


# passes without what guidance needs


def without_gradients(cls):
    class WithoutGradients(cls):
        def infer(self, x, **fit_params):
            with torch.no_grad():
                return super().infer(x, **fit_params)

    return WithoutGradients


@pytest.mark.parametrize("base", BASES)
def test_infer_without_gradients_is_refused(base, device):
    net = make_estimator(make_net(), SETTINGS["fixed"], device, without_gradients(base))
    with pytest.raises(TypeError, match=r"infer of WithoutGradients ran under torch.no_grad\(\)"):
        net.fit(X, Y)
    assert not net.initialized_


class Described(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = make_net()

    def forward(self, x):
        return {"logits": self.net(x)}


class OfDescribed(nn.CrossEntropyLoss):
    def forward(self, output, y):
        return super().forward(output["logits"], y)


@pytest.mark.parametrize("base", BASES)
def test_a_module_that_returns_a_dict_is_refused(base, device):
    options = {"criterion": OfDescribed, "consistency": "categorical_kl"}
    net = make_estimator(Described(), SETTINGS["fixed"], device, base, **options)
    with pytest.raises(TypeError, match=r"but the module returns dict: return \(prediction"):
        net.fit(X, Y)
    assert len(make_estimator(Described(), None, device, base, **options).fit(X, Y).history) == 3
