"""Faults in randomness, guidance, predictions and explanations."""

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.history import History

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from tests.testing.faults import fault

# randomness


@fault("check_random_state", "of two fits with random_state=0")
class Irreproducible(SaliencyGuidedClassifier):
    entropy_ = np.random.default_rng()

    def initialize_module(self):
        super().initialize_module()
        with torch.no_grad():
            for parameter in self.module_.parameters():
                parameter += self.entropy_.normal()
        return self


@fault("check_random_state", "of a second fit with random_state=0")
class GoesOnDrawing(SaliencyGuidedClassifier):
    fits_ = 0

    def fit(self, X, y=None, **kwargs):
        self.fits_ += 1
        return super().fit(X if self.fits_ == 1 else X[::-1], y, **kwargs)


@fault("check_random_state", "the same losses of both fits, got others")
class RandomHistory(SaliencyGuidedClassifier):
    entropy_ = np.random.default_rng()

    def fit(self, X, y=None, **kwargs):
        super().fit(X, y, **kwargs)
        self.history.record("train_loss", self.entropy_.normal())
        return self


@fault("check_random_state", "another net for random_state=1, got the same net")
class FixedSeed(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        seed, self.random_state = self.random_state, 0
        super().fit(X, y, **kwargs)
        self.random_state = seed
        return self


@fault("check_global_generators", "untouched by fit, got moved: ..torch")
class DrawsInFit(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        torch.rand(1)
        return super().fit(X, y, **kwargs)


@fault("check_global_generators", "untouched by predict, got moved: ..numpy")
class DrawsInPredict(SaliencyGuidedClassifier):
    def predict(self, X):
        np.random.rand()  # noqa: NPY002
        return super().predict(X)


@fault("check_global_generators", "untouched by smooth_grad, got moved: ..torch")
class DrawsInAttribute(SaliencyGuidedClassifier):
    def attribute(self, X, *, method="saliency", **kwargs):
        if method == "smooth_grad":
            torch.randn(1)
        return super().attribute(X, method=method, **kwargs)


@fault("check_partial_fit_continues", "of partial_fit twice and one fit")
class NewOptimizerEachTime(SaliencyGuidedClassifier):
    def partial_fit(self, X, y=None, **kwargs):
        if self.initialized_ and not self._session_:
            self.optimizer_.state.clear()
        return super().partial_fit(X, y, **kwargs)


@fault("check_partial_fit_continues", "a history of 4 epochs after 2 . 2, got 2")
class NewHistoryEachTime(SaliencyGuidedClassifier):
    def partial_fit(self, X, y=None, **kwargs):
        if self.initialized_ and not self._session_:
            self.history_ = History()
        return super().partial_fit(X, y, **kwargs)


# guidance


@fault("check_consistency_weight_zero", "no masks with consistency_weight=0, got 6 calls")
class AlwaysGuided(SaliencyGuidedClassifier):
    def train_step(self, batch, **kwargs):
        weight, self.consistency_weight = self.consistency_weight, 1.0
        try:
            return super().train_step(batch, **kwargs)
        finally:
            self.consistency_weight = weight


@fault("check_consistency_weight_zero", "no train_consistency_loss with consistency_weight=0")
class RecordsNothing(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        super().fit(X, y, **kwargs)
        self.history.record("train_consistency_loss", 0.0)
        return self


@fault("check_consistency_weight_zero", "with consistency_weight=0 for any mask")
class DropsInputs(SaliencyGuidedClassifier):
    def train_step(self, batch, **kwargs):
        X, y = batch
        if self.mask_fraction == 1.0:
            X = X * 0.5
        return super().train_step((X, y), **kwargs)


@fault("check_consistency_weight_zero", "of mask_fraction=0 and no guidance")
class GuidedTrainsMore(SaliencyGuidedClassifier):
    def train_step(self, batch, **kwargs):
        if self.consistency_weight:
            super().train_step(batch, **kwargs)
        return super().train_step(batch, **kwargs)


@fault("check_guidance_trains", "guidance to change the parameters, got the same net")
class LosesTheTerm(SaliencyGuidedClassifier):
    def get_loss(self, y_pred, y_true, X=None, training=False):
        super().get_loss(y_pred, y_true, X=X, training=training)
        return NeuralNetClassifier.get_loss(self, y_pred, y_true, X=X, training=training)


@fault("check_guidance_trains", "finite parameters, got NaN or infinity in")
class Diverges(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        super().fit(X, y, **kwargs)
        if self.consistency_weight:
            with torch.no_grad():
                next(self.module_.parameters()).fill_(np.nan)
        return self


@fault("check_guidance_trains", "another net for mask_order='random', got the same net")
class IgnoresOrder(SaliencyGuidedClassifier):
    def get_guidance_params(self):
        return super().get_guidance_params() | {"mask_order": "random"}


@fault("check_masks", "exactly k = 1 of 6 groups hidden in each sample, got .2. groups")
class HidesMore(SaliencyGuidedClassifier):
    def get_guidance_params(self):
        params = super().get_guidance_params()
        return params | {"mask_fraction": params["mask_fraction"] + 1 / 6}


@fault(
    "check_masks",
    "exactly k = 6 of 12 groups|whole groups to be hidden",
    options={"kind": "image"},
)
class HidesPixelsByHalves(SaliencyGuidedClassifier):
    def get_guidance_params(self):
        return super().get_guidance_params() | {"feature_groups": "cell"}


@fault("check_masks", "calls of mask_fill in training, got none")
class IgnoresFill(SaliencyGuidedClassifier):
    def get_guidance_params(self):
        return super().get_guidance_params() | {"mask_fill": "mean"}


@fault("check_masks", "the module to get a masked batch for each of 6 calls of mask_fill, got 0")
class FillsForNothing(SaliencyGuidedClassifier):
    def get_guidance_params(self):
        params = super().get_guidance_params()
        fill = params["mask_fill"]
        if not callable(fill):
            return params

        def without(x, generator):
            fill(x, generator)
            return x + 0.125

        return params | {"mask_fill": without}


@fault("check_masks", "the values of the batch in all cells that are not hidden, got others")
class ChangesVisibleCells(SaliencyGuidedClassifier):
    def get_guidance_params(self):
        params = super().get_guidance_params()
        fill = params["mask_fill"]
        if not callable(fill):
            return params

        def shifting(x, generator):
            values = fill(x, generator)
            with torch.no_grad():
                x += 0.25
            return values

        return params | {"mask_fill": shifting}


@fault("check_history", "a finite train_task_loss in each epoch, got None")
class RecordsNoTaskLoss(SaliencyGuidedClassifier):
    @property
    def _default_callbacks(self):
        return [pair for pair in super()._default_callbacks if pair[0] != "train_task_loss"]


@fault("check_history", "train_loss = task . 0.5 . consistency")
class ForgetsWeightOfTerm(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        weight, self.consistency_weight = self.consistency_weight, 1.0
        super().fit(X, y, **kwargs)
        self.consistency_weight = weight
        return self


@fault("check_history", "train_consistency_loss >= 0, got -")
class NegativeDivergence(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        self.consistency = lambda output, masked: -((output - masked) ** 2).sum(1)
        super().fit(X, y, **kwargs)
        self.consistency = "auto"
        return self


@fault("check_history", "2 epochs in the history, got 3")
class CountsMore(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        super().fit(X, y, **kwargs)
        self.history.new_epoch()
        return self


# predictions


@fault("check_predictions", "48 predictions, got 47")
class PredictsLess(SaliencyGuidedClassifier):
    def predict(self, X):
        return super().predict(X)[1:]


@fault("check_predictions", "the same predictions when asked again, got others")
class PredictsAnew(SaliencyGuidedRegressor):
    asked_ = 0

    def predict(self, X):
        self.asked_ += 1
        return super().predict(X) + self.asked_


@fault("check_predictions", "predictions like y, 1 a sample, got shape .48, 2.")
class PredictsTwice(SaliencyGuidedRegressor):
    def predict(self, X):
        return np.stack([super().predict(X)] * 2, axis=1)


@fault("check_predictions", "finite predictions, got NaN or infinity")
class PredictsInfinity(SaliencyGuidedRegressor):
    def predict(self, X):
        return super().predict(X) + np.inf


@fault("check_predictions", r"labels of y, \[0, 1, 2\], got also \[7")
class PredictsUnknown(SaliencyGuidedClassifier):
    def predict(self, X):
        return super().predict(X) + 7


@fault("check_probabilities", r"shape \(48, 3\), got shape \(48, 2\)")
class LosesClass(SaliencyGuidedClassifier):
    def predict_proba(self, X):
        return super().predict_proba(X)[:, 1:]


@fault("check_probabilities", r"probabilities in \[0, 1\]")
class Logits(SaliencyGuidedClassifier):
    def predict_proba(self, X):
        return super().predict_proba(X) - 0.5


@fault("check_probabilities", "rows that add up to 1")
class HalfProbabilities(SaliencyGuidedClassifier):
    def predict_proba(self, X):
        return super().predict_proba(X) / 2


@fault("check_probabilities", "the most probable of classes_, got another class")
class ReversedColumns(SaliencyGuidedClassifier):
    def predict(self, X):
        return self.classes_[super().predict_proba(X).argmin(1)]


@fault("check_probabilities", "predictions among classes_")
class OtherClasses(SaliencyGuidedClassifier):
    @property
    def classes_(self):
        return super().classes_ + 5 * (not self._encoded_)

    def predict(self, X):
        return super().predict(X) - 5


@fault("check_batch_size", r"the same values of predict\w* with batch_size=3")
class NormalizesByBatch(SaliencyGuidedClassifier):
    def _batch_size(self, training):
        return self.batch_size

    def infer(self, x, **kwargs):
        if not torch.is_grad_enabled():
            x = x - x.mean(0)
        return super().infer(x, **kwargs)


@fault("check_batch_size", "the same values of predict of one row at a time")
class NormalizesByRequest(SaliencyGuidedRegressor):
    def predict(self, X):
        return super().predict(X - X.mean(0))


# explanations


@fault("check_attribute", "saliency of shape .9, 6., got shape .9,.")
class SumsFeatures(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        return super().attribute(X, **kwargs).sum(1)


@fault("check_attribute", "finite values of input_x_gradient, got NaN")
class DividesByZero(SaliencyGuidedClassifier):
    def attribute(self, X, *, method="saliency", **kwargs):
        values = super().attribute(X, method=method, **kwargs)
        return values if method == "saliency" else values * np.nan


@fault("check_attribute", "integrated_gradients to find something, got zeros only")
class FindsNothing(SaliencyGuidedClassifier):
    def attribute(self, X, *, method="saliency", **kwargs):
        values = super().attribute(X, method=method, **kwargs)
        return values * 0 if method == "integrated_gradients" else values


@fault("check_attribute", "the same saliency with batch_size=4, got a difference")
class ScalesByBatch(SaliencyGuidedClassifier):
    def attribute(self, X, *, batch_size=None, **kwargs):
        return super().attribute(X, batch_size=batch_size, **kwargs) / (batch_size or 1)


@fault("check_attribute", r"target='all' of shape \(9, n_outputs, 6\), got shape \(9, 6\)")
class ExplainsOneOutput(SaliencyGuidedClassifier):
    def attribute(self, X, *, target="predicted", **kwargs):
        return super().attribute(X, target="predicted", **kwargs)


@fault("check_gradient", "saliency equal to numerical differentiation in at least 90%")
class AbsoluteGradient(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        return np.abs(super().attribute(X, **kwargs))


@fault("check_gradient", "saliency equal to numerical differentiation")
class StandardizedGradient(SaliencyGuidedRegressor):
    """In units of standardised targets."""

    def attribute(self, X, **kwargs):
        return super().attribute(X, **kwargs) / self.target_scale_


@fault("check_gradient", "saliency equal to numerical differentiation")
class ExplainsLogits(SaliencyGuidedClassifier):
    def attribute(self, X, *, output="logit", **kwargs):
        return super().attribute(X, output="logit", **kwargs)


@fault("check_gradient", "saliency equal to numerical differentiation", options={"kind": "image"})
class SwapsAxes(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        return super().attribute(X, **kwargs).swapaxes(2, 3)
