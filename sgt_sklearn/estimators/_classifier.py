"""Saliency guided classification."""

import numpy as np
import torch
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d
from skorch import NeuralNetClassifier
from skorch.utils import is_dataset, to_numpy

from sgt_sklearn.estimators._base import SaliencyGuidedEstimator
from sgt_sklearn.estimators._checks import naming
from sgt_sklearn.estimators._parameters import unwrap


class SaliencyGuidedClassifier(SaliencyGuidedEstimator, NeuralNetClassifier):
    """Neural network classifier whose gradient explanations are trained to point at what it uses.

    While it trains, the least salient features of each sample are hidden and the network is
    asked not to change its output (saliency guided training). Without further arguments it takes
    tables, which it standardises itself, and images.

    Parameters
    ----------
    module : {"auto", "mlp", "cnn"}, torch module class or instance, default="auto"
        The network. "auto": an MLP for 2-d and a CNN for 4-d input, sized from the data and with
        the standardisation of the input built in. Arguments go by `module__*`, for example
        ``module__hidden=(64, 64)``; see :class:`sgt_sklearn.modules.MLP`. A module of your own
        gets X and integer y as passed; sizes that its constructor takes (n_features, n_outputs,
        n_channels, height, width) are filled in. As in skorch, an instance is trained in place and
        cloned with its weights: pass the class for cross-validation and searches.
    criterion : "auto" or torch criterion class, default="auto"
        "auto": ``CrossEntropyLoss``, so the module returns logits.
    optimizer : torch optimizer class, default=torch.optim.Adam
        Arguments go by `optimizer__*`.
    lr : float, default=3e-3
        Learning rate.
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
    dataset : class, default=skorch.dataset.Dataset
        As in skorch.
    train_split : callable or None, default=None
        Internal validation, for example ``skorch.dataset.ValidSplit(0.1)``.
    callbacks : list, default=None
        As in skorch: EarlyStopping, LRScheduler, Checkpoint, ProgressBar, ...
    predict_nonlinearity : "auto", callable or None, default="auto"
        From the module's output to probabilities.
    warm_start : bool, default=False
        Whether `fit` goes on from the last fit.
    verbose : int, default=0
        1 prints a line an epoch.
    device : str, default="auto"
        "auto": cuda, else mps, else cpu.
    compile : bool, default=False
        Whether to ``torch.compile`` the module.
    use_caching, torch_load_kwargs
        As in skorch.
    mask_fraction : float or "auto", default="auto"
        Share k of the feature groups that is hidden, in [0, 1]. "auto": .5.
    mask_schedule : {"auto", "constant", "ramp"}, default="auto"
        "ramp": a quarter of `max_epochs` without guidance, then a linear rise.
    consistency_weight : float, default=1.0
        Weight lambda of the consistency term; 0 trains without guidance.
    mask_order : {"auto", "signed", "absolute", "sampled", "random"}, default="auto"
        What is hidden first. "auto": absolute.
    saliency_output : {"auto", "log_proba", "logit", "margin"}, default="auto"
        Scalar whose input gradient ranks. "auto": margin.
    mask_fill : str or callable, default="auto"
        Replacement of hidden features. "auto": uniform in the feature's training range for tables,
        uniform in the range of the sample's channel for images.
    mask_value : float, default=0.0
        Value of the "constant" fill.
    feature_groups : str or array-like of shape ``X.shape[1:]``, default="auto"
        What is ranked and hidden as one. "auto": each column; pixels with all their channels.
    consistency : str or callable, default="auto"
        Divergence between clean and masked output. "auto": Kullback-Leibler.
    saliency_pass : {"auto", "shared", "separate"}, default="auto"
        Whether ranking may use the clean training pass. "auto": where that is the same.
    random_state : int, RandomState instance or None, default=None
        An int makes `fit` reproducible and leaves global generators alone.
    **kwargs
        `module__*`, `optimizer__*`, `criterion__*`, `iterator_train__*`, `callbacks__*`, and
        `classes`, as in skorch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    n_features_in_ : int
        Columns; channels of images.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has string names.
    feature_importances_ : ndarray of shape ``X.shape[1:]``
        Mean absolute standardised gradient over training rows, normalised to sum to 1.
    feature_groups_ : ndarray of int, shape ``X.shape[1:]``
        Labels of the groups in use.
    module_ : torch.nn.Module
        The trained network.
    history_ : skorch.history.History
        Losses an epoch: `train_loss` (total), `train_task_loss`, `train_consistency_loss`, and
        `valid_loss` (the task only).

    See Also
    --------
    SaliencyGuidedRegressor : The same for regression.
    SaliencyGuidedMixin : Guidance for any skorch net; explains each guidance parameter.
    paper_settings : Parameters of the paper's authors.

    References
    ----------
    Ismail, Corrada Bravo, Feizi. "Improving deep learning interpretability by saliency guided
    training". NeurIPS 2021. arXiv 2111.14338.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = SaliencyGuidedClassifier(random_state=0).fit(X, y)
    >>> bool(net.score(X, y) > 0.9)
    True
    >>> net.attribute(X[:2]).shape
    (2, 4)
    """

    _numeric_targets = False
    _targets_are = "one class label for each row of X"
    _auto_criterion = torch.nn.CrossEntropyLoss
    _decodes_ = False
    _named_labels_ = None

    @property
    def classes_(self):
        """Labels, sorted; inside `fit`, their codes."""
        if self._encoded_ and self._decodes_:
            return np.arange(len(self.classes_inferred_))
        return super().classes_

    def _encode_targets(self, X, y, fresh, classes):
        if y is None:
            if self._has_named_module() or not is_dataset(X):
                raise ValueError(
                    f"{type(self).__name__} requires y to be passed, but the target y is None."
                )
            self._decodes_ = False
            return y
        named = self._has_named_module()
        labels = to_numpy(y) if isinstance(y, torch.Tensor) else np.asarray(y)
        if not named and labels.dtype.kind not in "OUSb":
            self._check_not_continuous(labels)
            self._decodes_ = False
            if fresh:
                self._named_labels_ = classes if classes is not None else self.classes
            return y
        if named:
            self._check_targets(labels)
        labels = column_or_1d(labels, warn=True)
        if fresh:
            given = classes if classes is not None else self.classes
            self.classes_inferred_ = np.unique(labels if given is None else given)
            self._decodes_ = True
            if len(self.classes_inferred_) < 2:
                raise ValueError(
                    "y must have at least 2 classes, got one class: "
                    f"{self.classes_inferred_.tolist()[0]!r}."
                )
        unknown = np.setdiff1d(labels, self.classes_inferred_)
        if len(unknown):
            raise ValueError(
                f"y must hold labels of classes_ only, got new labels {unknown.tolist()[:5]}. "
                "Name all labels in the first call: partial_fit(X, y, classes=...)."
            )
        return np.searchsorted(self.classes_inferred_, labels).astype(np.int64)

    def _check_targets(self, y):
        with naming("y", self._targets_are):
            check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind not in ("binary", "multiclass"):
            raise ValueError(
                f"y must be one label a row, got {kind} targets of shape {y.shape}: encode them "
                "as one label, or fit one classifier an output."
            )
        criterion = unwrap(self.criterion)
        if criterion is torch.nn.NLLLoss or isinstance(criterion, torch.nn.NLLLoss):
            raise ValueError(
                f"module={self.module!r} returns logits, but criterion=NLLLoss takes "
                "probabilities: use criterion='auto', or a module of your own that ends in "
                "softmax."
            )

    def _check_not_continuous(self, y):
        compares_labels = self.criterion in ("auto", torch.nn.CrossEntropyLoss, torch.nn.NLLLoss)
        if compares_labels and y.ndim == 1 and type_of_target(y, input_name="y") == "continuous":
            with naming("y", self._targets_are):
                check_classification_targets(y)

    def _n_outputs(self, y):
        if y is None:
            return None
        if self._decodes_:
            return len(self.classes_inferred_)
        labels = to_numpy(y) if isinstance(y, torch.Tensor) else np.asarray(y)
        if labels.ndim == 1 and labels.dtype.kind in "iu":
            named = 0 if self._named_labels_ is None else len(self._named_labels_)
            return max(int(labels.max()) + 1, named)
        return labels.shape[1] if labels.ndim == 2 else None

    def check_data(self, X, y):
        """Check that there are targets and note the classes.

        Parameters
        ----------
        X, y
            Training data, as for `fit`.
        """
        if self._decodes_:
            return
        super().check_data(X, y)
        if self._named_labels_ is not None:
            self.classes_inferred_ = np.unique(self._named_labels_)

    def predict(self, X):
        """Predict the most probable class.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        codes = super().predict(X)
        return self.classes_[codes] if self._decodes_ else codes

    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, columns in the order of `classes_`.
        """
        return super().predict_proba(X)

    def _label_index(self, label):
        if not self._decodes_:
            return super()._label_index(label)
        (index,) = np.nonzero(self.classes_ == label)
        if len(index) != 1:
            raise ValueError(
                f"target must be 'predicted', 'all' or labels of classes_ {self.classes_}, got "
                f"{label!r}."
            )
        return int(index[0])
