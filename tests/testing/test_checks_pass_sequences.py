"""The checks hold for all networks for series and text, and for sound ones of users."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sgt_sklearn import (
    SaliencyGuidedClassifier,
    SaliencyGuidedMixin,
    SaliencyGuidedRegressor,
    paper_settings,
)
from sgt_sklearn.preprocessing import pad_series
from sgt_sklearn.testing import check_guided_estimator, guided_checks
from tests.testing.broken_sequences import SeriesNet, TokenNet

ATTENTION = {"module__hidden": 8, "module__n_heads": 2, "module__feedforward": 8}
EMBEDDED = {"module__embedding_size": 8}
FOR_SERIES = {
    "tcn": {"module__channels": (4,)},
    "gru": {"module__hidden": 5},
    "lstm": {"module__hidden": 5},
    "input_cell_attention": {"module__hidden": 5},
    "transformer": ATTENTION,
}
FOR_TOKENS = {
    "text_bag": EMBEDDED,
    "text_cnn": EMBEDDED | {"module__channels": 4},
    "text_lstm": EMBEDDED | {"module__hidden": 5},
    "text_transformer": EMBEDDED | ATTENTION,
}
# Every network with padding, as a classifier, and those for series without it, as a regressor.
# What a head is trained on is the same for all; for regressors on padded series see below.
CASES = [(SaliencyGuidedClassifier, name, "ragged") for name in FOR_SERIES]
CASES += [(SaliencyGuidedClassifier, name, "tokens") for name in FOR_TOKENS]
CASES += [(SaliencyGuidedRegressor, name, "series") for name in FOR_SERIES]
CASES += [(SaliencyGuidedRegressor, "text_transformer", "tokens")]


@pytest.mark.parametrize(("cls", "name", "kind"), CASES)
def test_networks_by_name(cls, name, kind, device):
    estimator = cls(name, device=device, **(FOR_SERIES | FOR_TOKENS)[name])
    ran = check_guided_estimator(estimator, kind=kind)
    assert {"check_bad_input", "check_masks", "check_gradient", "check_sample_weight"} <= set(ran)
    assert ("check_padding" in ran) == (kind != "series")
    assert len(ran) == 20 + (kind != "series") + (cls is SaliencyGuidedClassifier)


RNG = np.random.default_rng(3)
SERIES = [RNG.normal(size=(3 + i % 5, 2)).astype(np.float32) for i in range(24)]
PADDED = pad_series(SERIES)
INSIDE = np.arange(7) < PADDED["lengths"][:, None]
WITH_NAN = np.where(INSIDE[:, :, None], PADDED["X"], np.float32(np.nan))
GARBAGE = PADDED | {"X": np.where(INSIDE[:, :, None], PADDED["X"], np.float32(-50))}
WORDS = np.where(INSIDE, RNG.integers(2, 15, size=(24, 7)), 0)
CODES = np.arange(24) % 2
SMALL = {"module__channels": (3,)}


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


class GuidedRegressor(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


class LastState(nn.Module):
    """The state of a recurrent network behind the last step, in double precision."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        self.recurrence = nn.GRU(2, 4, batch_first=True, dtype=dtype)
        self.head = nn.Linear(4, 1, dtype=dtype)

    def forward(self, X, lengths):
        states, _ = self.recurrence(X)
        return self.head(states[torch.arange(len(X)), lengths - 1])


class NoisyWords(nn.Module):
    """Dropout, and an embedding below the top."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict({"words": nn.Embedding(15, 6, padding_idx=0)})
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(6, 2)

    def forward(self, tokens):
        states = self.dropout(self.encoder["words"](tokens)).sigmoid()
        inside = (tokens != 0)[:, :, None]
        return self.head((states * inside).sum(1) / inside.sum(1))


CE = {"criterion": nn.CrossEntropyLoss}
WITH_WORDS = GuidedClassifier(NoisyWords, **CE, embedding="encoder.words")
DOUBLE = {"X": PADDED["X"].astype(np.float64), "lengths": PADDED["lengths"]}
ESTIMATORS = {
    "steps of NaN": (SaliencyGuidedRegressor(**SMALL), WITH_NAN, PADDED["X"][:, 0, :]),
    "garbage; steps, then cells": (
        SaliencyGuidedClassifier(**SMALL, feature_groups="time_then_feature"),
        GARBAGE,
        CODES,
    ),
    "list of equal length; labels are words": (
        SaliencyGuidedClassifier(**SMALL),
        [series[:3] for series in SERIES],
        np.array(["b", "a"])[CODES],
    ),
    "array of objects; noisy layers": (
        SaliencyGuidedClassifier("gru", module__hidden=4, module__dropout=0.3),
        np.array(SERIES, dtype=object),
        CODES,
    ),
    "groups of one's own": (
        SaliencyGuidedRegressor(**SMALL, feature_groups=np.arange(14).reshape(7, 2) // 4),
        SERIES,
        CODES.astype(np.float32),
    ),
    "paper, text": (
        SaliencyGuidedClassifier("text_cnn", **FOR_TOKENS["text_cnn"], **paper_settings("text")),
        WORDS,
        CODES,
    ),
    "unsigned tokens": (
        SaliencyGuidedClassifier("text_bag", mask_fill="marginal", mask_order="random"),
        WORDS.astype(np.uint16),
        CODES,
    ),
    "own module": (
        GuidedRegressor(LastState),
        DOUBLE,
        PADDED["X"][:, 0, :1].astype(np.float64),
    ),
    "own embedding": (WITH_WORDS, WORDS, CODES),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_sound_estimators(name, device):
    estimator, X, y = ESTIMATORS[name]
    ran = check_guided_estimator(clone(estimator).set_params(device=device), X, y)
    assert "check_padding" in ran


@pytest.mark.parametrize(
    ("module", "cls"),
    [(SeriesNet, SaliencyGuidedRegressor), (TokenNet, SaliencyGuidedClassifier)],
)
def test_data_are_made_for_networks_of_users(module, cls, device):
    embedding = "embedding" if module is TokenNet else "auto"
    estimator = cls(module, embedding=embedding, device=device)
    if cls is SaliencyGuidedRegressor:
        estimator.set_params(module__n_outputs=1)
    checks = guided_checks(estimator, kind=module.kind)
    assert checks[-1].__name__ == "check_padding"
    for check in checks:
        check()
