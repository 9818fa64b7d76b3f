"""Saliency guided training for any skorch net."""

from contextlib import nullcontext
from functools import partial
from numbers import Integral

import torch
from skorch import NeuralNet
from skorch.dataset import unpack_data
from skorch.history import History
from skorch.utils import to_tensor

from sgt_sklearn._random import isolated_generators, mask_seed
from sgt_sklearn.attribution import first_output
from sgt_sklearn.estimators._accelerate import ProcessesMixin
from sgt_sklearn.estimators._attribute import AttributionMixin
from sgt_sklearn.estimators._batches import BatchesMixin
from sgt_sklearn.estimators._callbacks import CallingMixin, ListeningMixin
from sgt_sklearn.estimators._device import DeviceMixin
from sgt_sklearn.estimators._guidance import Guidance, inside_criterion, training_statistics
from sgt_sklearn.estimators._inputs import cast_floats
from sgt_sklearn.estimators._masked_samples import MaskingMixin
from sgt_sklearn.estimators._parameters import unwrap
from sgt_sklearn.estimators._reporting import ReportingMixin
from sgt_sklearn.estimators._resume import ResumeMixin
from sgt_sklearn.estimators._session import fit_session
from sgt_sklearn.estimators._weights import (
    WeightsMixin,
    as_if_counted,
    split_weight,
    unreduced,
)
from sgt_sklearn.guidance import weighted_loss

GUIDANCE_PARAMETERS = (
    "mask_fraction",
    "mask_schedule",
    "consistency_weight",
    "mask_order",
    "saliency_output",
    "mask_fill",
    "mask_value",
    "feature_groups",
    "guided_input",
    "embedding",
    "consistency",
    "saliency_pass",
    "random_state",
)

_TRANSIENT = ("_guidance_", "_session_", "_encoded_", "_in_training_", "_listeners_", "_weights_")
_TRANSIENT += ("_resumption_",)
_LOSS_NAMES = ("train_task_loss", "train_consistency_loss")


