"""What the default estimators promise scikit-learn, beside the guidance."""

from contextlib import contextmanager

import torch
from skorch import NeuralNet
from skorch.callbacks.scoring import ScoringBase
from skorch.dataset import Dataset
from skorch.utils import is_dataset
from torch.utils.data import DataLoader

from sgt_sklearn.estimators._checks import (
    check_output_fits,
    check_training_parameters,
    named_parameters,
)
from sgt_sklearn.estimators._importances import ImportancesMixin
from sgt_sklearn.estimators._inputs import without_excess
from sgt_sklearn.estimators._meant_names import check_arguments
from sgt_sklearn.estimators._mixin import SaliencyGuidedMixin
from sgt_sklearn.estimators._named import accepted_sizes, check_module, named_module
from sgt_sklearn.estimators._optimizer import OptimizerMixin
from sgt_sklearn.estimators._parameters import is_auto
from sgt_sklearn.estimators._persistence import PersistenceMixin
from sgt_sklearn.estimators._session import fit_session
from sgt_sklearn.estimators._validation import ValidationMixin
from sgt_sklearn.estimators._validation_sets import ValidationSetsMixin
from sgt_sklearn.modules import StandardizedInput

# what a subclass overrides to add modules and criteria, whose names then are prefixes
_PARTS = (
    *("initialize", "initialize_module", "initialize_criterion", "initialize_optimizer"),
    *("_validate_params", "prefixes_"),
)
_SKORCH_STATE = ("history_", "initialized_", "virtual_params_")


