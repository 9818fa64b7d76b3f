"""The checks hold for the estimators of the library and for sound classes of users."""

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import EpochScoring, GradientNormClipping
from skorch.dataset import ValidSplit
from torch import nn

from sgt_sklearn import (
    SaliencyGuidedClassifier,
    SaliencyGuidedMixin,
    SaliencyGuidedRegressor,
    paper_settings,
)
from sgt_sklearn.modules import CNN, MLP
from sgt_sklearn.testing import check_guided_estimator, guided_checks

RNG = np.random.default_rng(1)
TABLE = RNG.normal(size=(45, 5)).astype(np.float32)
SERIES = RNG.normal(size=(30, 7, 3)).astype(np.float32)
IMAGES = RNG.normal(size=(24, 1, 5, 4)).astype(np.float32)
CODES = np.arange(45) % 3
SCORE = (TABLE[:, :1] - TABLE[:, 1:2]).astype(np.float32)
SEVERAL = (TABLE[:, :3] > 0).astype(np.float32)


class GuidedNet(SaliencyGuidedMixin, NeuralNet):
    pass


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


class GuidedBinary(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    pass


class GuidedRegressor(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


class OwnClassifier(SaliencyGuidedClassifier):
    """A parameter and a loss term of its own."""

    def __init__(self, module="auto", *, penalty=0.01, **kwargs):
        super().__init__(module, **kwargs)
        self.penalty = penalty

    def get_loss(self, y_pred, y_true, X=None, training=False):
        loss = super().get_loss(y_pred, y_true, X=X, training=training)
        if not training:
            return loss
        return loss + self.penalty * sum((p**2).sum() for p in self.module_.parameters())


class SeriesNet(nn.Module):
    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.convolution = nn.Conv1d(n_features, 6, 3)
        self.head = nn.Linear(6, n_outputs)

    def forward(self, x):
        return self.head(self.convolution(x.transpose(1, 2)).relu().amax(2))


class Distance(nn.Module):
    """A criterion that cannot be weighted."""

    def forward(self, output, y):
        return (output - y).abs().mean()


class TupleNet(MLP):
    def forward(self, x):
        return super().forward(x), x


def mlp(n_outputs=3, **options):
    return {
        "module": MLP,
        "module__n_features": 5,
        "module__n_outputs": n_outputs,
        "module__hidden": (6,),
    } | {f"module__{name}": value for name, value in options.items()}


def softmax_net():
    return nn.Sequential(nn.Linear(5, 3), nn.Softmax(dim=1))


CE = {"criterion": nn.CrossEntropyLoss}
SIZES = {"module__n_features": 3, "module__n_outputs": 2}
NEITHER = ("net of logits", "net of several logits", "net of L1", "net of tuples")
ESTIMATORS = {
    "classifier": (SaliencyGuidedClassifier(), None, None, {}),
    "regressor": (SaliencyGuidedRegressor(), None, None, {}),
    "images": (SaliencyGuidedClassifier(), None, None, {"kind": "image"}),
    "images, regressor": (SaliencyGuidedRegressor(), None, None, {"kind": "image"}),
    "labels are words": (
        SaliencyGuidedClassifier(),
        TABLE,
        np.array(["b", "c", "a"])[CODES],
        {},
    ),
    "several labels": (SaliencyGuidedClassifier(), TABLE, SEVERAL.astype(int), {}),
    "several targets": (SaliencyGuidedRegressor(), TABLE, TABLE[:, :2] ** 2, {}),
    "paper": (SaliencyGuidedClassifier(**paper_settings("image")), None, None, {"kind": "image"}),
    "groups": (SaliencyGuidedClassifier(feature_groups=list("aabbb")), TABLE, CODES, {}),
    "warm start": (SaliencyGuidedClassifier(warm_start=True), None, None, {}),
    "noisy layers": (
        SaliencyGuidedClassifier(module__dropout=0.3, module__normalization="batch"),
        None,
        None,
        {},
    ),
    "other settings": (
        SaliencyGuidedClassifier(
            mask_fraction=0.3,
            mask_schedule="ramp",
            mask_order="sampled",
            mask_fill="marginal",
            saliency_output="log_proba",
            consistency_weight=3.0,
            saliency_pass="separate",
            optimizer=torch.optim.SGD,
            optimizer__momentum=0.9,
            random_state=7,
            max_epochs=100,
            batch_size=5,
        ),
        None,
        None,
        {},
    ),
    "callbacks": (
        SaliencyGuidedClassifier(
            train_split=ValidSplit(3),
            callbacks=[EpochScoring("accuracy"), ("clip", GradientNormClipping(1.0))],
            callbacks__clip__gradient_clip_value=0.5,
        ),
        None,
        None,
        {},
    ),
    "no callbacks": (SaliencyGuidedClassifier(callbacks="disable"), None, None, {}),
    "own class": (OwnClassifier(penalty=0.1), None, None, {}),
    "own module": (SaliencyGuidedClassifier(MLP), None, None, {}),
    "own image module": (SaliencyGuidedClassifier(CNN), IMAGES, np.arange(24) % 2, {}),
    "default, series": (SaliencyGuidedClassifier(SeriesNet), SERIES, np.arange(30) % 2, {}),
    "series by time": (
        GuidedClassifier(
            SeriesNet, **SIZES, **CE, feature_groups=np.arange(21).reshape(7, 3) // 3
        ),
        SERIES,
        np.arange(30) % 2,
        {},
    ),
    "series by feature": (
        GuidedRegressor(SeriesNet, **SIZES | {"module__n_outputs": 1}, feature_groups="feature"),
        SERIES,
        SERIES[:, 0, :1],
        {},
    ),
    "net of MSE": (GuidedNet(**mlp(1), criterion=nn.MSELoss), TABLE, SCORE, {}),
    "net of logits": (GuidedNet(**mlp(3), **CE), TABLE, CODES, {}),
    "net of several logits": (
        GuidedNet(**mlp(3), criterion=nn.BCEWithLogitsLoss),
        TABLE,
        SEVERAL,
        {},
    ),
    "net of L1": (
        GuidedNet(**mlp(1), criterion=nn.L1Loss, consistency="squared_difference"),
        TABLE,
        SCORE,
        {},
    ),
    "criterion without reduction": (
        GuidedRegressor(**mlp(1), criterion=Distance, consistency="squared_difference"),
        TABLE,
        SCORE,
        {},
    ),
    "net of tuples": (GuidedNet(**mlp(3) | {"module": TupleNet}, **CE), TABLE, CODES, {}),
    "double precision": (
        GuidedClassifier(nn.Linear(5, 3).double(), **CE),
        TABLE.astype(np.float64),
        CODES,
        {},
    ),
    "probabilities": (GuidedClassifier(softmax_net), TABLE, CODES, {}),
    "an instance": (GuidedClassifier(softmax_net(), lr=0.1), TABLE, CODES, {}),
    "binary": (GuidedBinary(**mlp(1, n_features=6)), None, None, {}),
    "guided regressor": (GuidedRegressor(**mlp(1, n_features=6, dropout=0.2)), None, None, {}),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_sound_estimators_pass(name, device):
    estimator, X, y, options = ESTIMATORS[name]
    estimator = clone(estimator).set_params(device=device)
    ran = check_guided_estimator(estimator, X, y, **options)
    assert len(ran) == len(set(ran)) >= 17
    assert ("check_bad_input" in ran) == isinstance(estimator.module, str)
    assert ("check_probabilities" in ran) == is_classifier(estimator)
    assert ("check_gradient" in ran) == (name not in NEITHER)
    assert ("check_history" in ran) == (name != "no callbacks")


@pytest.mark.parametrize("check", guided_checks(SaliencyGuidedClassifier(), kind="image"))
def test_one_check_at_a_time(check, device):
    estimator = SaliencyGuidedClassifier(device=device, module__channels=(3,))
    (same,) = (c for c in guided_checks(estimator, kind="image") if c.__name__ == check.__name__)
    same()
