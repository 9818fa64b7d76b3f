"""Faults with series of unequal length and with tokens: in estimators, and in networks."""

import numpy as np
import torch
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from tests.testing.faults import fault, net_fault

SERIES = {"kind": "series", "module__channels": (4,)}
RAGGED = {"kind": "ragged", "module__channels": (4,)}
LSTM = {"kind": "ragged", "module": "lstm", "module__hidden": 5}
TOKENS = {"kind": "tokens", "module": "text_cnn", "module__channels": 4, "module__widths": (2,)}

# data


@fault("check_data_unchanged", "X unchanged by fit, got other values", options=RAGGED)
class WritesToSeries(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        for series in X:
            series -= series.mean()
        return super().fit(X, y, **kwargs)


@fault("check_data_unchanged", "X unchanged by attribute, got other values", options=RAGGED)
class SortsTheList(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        if isinstance(X, list):
            X.sort(key=len)
        return super().attribute(X, **kwargs)


@fault("check_bad_input", "ValueError of fit with NaN, got no error", options=RAGGED)
class FillsNaNInSeries(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        X = X if isinstance(X, dict) else [np.nan_to_num(x, neginf=-np.inf) for x in X]
        return super().fit(X, y, **kwargs)


@fault("check_bad_input", "fit with a series without steps, got no error", options=RAGGED)
class LeavesEmptySeriesOut(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        if isinstance(X, list) and y is not None and len(X) == len(y):
            kept = [i for i, x in enumerate(X) if len(x)]
            X, y = [X[i] for i in kept], y[kept]
        return super().fit(X, y, **kwargs)


@fault("check_bad_input", "fit with lengths beyond the array, got no error", options=RAGGED)
class ClipsLengths(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        if isinstance(X, dict) and X["lengths"].dtype.kind == "i":
            X = X | {"lengths": np.minimum(X["lengths"], X["X"].shape[1])}
        return super().fit(X, y, **kwargs)


@fault("check_bad_input", "ValueError of attribute with fewer features, got", options=RAGGED)
class ExplainsWithoutValidation(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        if isinstance(X, list) and X and X[0].shape[-1] < self.n_features_in_:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        return super().attribute(X, **kwargs)


@fault("check_bad_input", "ValueError of fit with negative ids, got no error", options=TOKENS)
class ClipsNegativeIds(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        return super().fit(np.where(X == -1, 1, X), y, **kwargs)


@fault("check_bad_input", "predict with ids that are too large, got no error", options=TOKENS)
class PredictsUnknownIds(SaliencyGuidedClassifier):
    def predict(self, X):
        return super().predict(np.where(X > 1000, 1, X))


@fault("check_bad_input", "fit with ids that are no integers, got no error", options=TOKENS)
class RoundsIds(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        return super().fit(X.astype(int), y, **kwargs)


@fault("check_bad_input", "fit with padding before the end, got no error", options=TOKENS)
class TakesPaddingInside(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        inside = (X == 0) & (X[:, ::-1].cumsum(axis=1)[:, ::-1] > 0) if X.ndim == 2 else X == -2
        return super().fit(np.where(inside & (X.max(-1) != 0)[..., None], 1, X), y, **kwargs)


@fault("check_sample_weight", "whatever the rows of weight 0 are", options=RAGGED)
class IgnoresWeightsOfSeries(SaliencyGuidedClassifier):
    def fit(self, X, y=None, sample_weight=None, **kwargs):
        return super().fit(X, y, **kwargs)


@fault("check_sample_weight", "whatever the rows of weight 0 are", options=TOKENS)
class IgnoresWeightsOfTokens(SaliencyGuidedClassifier):
    def fit(self, X, y=None, sample_weight=None, **kwargs):
        return super().fit(X, y, **kwargs)


# masks


@fault("check_masks", "the module to get samples of the lengths of X, got", options=RAGGED)
class LosesLengths(SaliencyGuidedClassifier):
    def infer(self, x, **kwargs):
        return super().infer(x["X"] if isinstance(x, dict) else x, **kwargs)


@fault("check_masks", "padding as it was in the batch, got [1-9]", options=RAGGED)
class HidesPadding(SaliencyGuidedClassifier):
    """The module gets the lengths past guidance."""

    def infer(self, x, **kwargs):
        if isinstance(x, dict):
            x, kwargs = x["X"], kwargs | {"lengths": torch.as_tensor(x["lengths"])}
        return super().infer(x, **kwargs)


@fault("check_masks", r"exactly k = \d+ of \d+ groups hidden in each sample, got", options=RAGGED)
class HidesMoreOfSeries(SaliencyGuidedClassifier):
    def get_guidance_params(self):
        params = super().get_guidance_params()
        return params | {"mask_fraction": params["mask_fraction"] + 0.1}


@fault("check_masks", "whole groups to be hidden, got", options=SERIES)
class HidesCellsOfSteps(SaliencyGuidedClassifier):
    def get_guidance_params(self):
        params = super().get_guidance_params()
        return params | {"feature_groups": params["feature_groups"].replace("time", "cell")}


@fault("check_masks", "at least 2 of 8 steps hidden as a whole, got", options=RAGGED)
class HidesCellsNotSteps(SaliencyGuidedClassifier):
    def get_guidance_params(self):
        params = super().get_guidance_params()
        nested = params["feature_groups"] == "time_then_feature"
        return params | {"feature_groups": "cell"} if nested else params


@fault("check_masks", r"exactly K = \d+ of \d+ cells hidden in a series of", options=RAGGED)
class HidesStepsOnly(SaliencyGuidedClassifier):
    def get_guidance_params(self):
        params = super().get_guidance_params()
        nested = params["feature_groups"] == "time_then_feature"
        return params | {"feature_groups": "time", "mask_fraction": 0.3} if nested else params


@fault("check_masks", "the module to get samples of the lengths of X, got", options=TOKENS)
class PadsWithUnknownTokens(SaliencyGuidedClassifier):
    def infer(self, x, **kwargs):
        return super().infer(torch.where(x == 0, 1, x), **kwargs)


@fault("check_masks", r"exactly k = \d of \d groups hidden in each sample, got", options=TOKENS)
class HidesMoreTokens(SaliencyGuidedClassifier):
    def get_guidance_params(self):
        params = super().get_guidance_params()
        return params | {"mask_fraction": params["mask_fraction"] + 0.3}


# predictions and explanations


@fault("check_batch_size", r"predict\w* of one row at a time", options=LSTM)
class PadsToAFixedLength(SaliencyGuidedClassifier):
    def predict_proba(self, X):
        n_steps = max(map(len, X))
        X = [np.concatenate([x, np.zeros((n_steps - len(x), 3), "float32")]) for x in X]
        return super().predict_proba(X)


@fault("check_attribute", "saliency of a list as a list, got ndarray", options=RAGGED)
class PadsAttributions(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        values = super().attribute(X, **kwargs)
        if not isinstance(values, list):
            return values
        padded = np.full((len(X), *max(v.shape for v in values)), np.nan)
        for row, value in zip(padded, values, strict=True):
            row[tuple(map(slice, value.shape))] = value
        return padded


@fault("check_attribute", r"saliency of shapes \(t_i, 3\), got \[\(8, 3\), \(8", options=RAGGED)
class ExplainsPaddingOfLists(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        values = super().attribute(X, **kwargs)
        if not isinstance(values, list):
            return values
        longest = max(map(len, values))
        return [np.concatenate([v, np.zeros((longest - len(v), 3))]) for v in values]


@fault("check_attribute", "NaN on padding of saliency, got [1-9][0-9]* numbers", options=TOKENS)
class ExplainsPadding(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        return np.nan_to_num(super().attribute(X, **kwargs))


@fault("check_attribute", "NaN on padding of target='all', got", options=TOKENS)
class ExplainsPaddingOfAll(SaliencyGuidedClassifier):
    def attribute(self, X, *, target="predicted", **kwargs):
        values = super().attribute(X, target=target, **kwargs)
        return np.nan_to_num(values) if isinstance(target, str) and target == "all" else values


@fault("check_attribute", "the same integrated_gradients with batch_size=4", options=RAGGED)
class ScalesByLongest(SaliencyGuidedRegressor):
    def attribute(self, X, *, method="saliency", batch_size=None, **kwargs):
        values = super().attribute(X, method=method, batch_size=batch_size, **kwargs)
        if method != "integrated_gradients" or batch_size is None:
            return values
        return [v / max(map(len, values[i : i + batch_size])) for i, v in enumerate(values)]


@fault("check_gradient", "saliency equal to numerical differentiation", options=RAGGED)
class ReversesTime(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        return [value[::-1] for value in super().attribute(X, **kwargs)]


@fault("check_gradient", "input_x_gradient of tokens equal to numerical", options=TOKENS)
class AbsoluteContributions(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        return np.abs(super().attribute(X, **kwargs))


@fault("check_gradient", "input_x_gradient of tokens equal to numerical", options=TOKENS)
class ExplainsByMean(SaliencyGuidedRegressor):
    """The mean over the dimensions of the embedding where the sum is promised."""

    def attribute(self, X, *, method="saliency", **kwargs):
        values = super().attribute(X, method=method, **kwargs)
        return values / 64 if method == "input_x_gradient" else values


@fault("check_gradient", "saliency equal to the norm", options=TOKENS)
class SquaredNorm(SaliencyGuidedClassifier):
    def attribute(self, X, *, method="saliency", **kwargs):
        values = super().attribute(X, method=method, **kwargs)
        return values**2 if method == "saliency" else values


# padding


@fault("check_padding", r"predict\w* with samples in another order", options=RAGGED)
class PredictsByPosition(SaliencyGuidedRegressor):
    def predict(self, X):
        predicted = super().predict(X)
        return predicted + np.arange(len(predicted))


@fault("check_padding", "saliency with the shorter half alone", options=RAGGED)
class ScalesByNumber(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        values = super().attribute(X, **kwargs)
        scaled = [value / len(values) for value in values]
        return scaled if isinstance(values, list) else np.stack(scaled)


@fault("check_padding", "integrated_gradients with more padding", options=TOKENS)
class DividesByWidth(SaliencyGuidedClassifier):
    def attribute(self, X, *, method="saliency", **kwargs):
        values = super().attribute(X, method=method, **kwargs)
        return values / X.shape[1] if method == "integrated_gradients" else values


@fault("check_padding", r"predict\w* with steps of NaN as padding", options=RAGGED)
class TakesNaNForZero(SaliencyGuidedClassifier):
    def predict_proba(self, X):
        return super().predict_proba(X if isinstance(X, (list, dict)) else np.nan_to_num(X))


# networks


class SeriesNet(nn.Module):
    """A sound network for padded series."""

    kind = "ragged"

    def __init__(self, n_outputs=3):
        super().__init__()
        self.hidden = nn.Linear(3, 6)
        self.norm = nn.Identity()
        self.head = nn.Linear(6, n_outputs)

    def steps(self, X, lengths):
        inside = torch.arange(X.shape[1], device=X.device) < lengths[:, None]
        return self.norm(self.hidden(X)).tanh() * inside[:, :, None]

    def forward(self, X, lengths):
        return self.head(self.steps(X, lengths).sum(1) / lengths[:, None])


class TokenNet(nn.Module):
    """A sound network for tokens."""

    kind = "tokens"

    def __init__(self, n_outputs=3):
        super().__init__()
        self.embedding = nn.Embedding(20, 6, padding_idx=0)
        self.norm = nn.Identity()
        self.head = nn.Linear(6, n_outputs)

    def steps(self, X):
        return self.norm(self.embedding(X)).tanh() * (X != 0)[:, :, None]

    def forward(self, X):
        return self.head(self.steps(X).sum(1) / (X != 0).sum(1, keepdim=True))


@net_fault("check_padding", r"predict\w* with garbage behind lengths")
class ReadsPadding(SeriesNet):
    def steps(self, X, lengths):
        return self.hidden(X).tanh()


@net_fault("check_padding", r"predict\w* with more padding")
class MeanOverPaddedSteps(SeriesNet):
    def forward(self, X, lengths):
        return self.head(self.steps(X, lengths).mean(1))


@net_fault("check_padding", "integrated_gradients|saliency with garbage behind lengths")
class LetsGradientsFromPadding(SeriesNet):
    """The value of what is behind the end does not pass, its scale does to the gradient."""

    def forward(self, X, lengths):
        size = 1 + (X.detach() ** 2).mean((1, 2), keepdim=True)
        X = X + (size - 1) * (X - X.detach())
        return super().forward(X, lengths)


@net_fault("check_padding", "the same losses of a fit with garbage behind lengths")
class NormalizesOverPadding(SeriesNet):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)

    def steps(self, X, lengths):
        X = self.norm(self.hidden(X).transpose(1, 2)).transpose(1, 2)
        inside = torch.arange(X.shape[1], device=X.device) < lengths[:, None]
        return X.tanh() * inside[:, :, None]


@net_fault("check_batch_size", r"predict\w* of one row at a time")
class MeanOverLongest(SeriesNet):
    def forward(self, X, lengths):
        return self.head(self.steps(X, lengths).mean(1))


@net_fault("check_batch_size", r"predict\w* of one row at a time")
class MeanOverPaddedTokens(TokenNet):
    def forward(self, X):
        return self.head(self.steps(X).mean(1))


@net_fault("check_padding", r"predict\w* with more padding")
class ReadsPaddingTokens(TokenNet):
    def forward(self, X):
        return self.head(self.embedding(X).add(1).tanh().sum(1))


@net_fault("check_padding", "the same losses of a fit with more padding")
class NormalizesOverPaddingTokens(TokenNet):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)

    def steps(self, X):
        X, inside = self.embedding(X).transpose(1, 2), X != 0
        return self.norm(X).transpose(1, 2).tanh() * inside[:, :, None]


@net_fault("check_attribute", "NaN on padding of saliency, got")
class EmbedsPaddingAsAToken(TokenNet):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
