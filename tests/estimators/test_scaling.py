"""Units do not matter: a rescaled feature changes neither masks nor what is learned."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor

RNG = np.random.default_rng(0)
TABLE = (RNG.standard_normal((40, 5)) + np.array([0, 1, 0, 50, 0])).astype(np.float32)
IMAGES = (RNG.standard_normal((40, 3, 5, 5)) + 0.3).astype(np.float32)
LABELS = (TABLE[:, 0] > TABLE[:, 1] - 1).astype(int)
TARGETS = (10 * TABLE[:, 0] - TABLE[:, 1]).astype(np.float64)
# every setting of the guidance that compares features in units of their spread
SETTINGS = {
    "defaults": {},
    "no guidance": {"consistency_weight": 0},
    "sampled order": {"mask_order": "sampled"},
    "random order": {"mask_order": "random"},
    "marginal fill": {"mask_fill": "marginal"},
    "mean fill": {"mask_fill": "mean"},
    "zero fill": {"mask_fill": "constant"},
    "separate pass": {"saliency_pass": "separate"},
    "log-probability": {"saliency_output": "log_proba"},
    "logit": {"saliency_output": "logit"},
}


def rescaled(X, column, factor=1024):
    X = X.copy()
    X[:, column] *= factor
    return X


def train(estimator, X, y, device, **params):
    """Fit, and keep which cells of each masked batch were hidden."""
    hidden = []
    params = {"max_epochs": 3, "batch_size": 16, "device": device, "random_state": 0} | params
    net = estimator(**params)

    class Watched(type(net)):
        def get_loss(self, *args, **kwargs):
            loss = super().get_loss(*args, **kwargs)
            guidance = self._guidance_
            if guidance is not None and guidance.masked:
                x, masked_x = guidance.masked[-1]
                hidden.append((masked_x != x).cpu().numpy())
            return loss

    net.__class__ = Watched
    net.fit(X, y)
    return net, hidden


def weights(net):
    named = net.module_.named_parameters()
    return {name: value.detach().cpu().numpy() for name, value in named}


@pytest.mark.parametrize("estimator", [SaliencyGuidedClassifier, SaliencyGuidedRegressor])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("column", [0, 3])
def test_a_column_times_1024_changes_no_mask_and_no_prediction(estimator, setting, column, device):
    y = TARGETS if estimator is SaliencyGuidedRegressor else LABELS
    X = rescaled(TABLE, column)
    one, masks = train(estimator, TABLE, y, device, **SETTINGS[setting])
    other, other_masks = train(estimator, X, y, device, **SETTINGS[setting])
    assert len(masks) == (0 if setting == "no guidance" else 3 * 3)
    np.testing.assert_equal(masks, other_masks)
    np.testing.assert_equal(weights(one), weights(other))
    assert one.history[:, "train_loss"] == other.history[:, "train_loss"]
    np.testing.assert_array_equal(one.predict(TABLE), other.predict(X))
    np.testing.assert_array_equal(one.feature_importances_, other.feature_importances_)
    explained = other.attribute(X)
    explained[:, column] *= 1024
    np.testing.assert_array_equal(one.attribute(TABLE), explained)
    standardized = (
        one.attribute(TABLE, standardized=True),
        other.attribute(X, standardized=True),
    )
    np.testing.assert_array_equal(*standardized)


@pytest.mark.parametrize("estimator", [SaliencyGuidedClassifier, SaliencyGuidedRegressor])
@pytest.mark.parametrize("fill", ["auto", "marginal", "mean"])
def test_a_channel_times_1024_changes_no_mask_and_no_prediction(estimator, fill, device):
    y = TARGETS if estimator is SaliencyGuidedRegressor else LABELS
    X = rescaled(IMAGES, 1)
    one, masks = train(estimator, IMAGES, y, device, mask_fill=fill)
    other, other_masks = train(estimator, X, y, device, mask_fill=fill)
    np.testing.assert_equal(masks, other_masks)
    np.testing.assert_equal(weights(one), weights(other))
    np.testing.assert_array_equal(one.predict(IMAGES), other.predict(X))


def test_a_target_times_1024_changes_no_mask(device):
    one, masks = train(SaliencyGuidedRegressor, TABLE, TARGETS, device)
    other, other_masks = train(SaliencyGuidedRegressor, TABLE, TARGETS * 1024, device)
    np.testing.assert_equal(masks, other_masks)
    np.testing.assert_equal(weights(one), weights(other))
    np.testing.assert_array_equal(one.predict(TABLE) * 1024, other.predict(TABLE))


def test_a_shifted_column_changes_nothing_but_rounding(device):
    X = TABLE.copy()
    X[:, 2] += 16
    one, _ = train(SaliencyGuidedRegressor, TABLE, TARGETS, device, consistency_weight=0)
    other, _ = train(SaliencyGuidedRegressor, X, TARGETS, device, consistency_weight=0)
    np.testing.assert_allclose(one.predict(TABLE), other.predict(X), rtol=1e-2, atol=1e-2)


class Unscaled(nn.Module):
    """Divides by fixed units itself, so that only the ranking can depend on them."""

    def __init__(self, factor):
        super().__init__()
        units = torch.ones(5)
        units[0] = factor
        self.register_buffer("units", units)
        self.linear = nn.Linear(5, 2)

    def forward(self, x):
        return self.linear((x / self.units).tanh())


class GuidedNet(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


@pytest.mark.parametrize("setting", ["defaults", "sampled order", "marginal fill", "mean fill"])
@pytest.mark.parametrize("estimator", [SaliencyGuidedClassifier, GuidedNet])
def test_ranking_of_a_users_own_module_does_not_depend_on_units(estimator, setting, device):
    nets = []
    params = SETTINGS[setting] | {
        "criterion": nn.CrossEntropyLoss,
        "train_split": None,
        "verbose": 0,
        "module": Unscaled,
    }
    for factor in (1, 1024):
        X = rescaled(TABLE, 0, factor)
        nets.append(train(estimator, X, LABELS, device, module__factor=factor, **params))
    np.testing.assert_equal(nets[0][1], nets[1][1])
    np.testing.assert_equal(*(weights(net) for net, _ in nets))


def test_the_signed_order_of_the_paper_does_depend_on_units(device):
    """It ranks raw gradients, so what is tested above is not true of any ranking."""
    masks = [
        train(SaliencyGuidedClassifier, X, LABELS, device, mask_order="signed")[1]
        for X in (TABLE, rescaled(TABLE, 0))
    ]
    assert any((a != b).any() for a, b in zip(*masks, strict=True))
