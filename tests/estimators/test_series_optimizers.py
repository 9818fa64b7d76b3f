"""Optimizers and learning rates of networks for series and text."""

import pytest
import torch
from sklearn.base import clone

from sgt_sklearn import SaliencyGuidedClassifier
from tests.estimators.sequences import (
    DATA,
    LABELS,
    RAGGED,
    assert_same_parameters,
    make,
    parametrize_modules,
)

OPTIMIZERS = {"gru": (torch.optim.AdamW, 5e-3, 1.0), "transformer": (torch.optim.AdamW, 2e-3, 2.0)}


def settings_of(net):
    optimizer = net.optimizer_
    (group,) = optimizer.param_groups
    return type(optimizer), group["lr"], group["weight_decay"]


@parametrize_modules
def test_optimizer_of_a_module(module, device):
    expected = OPTIMIZERS.get(module, (torch.optim.Adam, 3e-3, 0))
    net = make(module, device, max_epochs=1).fit(DATA[module], LABELS)
    assert settings_of(net) == expected
    assert (net.optimizer, net.lr) == ("auto", "auto")
    assert settings_of(clone(net).fit(DATA[module], LABELS)) == expected


@pytest.mark.parametrize("module", ["gru", "transformer"])
def test_optimizer_settings_of_the_user(module, device):
    def fitted(**params):
        return settings_of(make(module, device, max_epochs=1, **params).fit(RAGGED, LABELS))

    adamw, lr, decay = OPTIMIZERS[module]
    assert fitted(optimizer__weight_decay=0.25) == (adamw, lr, 0.25)
    assert fitted(lr=0.125) == (adamw, 0.125, decay)
    assert fitted(optimizer__lr=0.125) == (adamw, 0.125, decay)
    # another optimizer has nothing of the one that was found
    assert fitted(optimizer=torch.optim.SGD) == (torch.optim.SGD, 3e-3, 0)
    assert fitted(optimizer=torch.optim.AdamW) == (adamw, 3e-3, 0.01)
    net = make(module, device, optimizer__param_groups=[("*bias*", {"weight_decay": 0.0})])
    groups = net.fit(RAGGED, LABELS).optimizer_.param_groups
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [(lr, 0.0), (lr, decay)]


def test_lr_after_fit(device):
    net = make("gru", device, max_epochs=1).fit(RAGGED, LABELS)
    assert settings_of(net.set_params(lr=0.25))[1:] == (0.25, 1.0)
    net.partial_fit(RAGGED, LABELS)
    assert settings_of(net)[1] == 0.25
    assert settings_of(net.set_params(lr="auto", max_epochs=2))[1] == 5e-3
    assert (net.lr, net.max_epochs) == ("auto", 2)
    net.partial_fit(RAGGED, LABELS)
    assert settings_of(net) == OPTIMIZERS["gru"]
    assert settings_of(net.set_params(optimizer__weight_decay=0.5))[2] == 0.5


class Recipe(SaliencyGuidedClassifier):
    """The way skorch documents to build an optimizer of one's own."""

    def initialize_optimizer(self):
        parameters = self.get_all_learnable_params()
        args, kwargs = self.get_params_for_optimizer("optimizer", parameters)
        self.optimizer_ = self.optimizer(*args, **kwargs)
        return self


@pytest.mark.parametrize("module", ["gru", "tcn"])
def test_recipe_for_an_optimizer(module, device):
    nets = [
        make(module, device, cls).fit(RAGGED, LABELS) for cls in (Recipe, SaliencyGuidedClassifier)
    ]
    assert settings_of(nets[0]) == settings_of(nets[1])
    assert_same_parameters(*nets)
    assert nets[0].get_params()["optimizer"] == nets[0].get_params()["lr"] == "auto"
