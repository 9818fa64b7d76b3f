"""What the default estimators promise scikit-learn, beside the guidance."""

from contextlib import contextmanager

import numpy as np
import torch
from sklearn.utils.validation import check_array, check_consistent_length, validate_data
from skorch.dataset import Dataset
from skorch.utils import is_dataset, to_numpy
from torch.utils.data import DataLoader

from sgt_sklearn._statistics import FeatureStatistics
from sgt_sklearn.estimators._checks import (
    check_output_fits,
    check_training_parameters,
    named_parameters,
    naming,
)
from sgt_sklearn.estimators._importances import ImportancesMixin
from sgt_sklearn.estimators._inputs import as_columns, writable
from sgt_sklearn.estimators._mixin import SaliencyGuidedMixin
from sgt_sklearn.estimators._named import (
    accepted_sizes,
    check_axes,
    check_module,
    named_module,
    sizes_of,
)
from sgt_sklearn.estimators._parameters import group_labels, is_auto, resolve_auto
from sgt_sklearn.estimators._persistence import PersistenceMixin
from sgt_sklearn.estimators._session import fit_session
from sgt_sklearn.modules import StandardizedInput

_INPUTS_ARE = (
    "finite and real, of shape (n_samples, n_features) or (n_samples, n_channels, height, width)"
)

_SKORCH_STATE = ("history_", "initialized_", "virtual_params_")


