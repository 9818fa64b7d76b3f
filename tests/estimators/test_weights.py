"""Sample weights: integer weights are repeated rows, samples of weight 0 are absent."""

import functools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from torch.utils.data import TensorDataset

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor

N = 20
RNG = np.random.default_rng(4)
X = (RNG.standard_normal((N, 4)) * [0.5, 1, 2, 1] + [0, 3, 0, -1]).astype(np.float32)
IMAGES = RNG.standard_normal((N, 2, 5, 5)).astype(np.float32)
LABELS = (X[:, 0] + 0.3 * RNG.standard_normal(N) > 0).astype(np.int64) + (X[:, 2] > 1)
WORDS = np.array(["low", "middle", "high"])[LABELS]
TWO = (X[:, 1] > 3).astype(np.int64)
INDICATOR = (X[:, :3] > X[:, :3].mean(0)).astype(np.int64)
SOFT = RNG.dirichlet(np.ones(3), N).astype(np.float32)
NUMBERS = (X[:, :2] @ [[1, 2], [-1, 1]] + 7).astype(np.float32)
WEIGHTS = np.array([0, 1, 2, 3, 1] * (N // 5))
REPEATED = np.repeat(np.arange(N), WEIGHTS)
KEPT = WEIGHTS > 0


class Linear(nn.Module):
    """A linear module with the same values in every net."""

    end = nn.Identity()

    def __init__(self, n_outputs=3, n_features=4):
        super().__init__()
        values = torch.linspace(-1, 1, n_features * n_outputs).reshape(n_outputs, n_features)
        self.weight = nn.Parameter(values.sin())
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def forward(self, X, **others):
        return self.end(nn.functional.linear(X, self.weight, self.bias))


class Softmax(Linear):
    end = nn.Softmax(1)


class Sigmoid(Linear):
    end = nn.Sigmoid()


class Guided(SaliencyGuidedMixin, NeuralNet):
    pass


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


class GuidedBinary(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    pass


class GuidedRegressor(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


def make(cls, **params):
    defaults = {
        "optimizer": torch.optim.SGD,
        "lr": 0.05,
        "max_epochs": 4,
        "batch_size": -1,
        "train_split": None,
        "verbose": 0,
        "random_state": 0,
    }
    return cls(**defaults | params)


CLASSIFIER = functools.partial(make, SaliencyGuidedClassifier)
REGRESSOR = functools.partial(make, SaliencyGuidedRegressor)
CASES = {
    "mlp": (CLASSIFIER(), X, WORDS),
    "mlp, indicator": (CLASSIFIER(), X, INDICATOR),
    "mlp, one logit": (CLASSIFIER(criterion=nn.BCEWithLogitsLoss), X, TWO),
    "mlp, soft labels": (CLASSIFIER(criterion=nn.CrossEntropyLoss), X, SOFT),
    "mlp, regression": (REGRESSOR(), X, NUMBERS[:, 0]),
    "mlp, outputs": (REGRESSOR(), X, NUMBERS),
    "mlp, Adam": (CLASSIFIER(optimizer=torch.optim.Adam, lr=1e-3), X, WORDS),
    "mlp, LBFGS": (CLASSIFIER(optimizer=torch.optim.LBFGS, optimizer__max_iter=5), X, WORDS),
    "mlp, sum": (REGRESSOR(criterion=nn.MSELoss, criterion__reduction="sum", lr=1e-3), X, NUMBERS),
    "cnn": (CLASSIFIER(module__channels=(3,)), IMAGES, LABELS),
    "own, CrossEntropy": (CLASSIFIER(module=Linear), X, LABELS),
    "own, NLL": (CLASSIFIER(module=Softmax, criterion=nn.NLLLoss), X, LABELS),
    "own, BCE": (CLASSIFIER(module=Sigmoid, criterion=nn.BCELoss), X, INDICATOR),
    "own, one logit": (
        CLASSIFIER(module=Linear, criterion=nn.BCEWithLogitsLoss, module__n_outputs=1),
        X,
        TWO,
    ),
    "own, MSE": (REGRESSOR(module=Linear, module__n_outputs=2), X, NUMBERS),
    "own, L1": (
        REGRESSOR(module=Linear, module__n_outputs=2, criterion=nn.L1Loss),
        X,
        NUMBERS,
    ),
    "own, Huber": (
        REGRESSOR(module=Linear, module__n_outputs=2, criterion=nn.HuberLoss),
        X,
        NUMBERS,
    ),
    "skorch": (
        make(Guided, module=Linear, module__n_outputs=2, criterion=nn.MSELoss),
        X,
        NUMBERS,
    ),
    "skorch, classifier": (make(GuidedClassifier, module=Softmax), X, LABELS),
    "skorch, binary": (
        make(GuidedBinary, module=Linear, module__n_outputs=1),
        X,
        TWO.astype(np.float32),
    ),
    "skorch, regressor": (
        make(GuidedRegressor, module=Linear, module__n_outputs=2),
        X,
        NUMBERS,
    ),
}
UNKNOWN = {"own, L1": "squared_difference", "own, Huber": "squared_difference"}


def net_for(name, device, **params):
    net, data, y = CASES[name]
    return net.__class__(**net.get_params(deep=False) | {"device": device} | params), data, y


def outcome(net, data):
    """Everything that a fit leaves behind, numbers only."""
    found = {
        "predictions": net.predict(data),
        "outputs": net.forward(data).numpy(),
        "losses": np.array(net.history[:, ("train_loss", "train_task_loss")]),
    }
    for name in ("classes_", "target_scale_", "feature_importances_"):
        if hasattr(net, name):
            found[name] = getattr(net, name)
    if net._statistics_ is not None:
        found |= vars(net._statistics_)
    return found


def assert_close(found, expected, atol):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(value, expected[name], atol=atol, rtol=0, err_msg=name)
        else:
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


# integer weights


@pytest.mark.parametrize("name", CASES)
def test_without_guidance_integer_weights_are_repeated_rows(name, device):
    net, data, y = net_for(name, device, consistency_weight=0)
    weighted = outcome(net.fit(data, y, sample_weight=WEIGHTS), data)
    repeated = outcome(net.fit(data[REPEATED], y[REPEATED]), data)
    assert_close(weighted, repeated, 1e-5)
    unweighted = outcome(net.fit(data, y), data)
    assert np.abs(unweighted["outputs"] - repeated["outputs"]).max() > 1e-4


@pytest.mark.parametrize("fill", ["constant", "mean"])
@pytest.mark.parametrize("name", [name for name in CASES if "LBFGS" not in name])
def test_with_masks_that_need_no_draw_integer_weights_are_repeated_rows(name, fill, device):
    # the order needs none, and gradients do not tie
    guidance = {"mask_order": "absolute", "mask_fill": fill, "mask_value": 0.7}
    if name in UNKNOWN:
        guidance["consistency"] = UNKNOWN[name]
    net, data, y = net_for(name, device, **guidance, consistency_weight=2.0)
    weighted = outcome(net.fit(data, y, sample_weight=WEIGHTS), data)
    repeated = outcome(net.fit(data[REPEATED], y[REPEATED]), data)
    assert_close(weighted, repeated, 1e-5)
    plain = outcome(net.set_params(consistency_weight=0).fit(data, y, sample_weight=WEIGHTS), data)
    assert np.abs(plain["outputs"] - repeated["outputs"]).max() > 1e-4


class Curved(nn.Sequential):
    """A curved function with the same start in every net, so that only masks are drawn."""

    def __init__(self):
        super().__init__(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(2 * torch.linspace(-7, 8, p.numel()).sin().reshape(p.shape))


MANY = np.random.default_rng(8).standard_normal((200, 4)).astype(np.float32)
MANY_LABELS = ((MANY[:, 0] > 0) ^ (MANY[:, 1] > 1)).astype(np.int64)
HEAVY = MANY[:, 2] > 0.5


def mean_probabilities(rows, fill, device, **fit_params):
    """Mean probability of the heavy and of the light rows after a fit on `rows`, by seed."""
    found = []
    for seed in range(20):
        net = CLASSIFIER(
            module=Curved, mask_fill=fill, consistency_weight=3.0, random_state=seed, device=device
        )
        proba = net.fit(MANY[rows], MANY_LABELS[rows], **fit_params).predict_proba(MANY)[:, 1]
        found.append([proba[HEAVY].mean(), proba[~HEAVY].mean()])
    return np.array(found, dtype=np.float64)


@pytest.mark.parametrize("fill", ["feature_uniform", "marginal"])
def test_with_random_fills_integer_weights_are_repeated_rows_in_expectation(fill, device):
    """Probabilities, means over rows and 20 seeds, differ by less than 3 standard errors.

    Steps are short, so that the expectation of a step is that of the fit.
    """
    weight = np.where(HEAVY, 5, 1)
    everyone = np.arange(len(MANY))
    repeated = mean_probabilities(np.repeat(everyone, weight), fill, device)
    weighted = mean_probabilities(everyone, fill, device, sample_weight=weight) - repeated
    tolerance = 3 * weighted.std(0, ddof=1) / math.sqrt(len(weighted))
    assert (np.abs(weighted.mean(0)) < tolerance).all()
    unweighted = mean_probabilities(everyone, fill, device) - repeated
    assert (np.abs(unweighted.mean(0)) > 2 * tolerance).any(), "the tolerance lets too much pass"


# samples of weight 0


class Rows(torch.utils.data.Dataset):
    """Yields dicts, as a data set of a user's own may."""

    def __init__(self, X, y):
        self.rows = list(zip(X, y, strict=True))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        inputs, target = self.rows[i]
        return {"X": inputs, "length": len(inputs)}, target


class Columns(Linear):
    def forward(self, **columns):
        return super().forward(torch.cat(list(columns.values()), 1))


class OfTuple(Linear):
    def forward(self, inputs):
        return super().forward(inputs[0])


class RecordingFill:
    """Fill that keeps the batches that it sees, and draws."""

    def __init__(self):
        self.batches = []

    def __call__(self, x, generator):
        self.batches.append(x.cpu().numpy().copy())
        return torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=generator)

    def __deepcopy__(self, memo):
        return self


STRANGE = np.where(KEPT[:, None], X, 1e4 * (1 + np.arange(4))).astype(np.float32)
STRANGE_WORDS = np.where(KEPT, WORDS, "weightless")
STRANGE_LABELS = np.where(KEPT, LABELS, 0)
FRAME = pd.DataFrame(STRANGE, columns=list("pqrs"), index=RNG.permutation(N))
OWN = {"module": Linear}
ABSENT = {
    "array": ({}, lambda rows: (STRANGE[rows], STRANGE_WORDS[rows])),
    "frame": ({}, lambda rows: (FRAME[rows], pd.Series(STRANGE_WORDS)[rows])),
    "own, tensor": (
        OWN,
        lambda rows: (torch.tensor(STRANGE[rows]), torch.tensor(STRANGE_LABELS[rows])),
    ),
    "own, words": (OWN, lambda rows: (STRANGE[rows], STRANGE_WORDS[rows])),
    "own, frame": (
        {"module": Columns, "guided_input": ["p", "s"]},
        lambda rows: (FRAME[rows], STRANGE_LABELS[rows]),
    ),
    "own, dict": (
        OWN,
        lambda rows: (
            {"X": STRANGE[rows], "numbers": list(np.flatnonzero(rows))},
            STRANGE_LABELS[rows],
        ),
    ),
    "own, dict of Series": (
        OWN,
        lambda rows: (
            {"X": STRANGE[rows], "numbers": pd.Series(np.flatnonzero(rows))},
            STRANGE_LABELS[rows],
        ),
    ),
    "own, tuple": (
        {"module": OfTuple},
        lambda rows: ((STRANGE[rows], np.flatnonzero(rows)), STRANGE_LABELS[rows]),
    ),
    "own, sparse": (OWN, lambda rows: (sparse.csr_matrix(STRANGE[rows]), STRANGE_LABELS[rows])),
    "own, data set": (OWN, lambda rows: (Rows(STRANGE[rows], STRANGE_LABELS[rows]), None)),
    "own, tensor data set": (
        OWN,
        lambda rows: (
            TensorDataset(torch.tensor(STRANGE[rows]), torch.tensor(STRANGE_LABELS[rows])),
            None,
        ),
    ),
}


def traces(net, fill, data):
    """Everything that samples of weight 0 could have left a trace in."""
    times = ("dur", "batches")
    return {
        "history": [{k: v for k, v in row.items() if k not in times} for row in net.history],
        "batches": net.history[:, "batches"],
        "proba": net.predict_proba(data),
        "parameters": [p.detach().cpu().numpy() for p in net.module_.parameters()],
        "statistics": vars(net._statistics_),
        "filled": fill.batches,
        "classes": getattr(net, "classes_", None),
        "importances": net._importances_,
    }


@pytest.mark.usefixtures("deterministic_cuda")
@pytest.mark.parametrize("name", ABSENT)
def test_samples_of_weight_zero_leave_no_trace(name, device):
    params, take = ABSENT[name]
    everywhere = np.ones(N, dtype=bool)
    found = []
    for rows in (everywhere, KEPT):
        fill = RecordingFill()
        net = CLASSIFIER(
            **params, mask_fill=fill, mask_order="sampled", batch_size=6, device=device
        )
        net.fit(*take(rows), sample_weight=WEIGHTS[rows] / 7)
        found.append(traces(net, fill, take(KEPT)[0]))
    assert len(found[0]["filled"]) == 4 * math.ceil(KEPT.sum() / 6)
    np.testing.assert_equal(*found)


@pytest.mark.usefixtures("deterministic_cuda")
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("module", ["auto", Linear])
def test_targets_of_weight_zero_leave_no_trace(module, outputs, device):
    y = np.where(KEPT[:, None], NUMBERS, 1e6)[:, :outputs].astype(np.float32)
    sized = {} if module == "auto" else {"module__n_outputs": outputs}
    y = y[:, 0] if outputs == 1 and module == "auto" else y
    found = []
    for rows in (np.ones(N, dtype=bool), KEPT):
        net = REGRESSOR(module=module, batch_size=6, device=device, lr=0.01, **sized)
        net.fit(STRANGE[rows], y[rows], sample_weight=WEIGHTS[rows])
        found.append([net.predict(X), net.target_scale_, net.feature_importances_])
    np.testing.assert_equal(*found)
    assert np.isfinite(found[0][0]).all()


def test_statistics_are_weighted(device):
    net = CLASSIFIER(device=device).fit(X, LABELS, sample_weight=WEIGHTS * 0.37)
    kept, weight = X[KEPT].astype(np.float64), WEIGHTS[KEPT]
    mean = np.average(kept, axis=0, weights=weight)
    sd = np.sqrt(np.average((kept - mean) ** 2, axis=0, weights=weight))
    np.testing.assert_allclose(net._statistics_.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(net._statistics_.scale, sd, rtol=1e-12)
    np.testing.assert_array_equal(net._statistics_.minimum, kept.min(0))
    np.testing.assert_array_equal(net._statistics_.maximum, kept.max(0))


# scale


@pytest.mark.parametrize("scale", [3, 1e-60, 1e60])
@pytest.mark.parametrize("name", ["mlp", "mlp, outputs", "own, BCE", "skorch, binary"])
def test_the_scale_of_weights_does_not_matter(name, scale, device):
    weight = np.random.default_rng(0).uniform(0.1, 2, N)
    net, data, y = net_for(name, device, batch_size=6)
    one = outcome(net.fit(data, y, sample_weight=weight), data)
    other = outcome(net.fit(data, y, sample_weight=weight * scale), data)
    assert_close(other, one, 2e-6)
    assert one["losses"].min() > 1e-4


def test_weights_of_one_are_no_weights(device):
    for name in CASES:
        net, data, y = net_for(name, device, batch_size=6)
        if name in UNKNOWN:
            net.set_params(consistency=UNKNOWN[name])
        plain = outcome(net.fit(data, y), data)
        assert_close(outcome(net.fit(data, y, sample_weight=np.ones(N)), data), plain, 2e-5)
