"""The mixin before nets of the user's own."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sgt_sklearn import SaliencyGuidedMixin
from sgt_sklearn.modules import MLP
from tests.estimators.noisy_table import CODES, SCORE, X


class GuidedNet(SaliencyGuidedMixin, NeuralNet):
    pass


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


class GuidedBinary(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    pass


class GuidedRegressor(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


class TupleNet(MLP):
    def forward(self, x):
        return super().forward(x), x


def softmax_net():
    return nn.Sequential(MLP(5, 3, hidden=(8,)), nn.Softmax(dim=1))


COLUMN = SCORE.reshape(-1, 1).astype(np.float32)


def make_nets():
    return {
        "net": (GuidedNet, MLP(5, 1), {"criterion": nn.MSELoss}, COLUMN),
        "net of logits": (GuidedNet, MLP(5, 3), {"criterion": nn.CrossEntropyLoss}, CODES),
        "net of log-probabilities": (
            GuidedNet,
            nn.Sequential(MLP(5, 3), nn.LogSoftmax(dim=1)),
            {"criterion": nn.NLLLoss},
            CODES,
        ),
        "several logits": (
            GuidedNet,
            MLP(5, 2),
            {"criterion": nn.BCEWithLogitsLoss},
            (X[:, :2] > 0).astype(np.float32),
        ),
        "probability": (
            GuidedNet,
            nn.Sequential(MLP(5, 1), nn.Sigmoid()),
            {"criterion": nn.BCELoss},
            (COLUMN > 0).astype(np.float32),
        ),
        "tuple": (GuidedNet, TupleNet(5, 3), {"criterion": nn.CrossEntropyLoss}, CODES),
        "callable divergence": (
            GuidedNet,
            MLP(5, 1),
            {"criterion": nn.L1Loss, "consistency": lambda a, b: (a - b).abs().sum(1)},
            COLUMN,
        ),
        "classifier": (GuidedClassifier, softmax_net(), {}, CODES),
        "classifier of logits": (
            GuidedClassifier,
            MLP(5, 3),
            {"criterion": nn.CrossEntropyLoss},
            CODES,
        ),
        "binary": (GuidedBinary, MLP(5, 1), {}, (SCORE > 0).astype(np.float32)),
        "regressor": (GuidedRegressor, MLP(5, 1), {}, COLUMN),
    }


# seeded, so that the initial weights do not depend on which tests were collected before
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    NETS = make_nets()


def make_net(name, device, **params):
    cls, module, own, y = NETS[name]
    defaults = {
        "optimizer": torch.optim.Adam,
        "lr": 0.03,
        "max_epochs": 15,
        "batch_size": 32,
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
        "device": device,
        "random_state": 0,
    }
    return cls(copy.deepcopy(module), **defaults | own | params), y


def weights(net):
    return [value.cpu().numpy() for value in net.module_.state_dict().values()]


@pytest.mark.parametrize("name", NETS)
def test_nets_of_the_users_own_learn_and_explain(name, device):
    net, y = make_net(name, device)
    net.fit(X, y)
    losses, consistency = (net.history[:, key] for key in ("train_loss", "train_consistency_loss"))
    assert losses[-1] < 0.8 * losses[0]
    assert all(value > 0 for value in consistency)
    values = np.abs(net.attribute(X)).mean(0)
    assert values.shape == (5,)
    assert values[:2].min() > values[3:].max()
    if hasattr(net, "score"):
        assert net.score(X, y) > 0.6


@pytest.mark.parametrize("name", NETS)
def test_guidance_changes_nets_of_the_users_own(name, device):
    fits = [
        make_net(name, device, max_epochs=2, **params)[0].fit(X, NETS[name][3])
        for params in ({}, {"consistency_weight": 0}, {"mask_order": "random"})
    ]
    states = {tuple(v.tobytes() for v in weights(net)) for net in fits}
    assert len(states) == 3


@pytest.mark.parametrize("name", [name for name in NETS if name != "callable divergence"])
def test_nets_of_the_users_own_survive_clone_and_pickle(name, device):
    net, y = make_net(name, device, max_epochs=2)
    net = clone(net).fit(X, y)
    loaded = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    np.testing.assert_array_equal(loaded.attribute(X), net.attribute(X))


def test_a_guided_skorch_net_in_a_grid_search(device):
    net, y = make_net("classifier", device, max_epochs=2)
    grid = {"mask_fraction": [0.25, 0.5], "optimizer__weight_decay": [0, 0.1]}
    assert GridSearchCV(net, grid, cv=2, error_score="raise").fit(X, y).best_score_ > 0.3