class SaliencyGuidedEstimator(SaliencyGuidedMixin, ImportancesMixin, PersistenceMixin):
    """Base of the classifier and the regressor; put before a skorch net class."""

    # class attributes and not instance attributes, so that a new estimator holds its parameters
    # and nothing else
    history_ = None
    initialized_ = False
    virtual_params_ = {}
    _encoded_ = False
    _output_checked_ = False
    _data_seen_ = False
    _input_shape_ = None
    _sizes_ = None

    def __init__(
        self,
        module="auto",
        *,
        criterion="auto",
        optimizer=torch.optim.Adam,
        lr=3e-3,
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
            consistency=consistency,
            saliency_pass=saliency_pass,
            random_state=random_state,
            **kwargs,
        )
        for name in _SKORCH_STATE:
            vars(self).pop(name, None)

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
        return names - self._init_names_ - {"classes"}

    @_params_to_validate.setter
    def _params_to_validate(self, names):
        pass  # told from the attributes

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
        if "callbacks" in kwargs and not self.initialized_:
            # skorch would already look into them here; what they are is checked by fit
            self.callbacks = kwargs.pop("callbacks")
        return super().set_params(**kwargs)

    # fitting

    def fit(self, X, y=None, sample_weight=None, **fit_params):
        """Fit the net anew (unless `warm_start`).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, n_channels, height, width)
            Training data; a module of your own takes whatever skorch takes.
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
        X : array-like of shape (n_samples, n_features) or (n_samples, n_channels, height, width)
            Training data.
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
        """Inside, predictions stay encoded: skorch's callbacks compare them with encoded y."""
        self._encoded_ = True
        try:
            yield
        finally:
            self._encoded_ = False

    def _prepare_fit(self, X, y, fresh, sample_weight, classes=None, partial=False):
        check_training_parameters(self)
        self._output_checked_ = False
        # a net that was only initialised goes on fitting, but from its first data
        fresh = fresh or not self._data_seen_
        self._data_seen_ = True
        if fresh:
            self._statistics_ = self._importances_ = self._sizes_ = None
        check_module(self.module)
        if self._has_named_module():
            if is_dataset(X):
                raise TypeError(
                    f"X must be an array when module={self.module!r} (the network is sized and "
                    f"scaled from it), got {type(X).__name__}: pass a module of your own."
                )
            X, y = self._validate_arrays(X, y, fresh)
        elif not is_dataset(X):
            if hasattr(X, "shape") and 0 in X.shape:
                raise ValueError(f"X must have rows and features, got shape {tuple(X.shape)}.")
            self._record_features(X, fresh)
            X, y = writable(self._columns(X)), writable(y)
        X, y = self._take_weights(X, y, sample_weight)
        labels, y = y, self._encode_targets(X, y, fresh, classes)
        X, y = self._weigh_classes(X, y, labels, partial)
        if isinstance(X, (np.ndarray, torch.Tensor)) and X.ndim > 1:
            self._describe_inputs(X, y, fresh)
        return X, y

    def _weigh_classes(self, X, y, labels, partial):
        return X, y

    def _has_named_module(self):
        return isinstance(self.module, str)

    def _validate_arrays(self, X, y, fresh):
        X = self._validate_array(X, reset=fresh)
        if y is not None:
            with naming("y", self._targets_are):
                kind = np.float64 if self._numeric_targets else None
                y = check_array(y, ensure_2d=False, dtype=kind, input_name="y", estimator=self)
                check_consistent_length(X, y)
        check_axes(self.module, X.shape)
        if not fresh:
            self._check_shape(X)
        return X, y

    def _validate_array(self, X, reset):
        with naming("X", _INPUTS_ARE):
            X = validate_data(self, X, reset=reset, dtype=np.float32, allow_nd=True)
        return writable(X)

    def _record_features(self, X, fresh):
        if not hasattr(X, "shape") or len(X.shape) < 2:
            return
        if len(X.shape) != 3:
            validate_data(self, X, reset=fresh, skip_check_array=True)
        elif fresh:
            self.n_features_in_ = X.shape[-1]
        elif X.shape[-1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[-1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input: the last axis of X must be that of the "
                "first fit."
            )

    def _describe_inputs(self, X, y, fresh):
        """Settle everything that the shape and spread of the training data decide."""
        shape = tuple(X.shape[1:])
        settings = {"feature_groups": "cell"}
        if X.ndim in (2, 3, 4) or not is_auto(self.feature_groups):
            settings = resolve_auto(self.get_guidance_params(), X.ndim)
        labels = group_labels(settings["feature_groups"], shape)
        if labels is None:
            labels = np.arange(int(np.prod(shape))).reshape(shape)
        self.feature_groups_ = labels
        self._input_shape_ = shape
        if not fresh:
            return
        array = to_numpy(X)
        if array.dtype.kind == "f":
            self._statistics_ = FeatureStatistics.from_array(array, self._weights_)
        self._sizes_ = sizes_of(X.shape, self._n_outputs(y))

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
            module = named_module(module, len(self._input_shape_) + 1)
        built = self.initialized_instance(module, accepted_sizes(module, self._sizes_) | kwargs)
        if named:
            built = StandardizedInput(built, self._statistics_.mean, self._statistics_.scale)
        self.module_ = built
        self._note_dtype()
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
        self.criterion_ = self.initialized_instance(criterion, self.get_params_for("criterion"))
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
        if not self._encoded_:
            X = self._validate_inputs(X)
        return super().forward_iter(X, training=training, device=device)

    def _validate_inputs(self, X):
        if self._has_named_module():
            if len(self._input_shape_) > 1 and np.ndim(X) != 1 + len(self._input_shape_):
                raise ValueError(
                    f"X must hold samples of shape {self._input_shape_}, got shape {np.shape(X)}: "
                    "one image alone needs X[None], grey images X[:, None]."
                )
            X = self._validate_array(X, reset=False)
            self._check_shape(X)
        elif hasattr(self, "n_features_in_"):
            self._record_features(X, fresh=False)
        return writable(self._columns(X))

    def _columns(self, X):
        # what skorch's data set does with a DataFrame row by row
        return as_columns(X) if self.dataset is Dataset else X

    def _check_shape(self, X):
        if X.shape[1:] != self._input_shape_:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but {type(self).__name__} was fitted on "
                f"samples of shape {self._input_shape_}."
            )

    def _attribution_input(self, X):
        return super()._attribution_input(X if self._session_ else self._validate_inputs(X))

    def _batch_size(self, training):
        if training or self._session_ or not self._has_named_module():
            return self.batch_size
        # fewer, larger passes; images stay small, whose activations fall out of the caches
        return max(self.batch_size, 1024 if len(self._input_shape_) == 1 else 64)


SaliencyGuidedEstimator._init_names_ = named_parameters(SaliencyGuidedEstimator.__init__)
