"""Nets trained by hand: torch alone, and masks of the slow loop, to compare fits with."""

import copy

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn._random import mask_seed
from tests.guidance import slow_loop

SEED, LR, N_ROWS, N_FEATURES, N_CLASSES = 5, 0.2, 24, 6, 3
_RNG = np.random.default_rng(1)
X, X_VALID = (
    _RNG.standard_normal((2, N_ROWS, N_FEATURES)) * np.linspace(0.4, 2.0, N_FEATURES) - 0.2
)
Y, Y_VALID = (
    (
        np.stack([x[:, 5], x[:, 4] - x[:, 0], -x[:, 3]], axis=1) + _RNG.normal(size=(N_ROWS, 3))
    ).argmax(1)
    for x in (X, X_VALID)
)

# without guidance, with masks that need no draw, and with masks drawn anew for each batch
SETTINGS = {
    "off": None,
    "fixed": slow_loop.Setting(order="absolute", fill="constant"),
    "drawn": slow_loop.Setting(order="sampled", fill="marginal"),
}


def make_net(*, batch_norm=False):
    torch.manual_seed(3)
    layers = [nn.Linear(N_FEATURES, 8), nn.Tanh(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3)]
    if batch_norm:
        layers.insert(1, nn.BatchNorm1d(8))
    return nn.Sequential(*layers).double()


def guidance_parameters(setting):
    if setting is None:
        return {"consistency_weight": 0}
    return {
        "mask_fraction": setting.fraction,
        "mask_schedule": "constant",
        "consistency_weight": setting.weight,
        "mask_order": setting.order,
        "saliency_output": setting.output,
        "mask_fill": setting.fill,
        "mask_value": setting.value,
        "consistency": setting.divergence,
    }


def make_estimator(net, setting, device, cls=SaliencyGuidedClassifier, **options):
    """Estimator of a copy of the net: plain gradient descent, batches of 6 rows in order."""
    settings = {
        "criterion": nn.CrossEntropyLoss,
        "optimizer": torch.optim.SGD,
        "lr": LR,
        "max_epochs": 3,
        "batch_size": 6,
        "iterator_train__shuffle": False,
        "train_split": None,
        "verbose": 0,
        "random_state": SEED,
        "device": device,
    }
    net = copy.deepcopy(net) if isinstance(net, nn.Module) else net
    return cls(net, **settings | guidance_parameters(setting) | options)


class HandTrained:
    """A copy of the net, its data, and the loss of guided training from the formulas."""

    def __init__(self, net, setting, device, X=X, y=Y):
        self.net = copy.deepcopy(net).to(device)
        self.X, self.y = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
        self.setting = setting
        self.statistics = slow_loop.feature_statistics(self.X)
        # the estimators mask from a private generator
        self.generator = torch.Generator(device).manual_seed(mask_seed(SEED))
        self.masked = None

    def batches(self, epochs=3, size=6):
        """Rows of each step; at each step another masked batch is due."""
        for _ in range(epochs):
            for rows in torch.arange(len(self.X)).split(size):
                self.masked = None
                yield rows

    def loss(self, rows):
        """Loss of a batch; within one step the masked batch stays what it is."""
        task, consistency = self.terms(self.X[rows], self.y[rows])
        return (task + consistency).mean()

    def terms(self, x, y):
        """Task loss and weighted consistency of each row."""
        clean = self.net.train()(x)
        task = nn.functional.cross_entropy(clean, y, reduction="none")
        if self.setting is None:
            return task, torch.zeros_like(task)
        if self.masked is None:
            self.masked = slow_loop.masked_batch(
                self.net, x.detach(), y, self.setting, self.statistics, self.generator
            )
            self.net.train()
        if self.masked is None:  # nothing is hidden
            return task, torch.zeros_like(task)
        # on copies of the buffers, as running statistics move by the clean batch only
        state = dict(self.net.named_parameters())
        state |= {name: buffer.clone() for name, buffer in self.net.named_buffers()}
        output = functional_call(self.net, state, (self.masked,))
        log_p, log_q = clean.log_softmax(1), output.log_softmax(1)
        return task, self.setting.weight * (log_p.exp() * (log_p - log_q)).sum(1)

    def step(self, rows, optimizer):
        optimizer.zero_grad()
        loss = self.loss(rows)
        loss.backward()
        optimizer.step()
        return loss.item()

    def task_loss(self, X, y):
        """Loss of validation."""
        X, y = (torch.from_numpy(a).to(self.X.device) for a in (X, y))
        with torch.no_grad():
            return nn.functional.cross_entropy(self.net.eval()(X), y).item()


def assert_same_state(net, expected, atol=1e-10):
    torch.testing.assert_close(net.state_dict(), expected.state_dict(), atol=atol, rtol=0)
