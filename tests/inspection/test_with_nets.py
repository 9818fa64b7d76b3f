"""Temporal saliency rescaling of this package's own nets, against loops over single cells."""

import numpy as np
import pytest
import torch
from skorch import NeuralNet
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.inspection import temporal_saliency_rescaling
from tests.inspection.slow_rescaling import slow_rescaling

N, T, F = 12, 6, 3
X = np.random.default_rng(0).standard_normal((N, T, F)) + 0.5
LENGTHS = np.array([6, 3, 5, 1, 6, 2, 4, 6, 3, 2, 6, 5])
RAGGED = [x[:length] for x, length in zip(X, LENGTHS, strict=True)]
FEW = [0, 1, 4]
MODULES = ("tcn", "gru", "lstm", "input_cell_attention", "transformer")
METHODS = ("saliency", "input_x_gradient", "integrated_gradients", "path_gradient")


class Smooth(nn.Module):
    """Float64, so that sums compare to their last digits."""

    def __init__(self, n_outputs):
        super().__init__()
        torch.manual_seed(n_outputs)
        self.steps = nn.LSTM(F, 5, batch_first=True, dtype=torch.float64)
        self.out = nn.Linear(5, n_outputs, dtype=torch.float64)

    def forward(self, X):
        return self.out(self.steps(X)[0].amax(1))


def own(n_outputs):
    return {"module": Smooth, "module__n_outputs": n_outputs}


class Net(SaliencyGuidedMixin, NeuralNet):
    pass


CODES = np.arange(N) % 3
KINDS = {
    "classes": (SaliencyGuidedClassifier, own(3), np.array(["a", "b", "c"])[CODES]),
    "one logit": (
        SaliencyGuidedClassifier,
        own(1) | {"criterion": nn.BCEWithLogitsLoss},
        np.array([-1, 1])[CODES % 2],
    ),
    "labels": (
        SaliencyGuidedClassifier,
        own(2) | {"criterion": nn.BCEWithLogitsLoss},
        np.stack([CODES % 2, CODES // 2], axis=1).astype(np.float64),
    ),
    "regression": (SaliencyGuidedRegressor, own(1), X.sum(axis=(1, 2))[:, None]),
    "regression of two": (SaliencyGuidedRegressor, own(2), X[:, -1, :2]),
}


def fitted(kind, device="cpu"):
    cls, params, y = KINDS[kind]
    net = cls(**params, max_epochs=2, random_state=0, device=device)
    return net.fit(X, y.astype(np.float64) if "regression" in kind else y)


def slow(series, attribute, baseline, quantile=0.55):
    """`attribute` explains (an array of one series, its position)."""
    return [
        np.array(
            slow_rescaling(
                lambda values, i=i: attribute(np.array(values)[None], i)[0].tolist(),
                x.tolist(),
                np.broadcast_to(baseline, x.shape).tolist(),
                quantile,
            )
        )
        for i, x in enumerate(series)
    ]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["classes", "regression"])
def test_methods(kind, method, device):
    net = fitted(kind, device)
    mean = X.mean(axis=(0, 1))
    target = net.predict(X[:3]) if kind == "classes" else ["predicted"] * 3
    expected = slow(
        X[:3], lambda x, i: net.attribute(x, method=method, target=target[i]), baseline=mean
    )
    values = temporal_saliency_rescaling(net, X[:3], method=method)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("output", ["logit", "log_proba", "margin"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_predicted_output_of_each_kind(kind, output):
    net = fitted(kind)
    if kind == "labels" and output == "log_proba":
        with pytest.raises(ValueError, match=r"output must be one of .* got 'log_proba'"):
            temporal_saliency_rescaling(net, X[:3], output=output)
        return

    def attribute(x, i):
        if "regression" in kind:
            return net.attribute(x)
        prediction = net.predict(X[i : i + 1])[0]
        if kind != "labels":
            return net.attribute(x, target=prediction, output=output)
        each = net.attribute(x, target="all", output=output)
        return sum((1 if on else -1) * each[:, j] for j, on in enumerate(prediction))

    values = temporal_saliency_rescaling(net, X[:3], output=output)
    expected = slow(X[:3], attribute, baseline=X.mean(axis=(0, 1)))
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)
    if kind == "labels":
        # the attribution of the series itself is that of the plain call
        np.testing.assert_allclose(attribute(X[:1], 0), net.attribute(X[:1]), atol=1e-12)


def test_options_of_attribute():
    net = fitted("classes")
    label = net.predict(X[:1])
    options = {"n_steps": 3, "standardized": True}

    def attribute(x, i):
        return net.attribute(x, method="path_gradient", target=label, baseline=0.5, **options)

    values = temporal_saliency_rescaling(
        net, X[:1], method="path_gradient", baseline=0.5, **options
    )
    np.testing.assert_allclose(values, slow(X[:1], attribute, 0.5), rtol=0, atol=1e-6)
    for change in ({"n_steps": 20}, {"standardized": False}, {"baseline": None}):
        changed = {"baseline": 0.5, **options, **change}
        other = temporal_saliency_rescaling(net, X[:1], method="path_gradient", **changed)
        assert np.abs(other - values).max() > 1e-4


def test_nets_without_labels_need_a_target():
    net = Net(Smooth, module__n_outputs=3, criterion=nn.CrossEntropyLoss, train_split=None)
    net.set_params(verbose=0, max_epochs=1, iterator_train__shuffle=False).fit(X, CODES)
    with pytest.raises(ValueError, match=r"target must be a label .* Net"):
        temporal_saliency_rescaling(net, X)
    values = temporal_saliency_rescaling(net, X[:2], target=[2, 0], baseline=0.0)
    expected = slow(X[:2], lambda x, i: net.attribute(x, target=[2, 0][i]), 0.0)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


def test_noise_is_drawn_anew_but_reproducibly():
    net = fitted("classes")
    options = {"method": "smooth_grad", "n_samples": 3, "random_state": 0}
    values = temporal_saliency_rescaling(net, X[:2], **options)
    assert (values == temporal_saliency_rescaling(net, X[:2], **options)).all()
    assert values.min() >= 0 and values.max() <= 1


@pytest.mark.parametrize("form", ["equal", "list", "dict"])
@pytest.mark.parametrize("module", MODULES)
def test_named_modules(module, form, device):
    net = SaliencyGuidedClassifier(module, max_epochs=2, random_state=0, device=device)
    net.fit(X if form == "equal" else RAGGED, CODES)
    # parameters in float64, for sums that compare to their last digits
    for part in (net.module_, *net.module_.modules()):
        part.double()
    series = [(X if form == "equal" else RAGGED)[i] for i in FEW]
    given = series
    if form == "equal":
        given = np.array(series)
    elif form == "dict":
        padded = np.full((len(FEW), T, F), 1e6)
        for row, x in zip(padded, series, strict=True):
            row[: len(x)] = x
        given = {"X": padded, "lengths": LENGTHS[FEW]}
    labels = net.predict(given)
    mean = np.concatenate(list(X) if form == "equal" else RAGGED).mean(axis=0)
    expected = slow(series, lambda x, i: net.attribute(x, target=labels[i]), mean)
    values = temporal_saliency_rescaling(net, given)
    for value, one in zip(values, expected, strict=True):
        np.testing.assert_allclose(value[: len(one)], one, rtol=0, atol=1e-6)
        assert np.isnan(value[len(one) :]).all()
        assert len(value) == (len(one) if form == "list" else T)
        assert value[: len(one)].max() > 0
