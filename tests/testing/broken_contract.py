"""Faults in parameters, data, failure, persistence and weights.

At the top level of a module, because some checks pickle them.
"""

import contextlib

import numpy as np
import torch

from sgt_sklearn import SaliencyGuidedClassifier
from tests.testing.faults import fault

# parameters


@fault("check_parameters", "constructor either does not set or modifies parameter mask_fraction")
class ChangesInConstructor(SaliencyGuidedClassifier):
    def __init__(self, module="auto", *, mask_fraction="auto", **kwargs):
        super().__init__(module, mask_fraction=0.5, **kwargs)


@fault("check_parameters", "mask_order as given to set_params, got 'auto'")
class IgnoresSetParams(SaliencyGuidedClassifier):
    def set_params(self, **kwargs):
        kwargs.pop("mask_order", None)
        return super().set_params(**kwargs)


@fault("check_parameters", "set_params to return self, got None")
class SetParamsReturnsNothing(SaliencyGuidedClassifier):
    def set_params(self, **kwargs):
        super().set_params(**kwargs)


@fault("check_parameters", r"mask_fill among get_params\(\)")
class HidesParameter(SaliencyGuidedClassifier):
    def get_params(self, deep=True):
        params = super().get_params(deep)
        params.pop("mask_fill")
        return params


@fault("check_parameters", r"equal parameters after set_params.*\['lr'\]")
class HalvesRate(SaliencyGuidedClassifier):
    def set_params(self, **kwargs):
        if len(kwargs) > 5:
            kwargs["lr"] = 0.001
        return super().set_params(**kwargs)


@fault("check_parameters", "mask_value=3.0 in a clone, got 0.0", options={"mask_value": 3.0})
class ClonesDefaults(SaliencyGuidedClassifier):
    def __sklearn_clone__(self):
        return type(self)()


@fault("check_parameters", "mask_value as set, in a clone, got 0.0")
class ClonesOneDefault(SaliencyGuidedClassifier):
    def __sklearn_clone__(self):
        return type(self)(**self.get_params(deep=False) | {"mask_value": 0.0})


# before and after fit


@fault("check_unfitted", "NotFittedError of predict before fit, got no error")
class PredictsUnfitted(SaliencyGuidedClassifier):
    def predict(self, X):
        return np.zeros(len(X)) if not self.initialized_ else super().predict(X)