class SaliencyGuidedEstimator(
    ValidationMixin,
    ValidationSetsMixin,
    OptimizerMixin,
    SaliencyGuidedMixin,
    ImportancesMixin,
    PersistenceMixin,
):
    """Base of the classifier and the regressor; put before a skorch net class."""

    # class attributes and not instance attributes, so that a new estimator holds its parameters
    # and nothing else
    history_ = None
    initialized_ = False
    virtual_params_ = {}
    _encoded_ = False
    _output_checked_ = False
    _data_seen_ = False

    def __init__(
        self,
        module="auto",
        *,
        criterion="auto",
        optimizer="auto",
        lr="auto",
        max_epochs=50,
        batch_size=32,
        iterator_train=DataLoader,
        iterator_train__shuffle=True,
        iterator_valid=DataLoader,
        dataset=Dataset,
        train_split=None,
        callbacks=None,
        predict_nonlinearity="auto",
        warm_start=False,
        verbose=0,
        device="auto",
        compile=False,
        use_caching="auto",
        torch_load_kwargs=None,
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
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=iterator_train,
            iterator_train__shuffle=iterator_train__shuffle,
            iterator_valid=iterator_valid,
            dataset=dataset,
            train_split=train_split,
            callbacks=callbacks,
            predict_nonlinearity=predict_nonlinearity,
            warm_start=warm_start,
            verbose=verbose,
            device=device,
            compile=compile,
            use_caching=use_caching,
            torch_load_kwargs=torch_load_kwargs,
            mask_fraction=mask_fraction,
            mask_schedule=mask_schedule,
            consistency_weight=consistency_weight,
            mask_order=mask_order,
            saliency_output=saliency_output,
            mask_fill=mask_fill,
            mask_value=mask_value,
            feature_groups=feature_groups,
            guided_input=guided_input,
            embedding=embedding,
            consistency=consistency,
            saliency_pass=saliency_pass,
            random_state=random_state,
            **kwargs,
        )
        for name in _SKORCH_STATE:
            vars(self).pop(name, None)
        self._check_names(kwargs, TypeError)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls._init_names_ |= named_parameters(cls.__init__)

    def __setattr__(self, name, attr):
        if name in self._init_names_:
            # a parameter may be a module or criterion instance at any time
            object.__setattr__(self, name, attr)
        else:
            super().__setattr__(name, attr)

    @property
    def _params_to_validate(self):
        names = {k for k in vars(self) if not k.endswith("_") and not k.startswith("_")}
        return names - self._init_names_

    @_params_to_validate.setter
    def _params_to_validate(self, names):
        pass  # told from the attributes

    def _check_names(self, names, kind):
        """Refuse unknown names at once, unless a subclass may add a part with a prefix."""
        if any(getattr(type(self), name) is not part for name, part in self._parts_.items()):
            return
        # check_estimator of scikit-learn takes kwargs for a parameter
        known = self._init_names_ | {"kwargs"}
        unknown = [n for n in names if n not in known and not self._passes_on(n)]
        if unknown:
            raise kind(self._refusal(unknown))

    def set_params(self, **kwargs):
        """Set parameters.

        Parameters
        ----------
        **kwargs
            Values by name, names as in `get_params`.

        Returns
        -------
        self
            The estimator.
        """
        named = [name for name in kwargs if "__" in name]  # of others scikit-learn says so
        self._check_names(named, ValueError)
        if "callbacks" in kwargs and not self.initialized_:
            # skorch would already look into them here; what they are is checked by fit
            self.callbacks = kwargs.pop("callbacks")
        before = dict(vars(self))
        try:
            return super().set_params(**kwargs)
        except BaseException:
            # skorch sets the parameters first, and then builds anew what they change
            vars(self).clear()
            vars(self).update(before)
            raise

    # fitting

    def fit(self, X, y=None, sample_weight=None, **fit_params):
        """Fit the net anew (unless `warm_start`).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), (n_samples, n_timesteps, n_features) or \
(n_samples, n_channels, height, width), or list of arrays of shape (n_timesteps_i, n_features)
            Training data: tables, series (padded at the end with steps of NaN, or a list, where
            lengths differ), images, or for text networks integer token ids of shape (n_samples,
            n_tokens). A module of your own takes whatever skorch takes.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels or targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; both loss terms of a batch become ``sum w_i l_i / sum w_i``. A sample of
            weight 0 is left out: nothing depends on it, not even `classes_`.
        **fit_params
            Passed on to the module and the train split, as in skorch.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            For input or parameters that cannot be fitted; the estimator is then as it was before.
        """
        fresh = not (self.warm_start and self.initialized_)
        with fit_session(self, fresh=fresh):
            X, y = self._prepare_fit(X, y, fresh, sample_weight)
            with self._encoding():
                super().fit(X, y, **fit_params)
                self._note_importances(X)
        return self

    def partial_fit(self, X, y=None, classes=None, sample_weight=None, **fit_params):
        """Go on fitting for `max_epochs` epochs.

        Parameters
        ----------
        X : array-like
            Training data, as for `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels or targets.
        classes : array-like, default=None
            All labels that may occur, for a classifier's first call; None takes those of `y`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, as for `fit`.
        **fit_params
            Passed on to the module and the train split, as in skorch.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError, TypeError
            For input or parameters that cannot be fitted; the estimator is then as it was before.
        """
        if self._encoded_:
            return super().partial_fit(X, y, **fit_params)
        fresh = not self.initialized_
        with fit_session(self, fresh=fresh):
            X, y = self._prepare_fit(X, y, fresh, sample_weight, classes, partial=True)
            with self._encoding():
                super().partial_fit(X, y, **fit_params)
                self._note_importances(X)
        return self

    @contextmanager
    def _encoding(self):
        """Inside, inputs are taken as they are, and predictions stay encoded as y is."""
        self._encoded_ = True
        try:
            yield
        finally:
            self._encoded_ = False

    def _call_back(self, callback, event, cb_kwargs):
        # skorch's scores compare predictions with y as the network gets it; the user's callbacks
        # hold data as they were passed
        if not self._encoded_ or isinstance(callback, ScoringBase):
            super()._call_back(callback, event, cb_kwargs)
            return
        vars(self)["_encoded_"] = False
        try:
            super()._call_back(callback, event, cb_kwargs)
        finally:
            vars(self)["_encoded_"] = True

    def _is_encoded(self, X):
        """Whether inputs are those of the fit under way, whose targets are encoded."""
        return self._encoded_ or (self._session_ and is_dataset(X))

    def _prepare_fit(self, X, y, fresh, sample_weight, classes=None, partial=False):
        check_training_parameters(self)
        self._output_checked_ = False
        # a net that was only initialised goes on fitting, but from its first data
        fresh = fresh or not self._data_seen_
        self._data_seen_ = True
        if fresh:
            self._statistics_ = self._importances_ = self._sizes_ = None
        passed = X
        X, y = self._prepare_data(X, y, fresh)
        X, y = self._take_weights(X, y, sample_weight)
        labels, y = y, self._encode_targets(X, y, fresh, classes)
        X, y = self._weigh_classes(X, y, labels, partial)
        if self._has_named_module():
            X = without_excess(X, passed)
        if self._has_arrays(X):
            self._describe_inputs(X, y, fresh)
        return X, y

    def _weigh_classes(self, X, y, labels, partial):
        return X, y

    # module and criterion

    def initialize(self):
        """Initialise modules, criterion, optimizer and callbacks.

        Returns
        -------
        self
            The initialised estimator.
        """
        if self._session_:
            return super().initialize()
        with fit_session(self, fresh=True):
            self._data_seen_ = False
            return super().initialize()

    def initialize_module(self):
        """Build the module, sized from the data where its constructor asks for sizes.

        Returns
        -------
        self
            The estimator.
        """
        check_module(self.module)
        module, kwargs = self.module, self.get_params_for("module")
        if isinstance(module, torch.nn.Module) and not kwargs:
            return super().initialize_module()
        named = self._has_named_module()
        if named:
            if self._sizes_ is None:
                raise ValueError(
                    f"module={module!r} is sized from the training data: call fit(X, y), or pass "
                    "a module class with all its sizes to initialize() before."
                )
            module = named_module(module, self._input_kind_)
        check_arguments("module", module, kwargs)
        built = self.initialized_instance(module, accepted_sizes(module, self._sizes_) | kwargs)
        if named and self._statistics_ is not None:
            built = StandardizedInput(built, self._statistics_.mean, self._statistics_.scale)
        self.module_ = built
        return self

    def initialize_criterion(self):
        """Build the criterion; "auto" is the one that belongs to the task.

        Returns
        -------
        self
            The estimator.
        """
        criterion = self.criterion
        if is_auto(criterion):
            criterion = self._auto_criterion
        elif isinstance(criterion, str) or not callable(criterion):
            kind = ValueError if isinstance(criterion, str) else TypeError
            raise kind(
                "criterion must be 'auto', or a torch criterion class or instance, got "
                f"{criterion!r}."
            )
        kwargs = self.get_params_for("criterion")
        check_arguments("criterion", criterion, kwargs)
        self.criterion_ = self.initialized_instance(criterion, kwargs)
        return self

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Loss of a batch, see :class:`SaliencyGuidedMixin`.

        Parameters
        ----------
        y_pred : torch.Tensor or tuple
            Output of the module.
        y_true : torch.Tensor
            Encoded targets.
        X : array or tensor, default=None
            Inputs of the batch.
        training : bool, default=False
            Whether this is a training step.

        Returns
        -------
        torch.Tensor
            The loss.

        Raises
        ------
        ValueError
            If the output of the module does not fit the criterion, on the first batch of a fit.
        """
        if not self._output_checked_:
            check_output_fits(self.criterion_, y_pred, y_true)
            self._output_checked_ = True
        return super().get_loss(y_pred, y_true, X=X, training=training)

    # prediction

    def forward_iter(self, X, training=False, device="cpu"):
        """Iterate over the module's outputs for batches of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs.
        training : bool, default=False
            Whether to put the module into training mode.
        device : str, default="cpu"
            Where the outputs are put.

        Returns
        -------
        iterator of torch.Tensor
            One output a batch.
        """
        self.check_is_fitted()
        if not self._is_encoded(X):
            X = self._validate_inputs(X)
        return super().forward_iter(X, training=training, device=device)

    def _attribution_input(self, X):
        return super()._attribution_input(X if self._encoded_ else self._validate_inputs(X))

    def _batch_size(self, training):
        if training or self._session_ or not self._has_named_module():
            return self.batch_size
        # fewer, larger passes; those of other inputs stay small, whose activations fall out of the
        # caches, and of attention grow with the square of the length
        return max(self.batch_size, 1024 if self._input_kind_ == "tabular" else 64)

    def _check_not_all_dropped(self, dataset, batch_size):
        try:
            n_samples = len(dataset)
        except TypeError:  # a stream
            return
        if isinstance(batch_size, int) and n_samples < batch_size:
            raise ValueError(
                "iterator_train__drop_last must be False unless there is a full batch to train "
                f"on, got True with batch_size={batch_size} for {n_samples} rows: lower "
                "batch_size."
            )


SaliencyGuidedEstimator._init_names_ = named_parameters(SaliencyGuidedEstimator.__init__)
SaliencyGuidedEstimator._parts_ = {
    name: getattr(SaliencyGuidedEstimator, name, getattr(NeuralNet, name)) for name in _PARTS
}
