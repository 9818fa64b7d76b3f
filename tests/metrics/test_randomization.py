"""parameter_randomization against a loop with scipy, and on trained networks."""

import copy

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.metrics import parameter_randomization


class Odd(nn.Module):
    """Layers registered in another order than they run in, one without `reset_parameters`."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.last = nn.Linear(12, 3)
        self.norm = nn.BatchNorm1d(12)
        self.first = nn.Linear(8, 12)
        self.scale = nn.ParameterList([nn.Parameter(torch.linspace(0.5, 2, 12))])

    def forward(self, X):
        hidden = self.norm(self.first(X).tanh()) * self.scale[0]
        return self.last(hidden)


class NoOptimizer:
    """Those of torch refuse a module without parameters."""

    def __init__(self, parameters, **options):
        self.param_groups = []


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(150, 8, n_informative=3, shuffle=False, random_state=0)
    return X.astype(np.float32), y.astype(np.int64)


@pytest.fixture(scope="module")
def odd(data):
    torch.manual_seed(0)
    options = {"criterion": nn.CrossEntropyLoss, "train_split": None, "verbose": 0}
    return NeuralNetClassifier(Odd, lr=0.3, max_epochs=5, **options).fit(*data)


def gradients(module, X, labels):
    x = torch.from_numpy(X).requires_grad_(True)
    module.eval()
    module(x)[np.arange(len(X)), labels].sum().backward()
    return x.grad.numpy() * X.std(axis=0)


@pytest.mark.parametrize("signed", [False, True])
def test_equals_a_loop_with_scipy(odd, data, signed):
    X, _ = data
    X = X[:20]
    labels = odd.predict(X)
    expected = []
    before = gradients(copy.deepcopy(odd.module_), X, labels)
    # as numpy's generator of the metric draws them
    for seed in np.random.RandomState(3).randint(2**31 - 1, size=3).tolist()[:2]:
        torch.manual_seed(seed)
        module, of_draw = copy.deepcopy(odd.module_), []
        for layer in ("last", "norm", "scale", "first"):
            part = getattr(module, layer)
            if layer == "scale":
                part[0].data = part[0].data[torch.randperm(12)]
            else:
                part.reset_parameters()
            after = gradients(module, X, labels)
            pairs = zip(before, after, strict=True)
            if not signed:
                pairs = ((np.abs(a), np.abs(b)) for a, b in pairs)
            of_draw.append(np.mean([spearmanr(a, b).statistic for a, b in pairs]))
        expected.append(of_draw)
    result = parameter_randomization(odd, X, signed=signed, n_draws=2, random_state=3)
    assert result.layers == ["last", "norm", "scale", "first"]
    assert result.correlations == pytest.approx(np.mean(expected, axis=0), abs=1e-6)
    assert result.sd == pytest.approx(np.std(expected, axis=0), abs=1e-6)


class Lazy(nn.Module):
    """Its `reset_parameters` forgets the weights, as under a weight norm."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(16.0).reshape(2, 8) ** 2)
        self.bias = nn.Parameter(torch.ones(2))

    def reset_parameters(self):
        nn.init.zeros_(self.bias)

    def forward(self, X):
        return X @ self.weight.T + self.bias


def test_weights_that_a_reset_leaves_are_permuted(data):
    X, _ = data
    net = NeuralNetClassifier(Lazy, criterion=nn.CrossEntropyLoss, verbose=0).initialize()
    assert net.predict(X).max() == 1
    seen = []

    def method(net, X):
        seen.append((net.module_.weight.detach().clone(), net.module_.bias.detach().clone()))
        return X

    parameter_randomization(net, X, method=method, n_draws=1, random_state=0)
    (before, _), (after, bias) = seen
    assert (bias == 0).all()
    assert not torch.equal(after, before)
    assert torch.equal(after.flatten().sort().values, before.flatten().sort().values)