@fault("check_unfitted", "NotFittedError of attribute before fit, got AttributeError")
class ExplainsUnfitted(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        return self.module_(X)


@fault("check_fit_returns_self", "fit to return self, got None")
class FitReturnsNothing(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        super().fit(X, y, **kwargs)


@fault("check_fit_returns_self", "partial_fit to return self, got None")
class PartialFitReturnsNothing(SaliencyGuidedClassifier):
    def partial_fit(self, X, y=None, **kwargs):
        super().partial_fit(X, y, **kwargs)


@fault("check_fit_keeps_parameters", r"other values of \['max_epochs'\]")
class SetsParameter(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        self.max_epochs = 1
        return super().fit(X, y, **kwargs)


@fault(
    "check_fit_keeps_parameters",
    r"other values of \['callbacks'\]",
    options={"callbacks": []},
)
class GrowsParameter(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        super().fit(X, y, **kwargs)
        self.callbacks.append("more")
        return self


@fault("check_fit_keeps_parameters", r"no parameters added by fit, got \['extra'\]")
class AddsParameter(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        super().fit(X, y, **kwargs)
        vars(self)["extra"] = 1
        return self


@fault("check_data_unchanged", "X unchanged by fit, got other values")
class WritesToX(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        X -= X.mean()
        return super().fit(X, y, **kwargs)


@fault("check_data_unchanged", "y unchanged by partial_fit, got other values")
class WritesToY(SaliencyGuidedClassifier):
    def partial_fit(self, X, y=None, **kwargs):
        y[::2] = y[1::2]
        return super().partial_fit(X, y, **kwargs)


@fault("check_data_unchanged", "X unchanged by attribute, got other values")
class WritesWhenAsked(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        X[0] = 0
        return super().attribute(X, **kwargs)


# failure


@fault("check_failed_fit", "parameters after a fit that failed, got other values")
class InitializesBeforehand(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        if self.initialized_:
            self.initialize()
        return super().fit(X, y, **kwargs)


@fault("check_failed_fit", r"after a first fit failed, got changed \['begun_'\]")
class LeavesTrace(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        self.begun_ = True
        return super().fit(X, y, **kwargs)


@fault("check_failed_fit", "a history of 2 epochs after a partial_fit that failed, got 3")
class KeepsFailedEpochs(SaliencyGuidedClassifier):
    def partial_fit(self, X, y=None, **kwargs):
        try:
            return super().partial_fit(X, y, **kwargs)
        except Exception:
            if self.history:
                self.history.new_epoch()
            raise


@fault("check_failed_fit", "the error of mask_fill to leave fit, got no error")
class SwallowsErrors(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        with contextlib.suppress(Exception):
            super().fit(X, y, **kwargs)
        return self


@fault("check_failed_fit", "the error of mask_fill to leave fit, got RuntimeError")
class RenamesErrors(SaliencyGuidedClassifier):
    def partial_fit(self, X, y=None, **kwargs):
        try:
            return super().partial_fit(X, y, **kwargs)
        except Exception as error:
            raise RuntimeError("failed") from error


@fault("check_failed_fit", "the same predictions after a fit that failed")
class PredictsLessAfterFailure(SaliencyGuidedClassifier):
    failed_ = False

    def fit(self, X, y=None, **kwargs):
        try:
            return super().fit(X, y, **kwargs)
        except Exception:
            type(self).failed_ = self.initialized_
            raise

    def predict(self, X):
        predicted = super().predict(X)
        return predicted * 0 if self.failed_ else predicted


@fault("check_failed_fit", "going on after a fit that failed")
class ForgetsOptimizer(SaliencyGuidedClassifier):
    def partial_fit(self, X, y=None, **kwargs):
        try:
            return super().partial_fit(X, y, **kwargs)
        except Exception:
            if self.initialized_:
                self.optimizer_.state.clear()
            raise


@fault("check_failed_fit", "NotFittedError of predict after a first fit failed, got no error")
class PredictsAfterFailure(SaliencyGuidedClassifier):
    tried_ = False

    def fit(self, X, y=None, **kwargs):
        type(self).tried_ = True
        return super().fit(X, y, **kwargs)

    def predict(self, X):
        if self.tried_ and not self.initialized_:
            return np.zeros(len(X))
        return super().predict(X)


# bad input


@fault("check_bad_input", "ValueError of fit with NaN, got no error")
class FillsNaN(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        return super().fit(np.nan_to_num(X), y, **kwargs)


@fault("check_bad_input", "ValueError of fit with infinity, got no error")
class ClipsX(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        return super().fit(np.clip(X, -10, 10), y, **kwargs)


@fault("check_bad_input", "ValueError of fit with X and y of different lengths, got no error")
class CutsToLength(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        return super().fit(X[: len(y)] if y is not None and len(y) else X, y, **kwargs)


@fault("check_bad_input", "ValueError of predict with fewer features, got no error")
class PadsFeatures(SaliencyGuidedClassifier):
    def predict(self, X):
        missing = self.n_features_in_ - X.shape[-1] if self.initialized_ else 0
        return super().predict(np.pad(X, [(0, 0), (0, missing)]))


@fault("check_bad_input", "ValueError of attribute with NaN, got no error")
class ExplainsNaN(SaliencyGuidedClassifier):
    def attribute(self, X, **kwargs):
        return super().attribute(np.nan_to_num(X, posinf=np.inf, neginf=-np.inf), **kwargs)


@fault("check_bad_input", "ValueError of fit with no y, got TypeError")
class WantsY(SaliencyGuidedClassifier):
    def fit(self, X, y=None, **kwargs):
        if y is None:
            raise TypeError("no y")
        return super().fit(X, y, **kwargs)


# persistence


@fault("check_pickle", "parameters after pickle, got other values of")
class ForgetsWeights(SaliencyGuidedClassifier):
    def __setstate__(self, state):
        super().__setstate__(state)
        with torch.no_grad():
            for parameter in self.module_.parameters():
                parameter.zero_()


@fault("check_pickle", "equal parameters after pickle, got other values of .'mask_fraction'")
class ForgetsParameter(SaliencyGuidedClassifier):
    def __setstate__(self, state):
        super().__setstate__(state)
        vars(self)["mask_fraction"] = "auto"


@fault("check_pickle", "the same values of attribute after pickle, got others")
class ExplainsLessAfterwards(SaliencyGuidedClassifier):
    loaded_ = False

    def __setstate__(self, state):
        super().__setstate__(state)
        self.loaded_ = True

    def attribute(self, X, **kwargs):
        values = super().attribute(X, **kwargs)
        return values * 0 if self.loaded_ else values


@fault("check_pickle", "the same values of predict after copy.deepcopy, got others")
class CopyPredictsOtherwise(SaliencyGuidedClassifier):
    copied_ = False

    def __deepcopy__(self, memo):
        other = type(self).__new__(type(self))
        vars(other).update(vars(self))
        other.copied_ = True
        return other

    def predict(self, X):
        return super().predict(X) * (not self.copied_)


# weights


@fault("check_sample_weight", "of a fit with weights of 1 as without weights, to 1e-5")
class ScalesByWeight(SaliencyGuidedClassifier):
    def fit(self, X, y=None, sample_weight=None, **kwargs):
        X = X if sample_weight is None else X * 1.01
        return super().fit(X, y, sample_weight=sample_weight, **kwargs)


@fault("check_sample_weight", "whatever the rows of weight 0 are")
class IgnoresWeights(SaliencyGuidedClassifier):
    def fit(self, X, y=None, sample_weight=None, **kwargs):
        return super().fit(X, y, **kwargs)
