"""Checks that only ask a net share one, and none sees what another did to it."""

import numpy as np
import pytest
import torch

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.testing import _case, guided_checks
from sgt_sklearn.testing._case import Case, weights

ASKING = (
    "check_bad_input",
    "check_pickle",
    "check_history",
    "check_predictions",
    "check_probabilities",
    "check_batch_size",
    "check_attribute",
    "check_gradient",
)


def make_case():
    estimator = SaliencyGuidedClassifier(module__normalization="batch", device="cpu")
    return Case(estimator, None, None, "tabular")


def modes_of(net):
    return [part.training for part in net.module_.modules()]


def test_checks_that_only_ask_train_one_net(monkeypatch):
    nets = []

    class Counted(_case._Fitted):
        def __init__(self, estimator):
            nets.append(estimator)
            super().__init__(estimator)

    monkeypatch.setattr(_case, "_Fitted", Counted)
    checks = {c.__name__: c for c in guided_checks(SaliencyGuidedClassifier(device="cpu"))}
    for name in ASKING:
        checks[name]()
    assert len(nets) == 1


def test_a_net_that_was_asked_is_as_its_fit_left_it():
    case = make_case()
    net = case.fitted()
    modes, values = modes_of(net), weights(net)
    net.predict(case.X), net.attribute(case.X)
    assert modes_of(net) != modes
    assert case.fitted() is net
    assert modes_of(net) == modes
    np.testing.assert_equal(weights(net), values)
    np.testing.assert_equal(weights(case.fit()), values)


@torch.no_grad()
def add_to_a_weight(net, case):
    next(net.module_.parameters())[0, 0] += 1e-7


def go_on_with_statistics(net, case):
    net.module_.train()
    net.infer(torch.as_tensor(case.X))


def train_further(net, case):
    net.partial_fit(case.X, case.y)


def lose_an_epoch(net, case):
    del net.history[-1]


def write_into_an_attribute(net, case):
    net.classes_[0] = 7


def set_a_parameter(net, case):
    net.set_params(batch_size=3)


def add_an_attribute(net, case):
    net.calls_ = 1


def lose_an_attribute(net, case):
    del net.optimizer_


CHANGES = [
    add_to_a_weight,
    go_on_with_statistics,
    train_further,
    lose_an_epoch,
    write_into_an_attribute,
    set_a_parameter,
    add_an_attribute,
    lose_an_attribute,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_net_that_was_changed_is_not_shared(change):
    case = make_case()
    net = case.fitted()
    change(net, case)
    other = case.fitted()
    assert other is not net
    np.testing.assert_equal(weights(other), weights(case.fit()))
    assert case.fitted() is other


class ForgetsOnceAsked(SaliencyGuidedClassifier):
    """Its first explanation ruins the net."""

    def attribute(self, X, **kwargs):
        values = super().attribute(X, **kwargs)
        with torch.no_grad():
            for parameter in self.module_.parameters():
                parameter.zero_()
        return values


def test_a_check_after_one_that_ruined_the_net_says_what_it_says_alone():
    said = []
    for names in (["check_attribute"], ["check_gradient", "check_attribute"]):
        checks = {c.__name__: c for c in guided_checks(ForgetsOnceAsked(device="cpu"))}
        for name in names[:-1]:
            checks[name]()
        with pytest.raises(AssertionError, match="check_attribute of Forgets") as caught:
            checks[names[-1]]()
        said.append(str(caught.value))
    assert said[0] == said[1]
