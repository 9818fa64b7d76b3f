"""Metrics with a seed leave the global generators as they are."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import VotingClassifier
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from sgt_sklearn.metrics import (
    comprehensiveness_gap,
    get_interpretability_scorer_names,
    make_interpretability_scorer,
    masking_consistency,
    removal_curve,
    sufficiency_gap,
)


class Noisy(nn.Module):
    """A module that draws whenever it is used."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, X):
        return self.layer(X) + torch.randn(len(X), 2)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 4)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int64)


def plain_net(module, **options):
    torch.manual_seed(0)
    options = {"max_epochs": 2, "batch_size": 10, "train_split": None, "verbose": 0} | options
    return NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, **options)


def states():
    return torch.get_rng_state(), np.random.get_state()[1:3]  # noqa: NPY002


def same(a, b):
    return torch.equal(a[0], b[0]) and all(
        np.array_equal(x, y) for x, y in zip(a[1], b[1], strict=True)
    )


METRICS = [masking_consistency, removal_curve] + [
    make_interpretability_scorer(name, **({"relevance": np.arange(4) < 1} if masked else {}))
    for masked in (False, True)
    for name in get_interpretability_scorer_names(relevance=masked)
]


@pytest.mark.parametrize("metric", METRICS)
def test_global_generators_stay(data, metric):
    X, y = data
    net = plain_net(nn.Sequential(nn.Linear(4, 2)))
    voting = VotingClassifier([("a", net)], voting="soft")
    for estimator in (net.fit(X, y), voting.fit(X, y)):
        before = states()
        options = {} if metric not in METRICS[:2] else {"random_state": 0}
        metric(estimator, X, y, **options)
        assert same(states(), before)
        if options:
            metric(estimator, X, y, random_state=np.random.RandomState(0))
            assert same(states(), before)


def test_a_metric_in_a_callback_leaves_the_training_alone(data):
    class Measure(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("consistency", masking_consistency(net, data[0], random_state=0))

    def trained(*callbacks):
        torch.manual_seed(1)
        module = nn.Linear(4, 2)
        net = plain_net(module, callbacks=list(callbacks), iterator_train__shuffle=True)
        return net.fit(*data).predict_proba(data[0])

    assert np.array_equal(trained(Measure()), trained())


@pytest.mark.parametrize("metric", [comprehensiveness_gap, sufficiency_gap, masking_consistency])
def test_an_int_repeats_a_module_that_draws(data, metric):
    X, y = data
    net = plain_net(Noisy).fit(X, y)
    first = metric(net, X, random_state=0)
    torch.rand(3)
    assert metric(net, X, random_state=0) == first
    assert metric(net, X, random_state=1) != first
