"""Modules that cannot be guided, or do not fit the data, get a documented error."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from tests.estimators.bad_input import (
    ESTIMATORS,
    LABELS,
    TARGETS,
    SizedMLP,
    X,
    assert_names,
    make,
    targets_for,
)


class DetachedMLP(SizedMLP):
    def forward(self, x):
        return super().forward(x.detach())


class ConstantOutput(nn.Module):
    """Its output depends on a parameter, and not on the input."""

    def __init__(self, n_outputs):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def forward(self, x):
        return self.bias.expand(len(x), -1)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_guidance_refuses_integer_input(estimator, device):
    y = targets_for(estimator, own_module=True)
    with pytest.raises(TypeError) as caught:
        make(estimator, device, module=SizedMLP).fit(np.round(X).astype(np.int64), y)
    assert_names(caught, "floating-point", "int64", "astype", "consistency_weight=0")


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("module", [DetachedMLP, ConstantOutput])
def test_guidance_refuses_a_module_without_gradient_path(estimator, module, device):
    y = targets_for(estimator, own_module=True)
    with pytest.raises(TypeError) as caught:
        make(estimator, device, module=module).fit(X, y)
    assert_names(caught, "module", "no gradient path", "differentiable", "consistency_weight=0")


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("module", [DetachedMLP, ConstantOutput])
def test_without_guidance_a_module_may_lack_gradients(estimator, module, device):
    y = targets_for(estimator, own_module=True)
    net = make(estimator, device, module=module, consistency_weight=0).fit(X, y)
    assert len(net.predict(X)) == len(X)
    with pytest.raises(TypeError, match="no gradient path"):
        net.attribute(X)


def test_guidance_asks_which_of_several_inputs_it_masks(device):
    class TwoInputs(SizedMLP):
        def forward(self, a, b):
            return super().forward(a + b)

    net = make(SaliencyGuidedClassifier, device, module=TwoInputs)
    net.set_params(module__n_features=4, module__n_outputs=2)
    with pytest.raises(ValueError) as caught:
        net.fit({"a": X, "b": X}, LABELS)
    assert_names(caught, "guided_input", r"\['a', 'b'\]", "'X'", "consistency_weight=0")


def test_series_with_lengths_are_guided_alone(device):
    class Sums(SizedMLP):
        def forward(self, X, lengths):
            inside = torch.arange(X.shape[1], device=X.device) < lengths[:, None]
            return super().forward((X * inside[:, :, None]).sum(1))

    data = {"X": np.stack([X] * 3, axis=1), "lengths": 1 + np.arange(len(X)) % 3}
    net = make(SaliencyGuidedClassifier, device, module=Sums)
    net.set_params(module__n_features=4, module__n_outputs=2).fit(data, LABELS)
    net.set_params(guided_input=["X"])
    with pytest.raises(ValueError) as caught:
        net.fit(data, LABELS)
    assert_names(caught, "guided_input", "one entry", r"\(\d+, 12\)")
    net.set_params(consistency_weight=0).fit(data, LABELS)
    with pytest.raises(ValueError, match="guided_input must name one entry"):
        net.attribute(data)


BAD_OUTPUTS = {
    "too few classes": (SaliencyGuidedClassifier, "auto", 1, LABELS, "(32, 1)", "(32,)"),
    "logit of two axes": (
        SaliencyGuidedClassifier,
        nn.BCEWithLogitsLoss,
        1,
        LABELS.astype(np.float32),
        "(32, 1)",
        "(32,)",
    ),
    "y of one axis": (SaliencyGuidedRegressor, "auto", 1, TARGETS, "(32, 1)", "(32,)"),
    "outputs too many": (SaliencyGuidedRegressor, "auto", 3, X, "(32, 3)", "(32, 4)"),
    "absolute error": (SaliencyGuidedRegressor, nn.L1Loss, 1, TARGETS, "(32, 1)", "(32,)"),
}


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("name", BAD_OUTPUTS)
def test_output_that_does_not_fit_the_criterion_is_refused_with_both_shapes(name, weight, device):
    estimator, criterion, n_outputs, y, output_shape, y_shape = BAD_OUTPUTS[name]
    net = make(
        estimator,
        device,
        module=nn.Linear,
        module__in_features=4,
        module__out_features=n_outputs,
        criterion=criterion,
        consistency="squared_difference",
        consistency_weight=weight,
    )
    with pytest.raises(ValueError) as caught:
        net.fit(X, y)
    assert_names(caught, "output", "y of shape", re.escape(output_shape), re.escape(y_shape))


def test_named_module_refuses_a_criterion_on_probabilities(device):
    with pytest.raises(ValueError) as caught:
        make(SaliencyGuidedClassifier, device, criterion=nn.NLLLoss).fit(X, LABELS)
    assert_names(caught, "criterion=NLLLoss", "logits", "criterion='auto'")


def test_named_module_is_not_initialized_without_data(device):
    with pytest.raises(ValueError) as caught:
        make(SaliencyGuidedClassifier, device).initialize()
    assert_names(caught, "module='auto'", "fit")
