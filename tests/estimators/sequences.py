"""Series of unequal length and tokens, and small nets for them."""

import numpy as np
import pytest
import torch

from sgt_sklearn import SaliencyGuidedClassifier

SERIES = ("tcn", "gru", "lstm", "input_cell_attention", "transformer")
TEXTS = ("text_bag", "text_cnn", "text_lstm", "text_transformer")
# small nets, as what is tested is the way of the data
SMALL = {
    "tcn": {"module__channels": (6, 6)},
    "gru": {"module__hidden": 6},
    "lstm": {"module__hidden": 6},
    "input_cell_attention": {
        "module__hidden": 6,
        "module__n_hops": 2,
        "module__attention_size": 4,
    },
    "transformer": {"module__hidden": 8, "module__n_heads": 2, "module__feedforward": 8},
    "text_bag": {"module__embedding_size": 6},
    "text_cnn": {"module__embedding_size": 6, "module__channels": 5},
    "text_lstm": {"module__embedding_size": 6, "module__hidden": 5},
    "text_transformer": {
        "module__embedding_size": 6,
        "module__hidden": 8,
        "module__n_heads": 2,
        "module__feedforward": 8,
    },
}

_RNG = np.random.default_rng(3)
LENGTHS = (5, 9, 1, 7, 9, 3, 2, 8, 6, 4, 9, 7, 3, 5)
N, LONGEST, N_FEATURES = len(LENGTHS), max(LENGTHS), 3
# far from 0, so that padding can be told from data, and in different units
UNITS = np.array([1.0, 4.0, 0.5], dtype=np.float32)
RAGGED = [(10 + _RNG.standard_normal((n, N_FEATURES)).astype(np.float32)) * UNITS for n in LENGTHS]
LABELS = np.array(["a", "b", "c"])[np.arange(N) % 3]
TARGETS = np.stack([x[:, 0].mean() - x[-1, 2] for x in RAGGED]).astype(np.float32)

VOCABULARY = 12
TOKENS = np.zeros((N, LONGEST), dtype=np.int64)
for _row, _n in zip(TOKENS, LENGTHS, strict=True):
    _row[:_n] = _RNG.permutation(np.arange(1, VOCABULARY))[:_n]
TOKENS[1, 0] = VOCABULARY - 1

DATA = dict.fromkeys(SERIES, RAGGED) | dict.fromkeys(TEXTS, TOKENS)
parametrize_modules = pytest.mark.parametrize("module", DATA)


def filled(series, value, length=None):
    """Array of the series, with some value behind their ends."""
    length = length or max(map(len, series))
    array = np.full((len(series), length, series[0].shape[1]), value, dtype=np.float32)
    for row, x in zip(array, series, strict=True):
        row[: len(x)] = x
    return array


def as_dict(series, value=0.0, length=None):
    return {"X": filled(series, value, length), "lengths": np.array([len(x) for x in series])}


FORMS = {
    "list": list,
    "object array": lambda series: np.array([*series, None], dtype=object)[:-1],
    "nan": lambda series: filled(series, np.nan),
    "dict": as_dict,
}


def make(module, device, cls=SaliencyGuidedClassifier, **params):
    settings = {
        "max_epochs": 3,
        "batch_size": 5,
        "mask_schedule": "constant",
        "mask_fraction": 0.5,
        "random_state": 0,
        "device": device,
    }
    return cls(module, **settings | SMALL.get(module, {}) | params)


def outputs(net, X):
    """Probabilities of a classifier, predictions of a regressor."""
    return net.predict_proba(X) if hasattr(net, "predict_proba") else net.predict(X)


def module_of(net):
    """The module on the CPU in evaluation mode, as a function of the input alone."""
    return net.module_.cpu().eval()


def assert_same_parameters(first, second):
    for a, b in zip(first.module_.parameters(), second.module_.parameters(), strict=True):
        assert torch.equal(a, b)


def cell_scores(module, x, code, sd):
    """What ranks the cells of one series: abs of the margin's gradient, times the sd."""
    leaf = torch.from_numpy(x)[None].requires_grad_(True)
    z = module(leaf)[0]
    (gradient,) = torch.autograd.grad(z[code] - z.mean(), leaf)
    return gradient[0].abs() * torch.as_tensor(sd, dtype=gradient.dtype)
