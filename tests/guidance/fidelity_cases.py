"""Small float64 problems, and the design of settings that the fidelity tests run through."""

import dataclasses

import numpy as np
import torch
from torch import nn

from sgt_sklearn.modules import CNN, MLP
from tests.guidance.slow_loop import Setting

N_SAMPLES, N_OUTPUTS, LR, SEED = 17, 3, 0.2, 5
# three steps, the last one on a smaller batch
BATCHES = [slice(0, 6), slice(6, 12), slice(12, 17)]
SHAPES = {"table": (6,), "series": (5, 3), "image": (3, 4, 5)}
TASKS = {"classes": "categorical", "indicators": "bernoulli", "targets": "gaussian"}
CRITERIA = {
    "classes": nn.CrossEntropyLoss,
    "indicators": nn.BCEWithLogitsLoss,
    "targets": nn.MSELoss,
}
OWN_DIVERGENCE = {
    "classes": "categorical_kl",
    "indicators": "bernoulli_kl",
    "targets": "squared_difference",
}


class SeriesNet(nn.Module):
    """Convolution over time, then the mean over time."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.convolution = nn.Conv1d(n_features, 5, 3, padding=1)
        self.head = nn.Linear(5, n_outputs)

    def forward(self, x):
        hidden = torch.tanh(self.convolution(x.transpose(1, 2)))
        return self.head(hidden.mean(2))


def make_net(kind, device="cpu", **options):
    torch.manual_seed(3)
    if kind == "table":
        net = MLP(n_features=6, n_outputs=N_OUTPUTS, hidden=(8,), **options)
    elif kind == "series":
        net = SeriesNet(n_features=3, n_outputs=N_OUTPUTS)
    else:
        # tanh: rectifiers would leave pixels with a gradient of exactly 0, which tie
        options = {"activation": "tanh", "channels": (4,), "hidden": (6,)} | options
        net = CNN(n_channels=3, height=4, width=5, n_outputs=N_OUTPUTS, **options)
    return net.to(device=device, dtype=torch.float64)


def make_data(kind, task="classes"):
    """Arrays whose features differ in location and scale, and targets of the task."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((N_SAMPLES, *SHAPES[kind]))
    if kind == "image":
        X = X * np.array([0.5, 1.0, 2.0]).reshape(3, 1, 1) + 0.3
    else:
        X = X * np.linspace(0.4, 2.0, X.shape[-1]) - 0.2
    if task == "classes":
        return X, rng.integers(N_OUTPUTS, size=N_SAMPLES)
    if task == "indicators":
        return X, rng.integers(2, size=(N_SAMPLES, N_OUTPUTS)).astype(float)
    return X, rng.standard_normal((N_SAMPLES, N_OUTPUTS))


def jitter(x, generator):
    """Fill of a user: the sample plus noise from the given generator."""
    noise = torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)
    return x + noise


def absolute_difference(output, masked_output):
    """Divergence of a user."""
    return (output - masked_output).abs().sum(1)


def _labels(kind):
    """Labels of unequal groups whose order is not that of their first cells."""
    if kind == "table":
        return np.array(["d", "a", "d", "c", "b", "d"])
    if kind == "series":
        return np.arange(15).reshape(5, 3)[::-1] // 4
    return np.broadcast_to(np.array([[2], [1], [1], [0]]) * 2 + np.arange(5) // 3, (3, 4, 5))


ORDERS = ("signed", "absolute", "sampled", "random")
OUTPUTS = ("log_proba", "logit", "margin")
FILLS = ("sample_uniform", "feature_uniform", "marginal", "mean", "constant", jitter)
DIVERGENCES = ("categorical_kl", "bernoulli_kl", "squared_difference", absolute_difference)
GROUPS = {
    "table": ("cell", "labels"),
    "series": ("cell", "feature", "labels"),
    "image": ("pixel", "cell", "labels"),
}
PASSES = ("separate", "shared")


@dataclasses.dataclass(frozen=True)
class Case:
    kind: str
    order: str
    fill: object
    output: str
    divergence: object
    task: str
    groups: str
    saliency_pass: str

    def __str__(self):
        values = dataclasses.astuple(self)
        return "-".join(getattr(value, "__name__", value) for value in values)

    @property
    def feature_groups(self):
        return _labels(self.kind) if self.groups == "labels" else self.groups

    @property
    def setting(self):
        return Setting(
            order=self.order,
            output=self.output,
            fill=self.fill,
            divergence=self.divergence,
            likelihood=TASKS[self.task],
            groups=self.feature_groups,
        )


def make_cases():
    """Every kind x order x fill; the other axes rotate so that all pairs of values occur."""
    cases = []
    for i, (kind, groups) in enumerate(GROUPS.items()):
        for j, order in enumerate(ORDERS):
            for m, fill in enumerate(FILLS):
                case = Case(
                    kind=kind,
                    order=order,
                    fill=fill,
                    output=OUTPUTS[(m + j) % 3],
                    divergence=DIVERGENCES[(m + 2 * j + i) % 4],
                    task=tuple(TASKS)[(m + i + j // 2) % 3],
                    groups=groups[(m // 2 + j) % len(groups)],
                    saliency_pass=PASSES[(m // 3 + j + i) % 2],
                )
                cases.append(case)
    return cases


CASES = make_cases()
