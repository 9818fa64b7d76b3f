"""Modules that are converted after they were built: inputs follow them."""

import copy

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin
from tests.estimators.by_hand import SETTINGS, X, Y, assert_same_state, make_estimator, make_net


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


def converts(cls):
    class Converts(cls):
        def initialize_module(self):
            super().initialize_module()
            self.module_ = self.module_.double()
            return self

    return Converts


def brings(cls):
    class Brings(cls):
        def initialize_module(self):
            self.module_ = copy.deepcopy(self.module).double()
            return self

    return Brings


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("override", [converts, brings])
@pytest.mark.parametrize("base", [GuidedClassifier, SaliencyGuidedClassifier])
def test_a_module_that_initialize_module_converts(base, override, setting, device):
    setting = SETTINGS[setting]
    net = make_estimator(make_net().float(), setting, device, override(base)).fit(X, Y)
    # the values of the parameters went through single precision, here too
    expected = make_estimator(make_net().float().double(), setting, device, base).fit(X, Y)
    assert_same_state(net.module_, expected.module_)
    np.testing.assert_array_equal(net.predict_proba(X), expected.predict_proba(X))
    np.testing.assert_array_equal(net.attribute(X), expected.attribute(X))


@pytest.mark.parametrize("base", [GuidedClassifier, SaliencyGuidedClassifier])
def test_a_module_that_the_user_converts(base, device):
    net = make_estimator(make_net().float(), SETTINGS["fixed"], device, base).initialize()
    net.module_.double()
    net.partial_fit(X, Y)
    expected = make_estimator(make_net().float().double(), SETTINGS["fixed"], device, base)
    assert_same_state(net.module_, expected.fit(X, Y).module_)

    double = net.predict_proba(X)
    net.module_.float()
    single = net.predict_proba(X)
    assert (double.dtype, single.dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(single, double, atol=1e-6)
    assert net.attribute(X).dtype == np.float32


def test_a_default_network_that_is_converted(device):
    # Adam would keep its averages in single precision
    net = SaliencyGuidedClassifier(
        optimizer=torch.optim.SGD, max_epochs=1, device=device, random_state=0
    ).fit(X, Y)
    single = net.predict_proba(X)
    net.module_.double()
    np.testing.assert_allclose(net.predict_proba(X), single, atol=1e-5)
    assert net.attribute(X).dtype == np.float64
    net.partial_fit(X, Y)
    assert next(net.module_.parameters()).dtype == torch.float64
    assert np.isfinite(net.history[-1, "train_loss"])
