"""Weights where the criterion ignores targets: what is ignored does not weigh."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.dataset import ValidSplit
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

WEIGHTS = np.random.default_rng(6).uniform(0.1, 3, len(X))
CRITERION = {"criterion": nn.CrossEntropyLoss, "criterion__ignore_index": 1}


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


BASES = [GuidedClassifier, SaliencyGuidedClassifier]


def ignoring(weights):
    """Losses of a batch by the formulas: the task without class 1, the consistency with it."""

    def loss(hand, rows):
        task, consistency = hand.terms(hand.X[rows], hand.y[rows])
        w = torch.from_numpy(weights).to(hand.X.device)[rows]
        counted = w * (hand.y[rows] != 1)
        return (counted * task).sum() / counted.sum() + (w * consistency).sum() / w.sum()

    return loss


@pytest.mark.parametrize("setting", ["off", "fixed"])
@pytest.mark.parametrize("base", BASES)
def test_ignored_labels_do_not_weigh_in_the_task(base, setting, device):
    setting, loss = SETTINGS[setting], ignoring(WEIGHTS)
    net = make_estimator(make_net(), setting, device, base, batch_size=-1, **CRITERION)
    net.fit(X, Y, sample_weight=WEIGHTS)
    hand = HandTrained(make_net(), setting, device)
    # ranked by the weighted spread of the features
    mean = np.average(X, axis=0, weights=WEIGHTS)
    sd = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=WEIGHTS))
    hand.statistics = {
        key: type(value)(value.minimum, value.maximum, mean[key[0]], sd[key[0]])
        for key, value in hand.statistics.items()
    }
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    for rows in hand.batches(size=len(X)):
        optimizer.zero_grad()
        loss(hand, rows).backward()
        optimizer.step()
    assert_same_state(net.module_, hand.net)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("base", BASES)
def test_equal_weights_are_none(base, setting, device):
    options = {"train_split": ValidSplit(4)} | CRITERION
    nets = [
        make_estimator(make_net(), SETTINGS[setting], device, base, **options).fit(
            X, Y, sample_weight=weights
        )
        for weights in (None, np.full(len(X), 3.0))
    ]
    assert_same_state(nets[0].module_, nets[1].module_)
    for name in ("train_loss", "train_task_loss", "valid_loss"):
        first, second = (net.history[:, name] for net in nets)
        assert first == pytest.approx(second, rel=1e-9)


class OfSteps(nn.Module):
    """Three classes at each of two positions."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.last = nn.Linear(6, 6).double()

    def forward(self, x):
        return self.last(x).reshape(-1, 3, 2)


def test_ignored_positions_do_not_weigh(device):
    y = np.random.default_rng(0).integers(0, 3, (len(X), 2))
    y[:5] = 1  # rows without any target
    net = make_estimator(OfSteps(), None, device, GuidedClassifier, batch_size=-1, **CRITERION)
    net.fit(X, y, sample_weight=WEIGHTS)
    hand = OfSteps().to(device)
    x, target, w = (torch.from_numpy(a).to(device) for a in (X, y, WEIGHTS[:, None]))
    optimizer = torch.optim.SGD(hand.parameters(), lr=LR)
    for _ in range(3):
        losses = nn.functional.cross_entropy(hand(x), target, reduction="none", ignore_index=1)
        optimizer.zero_grad()
        ((w * losses).sum() / (w * (target != 1)).sum()).backward()
        optimizer.step()
    assert_same_state(net.module_, hand)


def test_a_batch_of_ignored_labels_has_no_loss(device):
    rows = np.argsort(Y != 1, kind="stable")[:12]
    assert (Y[rows[:6]] == 1).all()
    options = {"batch_size": 6, "max_epochs": 1, "iterator_train__shuffle": False} | CRITERION
    net = make_estimator(make_net(), None, device, **options)
    net.fit(X[rows], Y[rows], sample_weight=WEIGHTS[rows])
    first = net.history[-1, "batches", 0]
    assert first["train_loss"] == 0.0
    assert np.isfinite(net.history[-1, "train_loss"])
