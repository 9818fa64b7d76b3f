"""Nets of every kind, and what `attribute` has to differentiate, written a second time."""

import copy
import functools

import numpy as np
import pytest
import torch
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.modules import MLP

RNG = np.random.default_rng(0)
N = 30
TABLE = (RNG.standard_normal((N, 4)) * [1, 5, 0.1, 2] + [0, 3, 0, -1]).astype(np.float32)
IMAGES = (RNG.standard_normal((N, 2, 5, 6)) + 0.5).astype(np.float32)
CODES = np.digitize(TABLE[:, 0] + TABLE[:, 3] / 2, [-1.0, 0.0])
LABELS = np.array(["a", "b", "c"])[CODES]
TARGETS = 100 * (TABLE[:, 0] + np.sin(TABLE[:, 3])) + 1000
METHODS = (
    "saliency",
    "input_x_gradient",
    "integrated_gradients",
    "path_gradient",
    "smooth_grad",
)
GRADIENTS = ("saliency", "path_gradient", "smooth_grad")
OUTPUTS = ("logit", "log_proba", "margin")


class GuidedNet(SaliencyGuidedMixin, NeuralNet):
    pass


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


class GuidedBinary(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    pass


class GuidedRegressor(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


def categorical(z, j, output):
    values = {
        "logit": z,
        "log_proba": z.log_softmax(1),
        "margin": z - z.mean(1, keepdim=True),
    }[output]
    return values.gather(1, j[:, None])[:, 0]


def one_logit(z, j, output):
    signed = torch.where(j > 0, z.flatten(), -z.flatten())
    return nn.functional.logsigmoid(signed) if output == "log_proba" else signed


def several_logits(z, j, output):
    picked = z.gather(1, j[:, None])[:, 0]
    return nn.functional.logsigmoid(picked) if output == "log_proba" else picked


def regression(z, j, output):
    return z.gather(1, j[:, None])[:, 0]


class Kind:
    """A net, its data, and what `attribute` has to differentiate, written a second time."""

    def __init__(self, cls, X, y, scalar, n_outputs, logits=lambda z: z, labels=None, **params):
        self.cls, self.X, self.y = cls, X, y
        self.scalar, self.n_outputs, self.logits = scalar, n_outputs, logits
        self.labels = np.arange(n_outputs) if labels is None else np.asarray(labels)
        self.params = params

    def fit(self, device, **changes):
        defaults = {"max_epochs": 3, "device": device, "random_state": 0}
        if not issubclass(self.cls, (SaliencyGuidedClassifier, SaliencyGuidedRegressor)):
            defaults |= {"train_split": None, "verbose": 0, "optimizer": torch.optim.Adam}
        params = {k: copy.deepcopy(v) for k, v in self.params.items()}
        return self.cls(**defaults | params | changes).fit(self.X, self.y)

    def units(self, net):
        """Factor from the module's outputs to y, one an output."""
        named = isinstance(net, SaliencyGuidedRegressor) and isinstance(net.module, str)
        return net.target_scale_ if named else np.ones(self.n_outputs)


def own(module):
    return {"module": module}


SOFTMAX = nn.Sequential(MLP(4, 3, (6,), activation="tanh"), nn.Softmax(dim=1))
KINDS = {
    "classifier": Kind(
        SaliencyGuidedClassifier, TABLE, LABELS, categorical, 3, labels=["a", "b", "c"]
    ),
    "booleans": Kind(
        SaliencyGuidedClassifier, TABLE, CODES > 0, categorical, 2, labels=[False, True]
    ),
    "batch norm": Kind(
        SaliencyGuidedClassifier,
        TABLE,
        CODES,
        categorical,
        3,
        module__normalization="batch",
        module__dropout=0.3,
    ),
    "images": Kind(
        SaliencyGuidedClassifier,
        IMAGES,
        LABELS,
        categorical,
        3,
        labels=["a", "b", "c"],
        module__activation="softplus",
    ),
    "regressor": Kind(SaliencyGuidedRegressor, TABLE, TARGETS, regression, 1),
    "two targets": Kind(
        SaliencyGuidedRegressor, TABLE, np.column_stack([TARGETS, CODES]), regression, 2
    ),
    "own regressor": Kind(
        SaliencyGuidedRegressor,
        TABLE,
        TARGETS.reshape(-1, 1).astype(np.float32) / 100,
        regression,
        1,
        **own(MLP(4, 1)),
    ),
    "double precision": Kind(
        SaliencyGuidedClassifier, TABLE, CODES, categorical, 3, **own(MLP(4, 3).double())
    ),
    "softmax": Kind(
        GuidedClassifier,
        TABLE,
        CODES,
        categorical,
        3,
        logits=lambda p: torch.log(p + torch.finfo(p.dtype).eps),
        **own(SOFTMAX),
    ),
    "one logit": Kind(
        GuidedBinary, TABLE, (CODES > 0).astype(np.float32), one_logit, 2, **own(MLP(4, 1))
    ),
    "several logits": Kind(
        GuidedNet,
        TABLE,
        (TABLE[:, :3] > 0).astype(np.float32),
        several_logits,
        3,
        criterion=nn.BCEWithLogitsLoss,
        **own(MLP(4, 3)),
    ),
    "mixin regressor": Kind(
        GuidedRegressor, TABLE, TABLE[:, :1] * 2, regression, 1, **own(MLP(4, 1))
    ),
}


@functools.cache
def fitted(name, device):
    """A kind and its net, which tests may look at and must not train."""
    torch.manual_seed(0)
    return KINDS[name], KINDS[name].fit(device)


def tensor_of(net, X):
    """Move data to a net, in the precision of its parameters."""
    return torch.as_tensor(X).to(next(net.module_.parameters()))


def explained(kind, net, output, target="predicted"):
    """Scalar function that `attribute` explains: (x, j) -> (n,), and the indices j."""
    module = net.module_.eval()
    x = tensor_of(net, kind.X)
    with torch.no_grad():
        z = kind.logits(module(x))
    if isinstance(target, str) and target == "predicted":
        if kind.scalar is one_logit:
            j = (z.flatten() > 0).long()
        elif kind.scalar is categorical:
            j = z.argmax(1)
        else:
            j = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    else:
        j = torch.as_tensor(np.broadcast_to(target, len(x)).copy(), device=x.device)
    return (lambda data, index: kind.scalar(kind.logits(module(data)), index, output)), j


def autograd(function, x, j):
    x = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(x, j).sum(), x)
    return gradient.cpu().numpy()


def close(values, expected, tolerance=2e-5):
    """Compare relative to the largest value of each feature."""
    scale = np.abs(expected).max(0, keepdims=True)
    error = np.abs(np.asarray(values, dtype=np.float64) - expected) / np.maximum(scale, 1e-9)
    assert error.max() <= tolerance


ALL = pytest.mark.parametrize("name", KINDS)