def test_network_and_generators_are_left_as_they_are(odd, data):
    X, _ = data
    before = {name: value.clone() for name, value in odd.module_.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    value = parameter_randomization(odd, X, n_draws=1, random_state=0).correlations
    for name, parameter in odd.module_.state_dict().items():
        assert torch.equal(parameter, before[name]), name
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert not any(module._forward_pre_hooks for module in odd.module_.modules())
    again = parameter_randomization(odd, X, n_draws=1, random_state=np.random.RandomState(0))
    assert (again.correlations == value).all()
    other = parameter_randomization(odd, X, n_draws=1).correlations
    assert (other != value).all()


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients"])
def test_falls_on_a_trained_network_and_not_for_a_method_that_ignores_it(data, device, method):
    X, y = data
    net = SaliencyGuidedClassifier(max_epochs=15, device=device, random_state=0)
    pipeline = make_pipeline(StandardScaler(), net).fit(X, y)
    result = parameter_randomization(pipeline, X, method=method, random_state=0)
    assert len(result.layers) >= 2
    assert result.correlations[-1] < 0.4
    assert result.correlations[-1] < result.correlations[0] < 0.95
    ignoring = parameter_randomization(
        pipeline, X, method=lambda net, X: np.cumsum(X, axis=1), random_state=0
    )
    np.testing.assert_allclose(ignoring.correlations, 1, atol=1e-12)
    # ties only, which no randomisation breaks
    constant = parameter_randomization(pipeline, X, method=lambda net, X: np.ones_like(X))
    assert (constant.correlations == 1).all()


def test_target_stays_that_of_the_trained_network(odd, data):
    X, _ = data
    options = {"n_draws": 1, "random_state": 0}
    predicted = parameter_randomization(odd, X, **options).correlations
    labels = odd.predict(X)
    assert (
        parameter_randomization(odd, X, target=labels, **options).correlations == predicted
    ).all()
    assert (parameter_randomization(odd, X, target=0, **options).correlations != predicted).any()


def test_regressor(data):
    X, y = data
    net = NeuralNetRegressor(nn.Linear, module__in_features=8, module__out_features=1, verbose=0)
    net.set_params(train_split=None, max_epochs=1).fit(X, y[:, None].astype(np.float32))
    result = parameter_randomization(net, X, random_state=0)
    assert result.layers == ["module"]
    assert -1 <= result.correlations[0] < 0.9


def test_padding_is_left_out():
    rng = np.random.default_rng(0)
    y = np.arange(20) % 2
    series = [rng.normal(size=(3 + i % 3, 2)) + y[i] for i in range(20)]
    net = SaliencyGuidedClassifier(max_epochs=1, random_state=0).fit(series, y)
    padded = np.full((20, 9, 2), np.nan, dtype=np.float32)
    for row, x in zip(padded, series, strict=True):
        row[: len(x)] = x
    first, second = (
        parameter_randomization(net, X, n_draws=1, random_state=0) for X in (series, padded)
    )
    assert first.correlations == pytest.approx(second.correlations, abs=1e-5)
    # of a method that is the same but for padding

    def method(net, X):
        return np.where(np.isnan(X), rng.normal(size=X.shape), X)

    same = parameter_randomization(net, padded, method=method, n_draws=1).correlations
    np.testing.assert_allclose(same, 1, atol=1e-12)


@pytest.mark.parametrize("module", ["text_cnn", "text_lstm"])
def test_tokens(module):
    tokens = np.random.default_rng(0).integers(1, 20, (16, 6))
    tokens[::2, 4:] = 0
    net = SaliencyGuidedClassifier(module, max_epochs=1, random_state=0)
    net.fit(tokens, np.arange(16) % 2)
    result = parameter_randomization(net, tokens, n_draws=1, random_state=0)
    assert "embedding" in result.layers[-1]
    assert (result.correlations < 1).all()


def test_bad_input(odd, data):
    X, y = data
    with pytest.raises(TypeError, match=r"must be a fitted skorch net, .* got LogisticRegression"):
        parameter_randomization(LogisticRegression().fit(X, y), X)
    with pytest.raises(NotFittedError):
        parameter_randomization(SaliencyGuidedClassifier(), X)
    with pytest.raises(ValueError, match="attributions must have the shape of X"):
        parameter_randomization(odd, X, method=lambda net, X: X[:, :2])
    with pytest.raises(ValueError, match="method must be"):
        parameter_randomization(odd, X, method="beauty")
    with pytest.raises(TypeError, match="signed must be True or False, got 'no'"):
        parameter_randomization(odd, X, signed="no")
    with pytest.raises(ValueError, match="n_draws must be"):
        parameter_randomization(odd, X, n_draws=0)
    options = {"criterion": nn.CrossEntropyLoss, "optimizer": NoOptimizer}
    empty = NeuralNetClassifier(nn.Identity, **options).initialize()
    with pytest.raises(ValueError, match="module with parameters"):
        parameter_randomization(empty, X[:, :2])
