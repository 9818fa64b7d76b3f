"""Tables for tests of bad input, and what it must leave as it was."""

import copy
import re

import numpy as np
import torch
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.modules import MLP

ESTIMATORS = [SaliencyGuidedClassifier, SaliencyGuidedRegressor]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 4)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(np.int64)
TARGETS = X[:, 0] - X[:, 1]


class SizedMLP(MLP):
    """A user's own module, sized from the data."""

    def __init__(self, n_features, n_outputs):
        super().__init__(n_features, n_outputs, hidden=(8,))


def make(estimator, device="cpu", **params):
    return estimator(**({"max_epochs": 2, "random_state": 0, "device": device} | params))


def targets_for(estimator, own_module=False):
    if issubclass(estimator, SaliencyGuidedRegressor):
        return TARGETS.reshape(-1, 1) if own_module else TARGETS
    return LABELS


def changed(value, row=3):
    data = X.astype(np.result_type(X, value))
    data[row, 1] = value
    return data


def assert_names(error, *fragments):
    for fragment in fragments:
        assert re.search(fragment, str(error.value)), f"{fragment!r} is not in: {error.value}"


def callbacks_of(net):
    named = list(getattr(net, "callbacks_", None) or ())
    return [callback for _, callback in named] + list(net.callbacks or ())


def tensors_of(net):
    modules = {name: getattr(net, name, None) for name in ("module", "module_", "criterion_")}
    return {
        f"{name}.{key}": tensor.detach().clone()
        for name, module in modules.items()
        if isinstance(module, nn.Module)
        for key, tensor in [*module.named_parameters(), *module.named_buffers()]
    }


def photograph(net):
    """Everything that a failed fit must give back, by value where training writes in place."""
    module = net.module if isinstance(net.module, nn.Module) else getattr(net, "module_", None)
    optimizer = getattr(net, "optimizer_", None)
    predictions = net.predict(X) if net.initialized_ else None
    return {
        "predictions": predictions,
        "attributes": dict(vars(net)),
        "history": copy.deepcopy(list(net.history_ or ())),
        "tensors": tensors_of(net),
        "modes": [m.training for m in module.modules()] if module is not None else [],
        "optimizer": copy.deepcopy(optimizer.state_dict()) if optimizer is not None else {},
        "callbacks": [dict(vars(callback)) for callback in callbacks_of(net)],
        "random_state": copy.deepcopy(net.random_state),
    }


def assert_same(before, after):
    """Compare nested containers of tensors, arrays and objects bitwise."""
    assert type(before) is type(after)
    if isinstance(before, dict):
        assert before.keys() == after.keys()
        for key in before:
            assert_same(before[key], after[key])
    elif isinstance(before, (list, tuple)):
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            assert_same(one, other)
    elif isinstance(before, torch.Tensor):
        assert torch.equal(before, after)
    elif isinstance(before, np.ndarray):
        np.testing.assert_array_equal(before, after)
    elif isinstance(before, np.random.RandomState):
        assert_same(before.get_state(), after.get_state())
    else:
        assert before is after or before == after


def assert_unchanged(before, net):
    after = photograph(net)
    attributes = before.pop("attributes"), after.pop("attributes")
    assert attributes[0].keys() == attributes[1].keys()
    for name, value in attributes[0].items():
        assert value is attributes[1][name], name
    for name in before:
        try:
            assert_same(before[name], after[name])
        except AssertionError as error:
            raise AssertionError(f"{name} changed") from error
