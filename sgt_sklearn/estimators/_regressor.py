"""Saliency guided regression."""

import numpy as np
import torch
from sklearn.utils.validation import column_or_1d
from skorch import NeuralNetRegressor
from skorch.utils import is_dataset, to_numpy

from sgt_sklearn.estimators._base import SaliencyGuidedEstimator


class SaliencyGuidedRegressor(SaliencyGuidedEstimator, NeuralNetRegressor):
    """Neural network regressor whose gradient explanations are trained to point at what it uses.

    While it trains, the least salient features of each sample are hidden and the network is
    asked not to change its output (saliency guided training). Without further arguments it takes
    tables, time series and images, and standardises inputs and targets itself; predictions and
    attributions are in the units of X and y.

    Parameters
    ----------
    module : str, torch module class or instance, default="auto"
        The network, see :class:`SaliencyGuidedClassifier`. A module of your own gets X and y as
        passed (y of shape (n_samples, n_outputs) for ``MSELoss``), without standardisation.
    criterion : "auto" or torch criterion class, default="auto"
        "auto": ``MSELoss``, on standardised targets where the module is given by name.
    optimizer : "auto" or torch optimizer class, default="auto"
        See :class:`SaliencyGuidedClassifier`. Arguments go by `optimizer__*`.
    lr : float or "auto", default="auto"
        Learning rate, "auto" as for :class:`SaliencyGuidedClassifier`.
    max_epochs : int, default=50
        Passes over the training data.
    batch_size : int, default=32
        Rows a step; -1 takes all.
    iterator_train : class, default=torch.utils.data.DataLoader
        Batches; data in memory is sliced, with the same results.
    iterator_train__shuffle : bool, default=True
        New order in each epoch.
    iterator_valid : class, default=torch.utils.data.DataLoader
        Batches for validation and prediction.
    dataset, train_split, callbacks, predict_nonlinearity, warm_start, verbose, device, compile, \
use_caching, torch_load_kwargs
        See :class:`SaliencyGuidedClassifier`.
    mask_fraction, mask_schedule, consistency_weight, mask_order, saliency_output, mask_fill, \
mask_value, feature_groups, guided_input, embedding, consistency, saliency_pass, random_state
        The guidance, see :class:`SaliencyGuidedClassifier`. What ranks is the gradient of the sum
        of the (standardised) outputs; `consistency` "auto" is the squared difference.
    **kwargs
        `module__*`, `optimizer__*`, `criterion__*`, `iterator_train__*`, `callbacks__*`.

    Attributes
    ----------
    n_features_in_ : int
        Columns; features of series; channels of images; 1 for tokens.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has string names.
    feature_importances_ : ndarray of shape ``X.shape[1:]``
        Mean absolute standardised gradient over training rows, normalised to sum to 1; none for
        tokens.
    feature_groups_ : ndarray of int, shape ``X.shape[1:]``
        Labels of the groups in use.
    target_scale_ : ndarray of shape (n_outputs,)
        Population standard deviation of each target in training.
    module_ : torch.nn.Module
        The trained network.
    history_ : skorch.history.History
        Losses an epoch: `train_loss` (total), `train_task_loss`, `train_consistency_loss`, and
        `valid_loss` (the task only), and the `mask_fraction` in use.

    See Also
    --------
    SaliencyGuidedClassifier : The same for classification.

    References
    ----------
    Ismail, Corrada Bravo, Feizi. "Improving deep learning interpretability by saliency guided
    training". NeurIPS 2021. arXiv 2111.14338.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sgt_sklearn import SaliencyGuidedRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> net = SaliencyGuidedRegressor(max_epochs=10, random_state=0).fit(X, y)
    >>> net.predict(X[:3]).shape
    (3,)
    """

    _numeric_targets = True
    _targets_are = "one finite number, or one row of them, for each row of X"
    _auto_criterion = torch.nn.MSELoss
    _target_mean_ = None
    _one_dimensional_ = False

    def _encode_targets(self, X, y, fresh, classes):
        if classes is not None:
            raise TypeError("classes is for classifiers; a regressor has none.")
        if y is None:
            if self._has_named_module() or not is_dataset(X):
                raise ValueError(
                    f"{type(self).__name__} requires y to be passed, but the target y is None."
                )
            return y
        targets = np.asarray(to_numpy(y), dtype=np.float64)
        if not self._has_named_module():
            self.target_scale_ = np.atleast_1d(self._target_statistics(targets)[1])
            return y
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = column_or_1d(targets, warn=True)
        one_dimensional = targets.ndim == 1
        targets = targets.reshape(len(targets), -1)
        if fresh:
            self._one_dimensional_ = one_dimensional
            self._target_mean_, self.target_scale_ = self._target_statistics(targets)
        elif targets.shape[1] != len(self.target_scale_):
            raise ValueError(
                f"y must have {len(self.target_scale_)} outputs as in the first fit, got "
                f"{targets.shape[1]}."
            )
        return ((targets - self._target_mean_) / self._divisor()).astype(np.float32)

    def _target_statistics(self, targets):
        mean = np.average(targets, axis=0, weights=self._weights_)
        squares = np.average((targets - mean) ** 2, axis=0, weights=self._weights_)
        return mean, np.where(np.ptp(targets, axis=0) == 0, 0.0, np.sqrt(squares))

    def _divisor(self):
        return np.where(self.target_scale_ == 0, 1.0, self.target_scale_)

    def _n_outputs(self, y):
        return None if y is None else (1 if y.ndim == 1 else y.shape[1])

    def predict(self, X):
        """Predict the targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions in units of y.
        """
        # skorch names the raw output predict_proba, which a regressor of scikit-learn has not
        output = NeuralNetRegressor.predict_proba.__get__(self)(X)
        if self._is_encoded(X) or not self._has_named_module():
            return output
        values = output.astype(np.float64) * self._divisor() + self._target_mean_
        # single precision says what a single-precision network knows; scikit-learn asks for
        # double precision of several outputs
        return values[:, 0].astype(np.float32) if self._one_dimensional_ else values

    @property
    def predict_proba(self):
        """Not available: a regressor has no probabilities."""
        raise AttributeError(f"{type(self).__name__} has no predict_proba; use predict.")

    def _output_scale(self):
        return self._divisor() if self._has_named_module() else None