class SaliencyGuidedMixin(
    ReportingMixin,
    AttributionMixin,
    MaskingMixin,
    DeviceMixin,
    WeightsMixin,
    ListeningMixin,
    ResumeMixin,
    BatchesMixin,
    ProcessesMixin,
    CallingMixin,
):
    """Saliency guided training for a skorch net of your own; put it before the net class.

    For each batch the net ranks the features by the gradient of its output with respect to the
    input, hides the least salient ones, and adds to the loss how much its output changes:
    ``loss = task + consistency_weight * divergence(f(X), f(masked X))``.

    Parameters
    ----------
    *args
        Passed on to the net class.
    mask_fraction : float or "auto", default="auto"
        Share k of the feature groups that is hidden, in [0, 1]. "auto": .5.
    mask_schedule : {"auto", "constant", "ramp"}, default="auto"
        "ramp" trains a quarter of `max_epochs` without guidance, raises the share linearly over
        60 % of the rest, then holds it. "auto": constant.
    consistency_weight : float, default=1.0
        Weight lambda of the consistency term. 0 switches guidance off and costs nothing.
    mask_order : {"auto", "signed", "absolute", "sampled", "random"}, default="auto"
        What is hidden first: the lowest gradient; the lowest absolute gradient times the feature's
        standard deviation; a draw weighted by that; or any feature (the control that shows what
        masking does without saliency). "auto": absolute, and sampled for series.
    saliency_output : {"auto", "log_proba", "logit", "margin"}, default="auto"
        Scalar whose input gradient ranks: log p(y | x), the logit z_y, or z_y minus the mean
        logit. "auto": margin.
    mask_fill : str or callable, default="auto"
        Replacement: "sample_uniform", "feature_uniform", "marginal", "mean", "constant", or a
        callable ``(x, generator) -> tensor``; see :func:`sgt_sklearn.guidance.fill_values`.
        "auto": feature_uniform for tables, marginal for series, sample_uniform for images.
    mask_value : float, default=0.0
        Value of the "constant" fill, in units of X.
    feature_groups : str or array-like of shape ``X.shape[1:]``, default="auto"
        What is ranked and hidden as one: "cell", "feature", "pixel" (all channels), or labels
        (one-hot columns of one variable share a label). "auto": cell, and pixel for images.
    guided_input : "auto", str, int or list, default="auto"
        What is masked and explained where X is a dict or tuple of arrays, or a DataFrame, for a
        module of your own: a key, a position, or a list of them. "auto": "X" of a dict, the first
        of a tuple.
    embedding : str, default="auto"
        Of a module of your own that gets integer token ids: the submodule that turns them into
        vectors, by its name in ``named_modules()``. Tokens are ranked and explained by the
        gradient at its output. "auto" knows the text networks that are given by name.
    consistency : {"auto", "categorical_kl", "bernoulli_kl", "squared_difference"} or callable, \
default="auto"
        Divergence, or ``(output, masked_output) -> (n_samples,)``. "auto": the one that belongs to
        the criterion.
    saliency_pass : {"auto", "shared", "separate"}, default="auto"
        Rank by the gradient of the clean training pass or of a pass in evaluation mode. "auto"
        shares where a probe of the first batch shows that both are the same.
    random_state : int, RandomState instance or None, default=None
        None uses and advances the global generators, as skorch does. An int makes `fit`
        reproducible and leaves the global generators alone; masks have a generator of their own,
        so that nets trained with and without guidance share initialisation, batches and dropout.
    **kwargs
        Passed on to the net class.

    References
    ----------
    Ismail, Corrada Bravo, Feizi. "Improving deep learning interpretability by saliency guided
    training". NeurIPS 2021. arXiv 2111.14338.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skorch import NeuralNetBinaryClassifier
    >>> from sgt_sklearn import SaliencyGuidedMixin
    >>> class GuidedBinaryClassifier(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    ...     pass
    >>> X = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
    >>> y = (X[:, 0] > 0).astype("float32")
    >>> net = GuidedBinaryClassifier(
    ...     torch.nn.Linear, module__in_features=5, module__out_features=1,
    ...     max_epochs=2, train_split=None, verbose=0, random_state=0)
    >>> net.fit(X, y).attribute(X[:3]).shape
    (3, 5)
    """

    # state; the names end in _ so that skorch takes none for a parameter
    _guidance_ = None
    _session_ = False
    _in_training_ = None
    _seed_ = None
    _generator_states_ = None
    _mask_state_ = {}  # replaced, never written to
    _statistics_ = None

    def __init__(
        self,
        *args,
        mask_fraction="auto",
        mask_schedule="auto",
        consistency_weight=1.0,
        mask_order="auto",
        saliency_output="auto",
        mask_fill="auto",
        mask_value=0.0,
        feature_groups="auto",
        guided_input="auto",
        embedding="auto",
        consistency="auto",
        saliency_pass="auto",
        random_state=None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.mask_fraction = mask_fraction
        self.mask_schedule = mask_schedule
        self.consistency_weight = consistency_weight
        self.mask_order = mask_order
        self.saliency_output = saliency_output
        self.mask_fill = mask_fill
        self.mask_value = mask_value
        self.feature_groups = feature_groups
        self.guided_input = guided_input
        self.embedding = embedding
        self.consistency = consistency
        self.saliency_pass = saliency_pass
        self.random_state = random_state

    def get_guidance_params(self):
        """Return the parameters of the guidance.

        Returns
        -------
        dict
            Values by name, as passed.
        """
        return {name: getattr(self, name) for name in GUIDANCE_PARAMETERS}

    def __getstate__(self):
        # a copy taken inside a fit (a checkpoint) is a net of its own, outside of any fit
        state = super().__getstate__()
        return {k: v for k, v in state.items() if k not in _TRANSIENT}

    def set_params(self, **kwargs):
        """Set parameters; those of an initialised module build it anew, as in skorch.

        Parameters
        ----------
        **kwargs
            Values by name, names as in `get_params`.

        Returns
        -------
        self
            The net.
        """
        if self.random_state is None or self._session_ or not self.initialized_:
            return super().set_params(**kwargs)
        seed = self.random_state if isinstance(self.random_state, Integral) else 0
        with isolated_generators(seed=int(seed)):
            return super().set_params(**kwargs)

    # fitting

    def initialize(self):
        """Initialise modules, criterion, optimizer and callbacks.

        Returns
        -------
        self
            The initialised net.
        """
        if not self._session_:
            with fit_session(self, fresh=True):
                return self.initialize()
        self._settle_device()
        return super().initialize()

    def initialize_history(self):
        """Start a new history; the old one stays with whoever holds it.

        Returns
        -------
        self
            The net.
        """
        self.history_ = History()
        return self

    @property
    def _module_dtype_(self):
        # read whenever it is needed, as a module may be converted at any time
        module = getattr(self, "module_", None)
        parameters = module.parameters() if isinstance(module, torch.nn.Module) else ()
        return next((p.dtype for p in parameters if p.is_floating_point()), None)

    def fit(self, X, y=None, sample_weight=None, **fit_params):
        """Fit the net anew (unless `warm_start`).

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or anything skorch takes
            Training data.
        y : array-like, default=None
            Targets; None where X is a data set that holds them.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; both loss terms of a batch become ``sum w_i l_i / sum w_i``, and samples of
            weight 0 are left out. The criterion must have the attribute `reduction`.
        **fit_params
            Passed on to the module and the train split, as in skorch.

        Returns
        -------
        self
            The fitted net. If fitting raises, the net is as it was before.
        """
        fresh = not (self.warm_start and self.initialized_)
        starts = fresh and not self._session_
        with fit_session(self, fresh=fresh):
            if starts:
                self._statistics_ = None
            X, y = self._take_weights(X, y, sample_weight)
            return super().fit(X, y, **fit_params)

    def partial_fit(self, X, y=None, classes=None, sample_weight=None, **fit_params):
        """Go on fitting for `max_epochs` epochs.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or anything skorch takes
            Training data.
        y : array-like, default=None
            Targets.
        classes : array-like, default=None
            All labels that may occur, for classifiers.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, as for `fit`.
        **fit_params
            Passed on to the module and the train split, as in skorch.

        Returns
        -------
        self
            The net. If fitting raises, the net is as it was before.
        """
        with fit_session(self, fresh=not self.initialized_):
            X, y = self._take_weights(X, y, sample_weight)
            return super().partial_fit(X, y, classes=classes, **fit_params)

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Run the epochs with guidance.

        Parameters
        ----------
        X, y
            Training data, as for `fit`.
        epochs : int, default=None
            Number of epochs; None takes `max_epochs`.
        **fit_params
            Passed on to the module and the train split.

        Returns
        -------
        self
            The net.
        """
        self._guidance_ = guidance = self._make_guidance(X)
        try:
            super().fit_loop(X, y, epochs, **fit_params)
        finally:
            self._guidance_ = self._in_training_ = None
            if guidance.generator is not None:
                self._mask_state_ = {"mask": guidance.generator.get_state()}
        return self

    def _make_guidance(self, X):
        seed = state = None
        if self._seed_ is not None:
            seed, state = mask_seed(self._seed_), (self._generator_states_ or {}).get("mask")
        return Guidance(self, lambda: self._feature_statistics(X), seed, state)

    def _feature_statistics(self, X):
        if self._statistics_ is None:
            self._statistics_ = training_statistics(self, X, self._weights_)
        return self._statistics_

    # one training step

    def train_step(self, batch, **fit_params):
        """Make one optimization step on a batch, with guidance.

        Parameters
        ----------
        batch : tuple
            Inputs and targets.
        **fit_params
            Passed on to the module.

        Returns
        -------
        dict
            "loss" (the total) and "y_pred" (of the clean pass).
        """
        if self._guidance_ is None or self._guidance_.in_step:
            return super().train_step(batch, **fit_params)
        self._begin_step()
        step = super().train_step(batch, **fit_params)
        self._end_step()
        return step

    def _begin_step(self):
        # called at the begin of a batch, because recipes override train_step without super()
        if self._guidance_ is not None and self.consistency_weight != 0:
            self._guidance_.begin_step(epoch=len(self.history) - 1)

    def _end_step(self):
        guidance = self._guidance_
        if guidance is None or not guidance.in_step:
            return
        guidance.check_took_part()
        for name, loss in zip(_LOSS_NAMES, guidance.end_step() or (), strict=False):
            self.history.record_batch(name, (loss.mean() if loss.ndim else loss).item())

    def train_step_single(self, batch, **fit_params):
        """Compute loss and parameter gradients of a batch.

        Parameters
        ----------
        batch : tuple
            Inputs and targets.
        **fit_params
            Passed on to the module.

        Returns
        -------
        dict
            "loss" and "y_pred".
        """
        inherited = super().train_step_single
        guidance = self._guidance_
        guided = guidance is not None and guidance.in_step
        if not guided or inherited.__func__ is not NeuralNet.train_step_single:
            return inherited(batch, **fit_params)
        self._set_training(True)
        Xi, yi = unpack_data(batch)
        y_pred = self.infer(Xi, **fit_params)
        loss = self.get_loss(y_pred, yi, X=Xi, training=True)
        if guidance.shared:
            # the input of a shared pass is a leaf too; its gradient is not needed again
            loss.backward(inputs=guidance.trained_parameters())
        else:
            loss.backward()
        return {"loss": loss, "y_pred": y_pred}

    def _set_training(self, training=True):
        # skorch walks the modules in each step; here those of the last walk are looked at first
        module, walked = self._in_training_ or (None, ())
        same = training and walked and module is getattr(self, "module_", None)
        if same and all(m.training for m in walked):
            return
        super()._set_training(training)
        if training:
            tops = [getattr(self, name + "_") for name in (*self._modules, *self._criteria)]
            walked = [m for t in tops if isinstance(t, torch.nn.Module) for m in t.modules()]
            self._in_training_ = (getattr(self, "module_", None), walked)
        elif self._in_training_ is not None:
            self._in_training_ = None

    def infer(self, x, **fit_params):
        """Run the module on a batch; in a guided training step, keep input and output.

        Parameters
        ----------
        x : array or tensor
            Inputs; floating-point ones are cast to the dtype of the module's parameters.
        **fit_params
            Passed on to the module.

        Returns
        -------
        torch.Tensor or tuple
            Output of the module.
        """
        x = self._cast(split_weight(x)[0])
        guidance = self._guidance_
        if guidance is None or not guidance.in_step or not torch.is_grad_enabled():
            return super().infer(x, **fit_params)
        inherited = super().infer
        return guidance.run(
            to_tensor(x, device=self.device),
            lambda data: inherited(data, **fit_params),
            self._beside_step(inherited, **fit_params),
        )

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Loss of a batch: the task loss, in a guided training step plus the consistency term.

        Parameters
        ----------
        y_pred : torch.Tensor or tuple
            Output of the module; of a tuple, element 0 enters a torch criterion.
        y_true : torch.Tensor
            Targets.
        X : array or tensor, default=None
            Inputs of the batch.
        training : bool, default=False
            Whether this is a training step.

        Returns
        -------
        torch.Tensor
            The loss.
        """
        output, criterion, guidance = y_pred, self.criterion_, self._guidance_
        X, weight = split_weight(X)
        if isinstance(y_pred, tuple) and isinstance(
            unwrap(criterion), torch.nn.modules.loss._Loss
        ):
            y_pred = first_output(y_pred)
        in_step = guidance is not None and training and guidance.in_step
        guided = in_step and guidance.passes
        if in_step and not guided:
            guidance.check_differentiable_output(first_output(y_pred))
        if guided or weight is not None:
            y_true = to_tensor(y_true, device=self.device)
        inherited = partial(super().get_loss, y_pred, y_true, X=X, training=training)
        if weight is None and not guided:
            return inherited()
        with nullcontext() if weight is None else unreduced(criterion) as reduction:
            counted = partial(
                as_if_counted, criterion=criterion, y=y_true, weight=weight, reduction=reduction
            )
            if not guided:
                return weighted_loss(counted(inherited()), weight, reduction=reduction)
            return inside_criterion(
                criterion,
                inherited,
                lambda task: guidance.loss(output, y_true, counted(task), weight),
            )

    def _cast(self, x):
        return cast_floats(x, self._module_dtype_)
