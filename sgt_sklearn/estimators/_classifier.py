"""Saliency guided classification."""

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from skorch import NeuralNetClassifier
from skorch.utils import to_numpy

from sgt_sklearn.attribution import first_output, logits_from
from sgt_sklearn.estimators._base import SaliencyGuidedEstimator
from sgt_sklearn.estimators._labels import ELEMENTWISE, LabelsMixin
from sgt_sklearn.estimators._parameters import infer_likelihood, is_auto
from sgt_sklearn.estimators._targets import check_known, is_criterion
from sgt_sklearn.estimators._weights import check_criterion_unweighted, class_weight_of

_WITH_LOGITS = (
    torch.nn.CrossEntropyLoss,
    torch.nn.NLLLoss,
    torch.nn.BCEWithLogitsLoss,
    torch.nn.BCELoss,
)


def _has_logits(net):
    return is_auto(net.criterion) or is_criterion(net.criterion, *_WITH_LOGITS)


class SaliencyGuidedClassifier(LabelsMixin, SaliencyGuidedEstimator, NeuralNetClassifier):
    """Neural network classifier whose gradient explanations are trained to point at what it uses.

    While it trains, the least salient features of each sample are hidden and the network is
    asked not to change its output (saliency guided training). Without further arguments it takes
    tables, time series and images, which it standardises itself.

    Parameters
    ----------
    module : str, torch module class or instance, default="auto"
        The network. "auto": an MLP for 2-d, a TCN for 3-d and a CNN for 4-d input. By name: "mlp";
        "cnn"; for series "tcn", "gru", "lstm", "input_cell_attention" or "transformer"; for
        integer token ids "text_bag", "text_cnn", "text_lstm" or "text_transformer". Networks by
        name are sized from the data and standardise their input. Arguments go by `module__*`, for
        example ``module__hidden=(64, 64)``; see :mod:`sgt_sklearn.modules`. A module of your own
        gets X and integer y as passed; sizes that its constructor takes (n_features, n_timesteps,
        n_outputs, n_channels, height, width) are filled in. As in skorch, an instance is trained
        in place and cloned with its weights: pass the class for cross-validation and searches.
    criterion : "auto" or torch criterion class, default="auto"
        "auto": ``CrossEntropyLoss`` for one label a row, ``BCEWithLogitsLoss`` for an indicator
        matrix (multilabel), so the module returns logits. ``BCEWithLogitsLoss`` with two labels
        gives the network a single logit; ``CrossEntropyLoss`` also takes y as class
        probabilities, shape (n_samples, n_classes).
    optimizer : "auto" or torch optimizer class, default="auto"
        "auto": Adam; AdamW for "gru" (weight decay 1) and "transformer" (weight decay 2).
        Arguments go by `optimizer__*`.
    lr : float or "auto", default="auto"
        Learning rate. "auto": 3e-3; with ``optimizer="auto"``, 5e-3 for "gru" and 2e-3 for
        "transformer".
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
        "ramp": a quarter of `max_epochs` without guidance, then a linear rise. "auto": constant.
        The share in use is the column `mask_fraction` of the history.
    consistency_weight : float, default=1.0
        Weight lambda of the consistency term; 0 trains without guidance.
    mask_order : {"auto", "signed", "absolute", "sampled", "random"}, default="auto"
        What is hidden first. "auto": absolute, and sampled for series. Of tokens, "absolute" is
        the gradient at the embedding times the embedding, "signed" the gradient alone.
    saliency_output : {"auto", "log_proba", "logit", "margin"}, default="auto"
        Scalar whose input gradient ranks. "auto": margin.
    mask_fill : str or callable, default="auto"
        Replacement of hidden features. "auto": uniform in the feature's training range for tables,
        values of other samples of the batch ("marginal") for series, uniform in the range of the
        sample's channel for images, the unknown token ("unknown") for tokens, which may also be
        replaced by the "previous" kept token.
    mask_value : float, default=0.0
        Value of the "constant" fill.
    feature_groups : str or array-like of shape ``X.shape[1:]``, default="auto"
        What is ranked and hidden as one. "auto": each column, each cell of a series, each token;
        pixels with all their channels. For series also "time" (all features of a step), "feature"
        (a feature at all steps) and "time_then_feature" (whole steps, then cells of the rest).
    guided_input : "auto", str, int or list, default="auto"
        What is masked and explained of dict, tuple and DataFrame inputs of a module of your own.
    embedding : str, default="auto"
        Name of the submodule that embeds the tokens that a module of your own gets.
    consistency : str or callable, default="auto"
        Divergence between clean and masked output. "auto": Kullback-Leibler.
    saliency_pass : {"auto", "shared", "separate"}, default="auto"
        Whether ranking may use the clean training pass. "auto": where that is the same.
    random_state : int, RandomState instance or None, default=None
        An int makes `fit` reproducible and leaves global generators alone.
    class_weight : dict, "balanced" or None, default=None
        Weights by label (1 where a label is missing), by which both loss terms of a sample are
        multiplied beside its sample weight; "balanced" weighs classes inversely to their
        frequency.
    classes : array-like, default=None
        Labels that may occur, as in skorch; None takes those of y.
    **kwargs
        `module__*`, `optimizer__*`, `criterion__*`, `iterator_train__*` and `callbacks__*`, as in
        skorch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted; ``arange(n_labels)`` for an indicator matrix or class probabilities.
    n_features_in_ : int
        Columns; features of series; channels of images; 1 for tokens.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X has string names.
    feature_importances_ : ndarray of shape ``X.shape[1:]``
        Mean absolute standardised gradient over training rows, normalised to sum to 1; none for
        tokens.
    feature_groups_ : ndarray of int, shape ``X.shape[1:]``
        Labels of the groups in use.
    module_ : torch.nn.Module
        The trained network.
    history_ : skorch.history.History
        Losses an epoch: `train_loss` (total), `train_task_loss`, `train_consistency_loss`, and
        `valid_loss` (the task only), and the `mask_fraction` in use.

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

    def __init__(self, module="auto", *, class_weight=None, classes=None, **kwargs):
        super().__init__(module, classes=classes, **kwargs)
        self.class_weight = class_weight

    @property
    def _auto_criterion(self):
        if self._target_kind_ == "indicator":
            return torch.nn.BCEWithLogitsLoss
        return torch.nn.CrossEntropyLoss

    @property
    def _default_callbacks(self):
        callbacks = super()._default_callbacks
        if self._target_kind_ != "soft":
            return callbacks
        # probabilities have no accuracy, and scikit-learn's raises
        return [(name, callback) for name, callback in callbacks if name != "valid_acc"]

    # targets

    def _weigh_classes(self, X, y, labels, partial):
        if self.class_weight is None:
            return X, y
        check_criterion_unweighted(self, "class_weight")
        if labels is None:
            raise ValueError(
                "class_weight must be None unless labels are passed as y: pass them beside the "
                "data set, fit(dataset, y)."
            )
        if self._target_kind_ in ("indicator", "soft") or np.size(labels) != len(labels):
            raise ValueError(
                "class_weight must be None unless y holds one label a row: use sample_weight, or "
                "criterion__pos_weight for an indicator matrix."
            )
        if partial and isinstance(self.class_weight, str) and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all the data and is not known to partial_fit: pass "
                "a dict, such as dict(zip(classes, sklearn.utils.class_weight."
                "compute_class_weight('balanced', classes=classes, y=y)))."
            )
        labels = to_numpy(labels) if isinstance(labels, torch.Tensor) else np.asarray(labels)
        labels = labels.ravel()
        classes = self.classes_inferred_ if self._decodes_ else self._known_labels_
        check_known(labels, classes)
        weight = class_weight_of(self.class_weight, labels, classes, self._weights_)
        if self._weights_ is not None:
            weight = weight * self._weights_
        if not weight.any():
            raise ValueError(
                f"class_weight must leave a class to fit, got {self.class_weight!r} for labels "
                f"{np.unique(labels).tolist()}."
            )
        return self._keep_weighted(X, y, weight)

    def _n_outputs(self, y):
        if y is None:
            return None
        if self._target_kind_ == "one_logit":
            return 1
        if self._decodes_:
            return len(self.classes_inferred_)
        known = self._known_labels_
        if np.ndim(y) == 1 and known.dtype.kind in "iu":
            return max(int(known.max()) + 1, len(known))
        return y.shape[1] if np.ndim(y) == 2 else None

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
        if self._known_labels_ is not None:
            self.classes_inferred_ = self._known_labels_

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
        """
        if self._decodes_ and self._target_kind_ in ELEMENTWISE:
            output = first_output(y_pred)
            y_true = y_true.to(output.dtype)
            if self._target_kind_ == "one_logit" and len(output) == output.numel():
                y_true = y_true.reshape(output.shape)  # (n_samples,) or (n_samples, 1)
        return super().get_loss(y_pred, y_true, X=X, training=training)

    # predictions

    def predict(self, X):
        """Predict the most probable class, or whether each label applies.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_labels) of 0 and 1
            Labels; for an indicator matrix, those of a probability above .5.
        """
        if self._target_kind_ == "indicator":
            return (self.predict_proba(X) > 0.5).astype(np.int64)
        codes = super().predict(X)
        encoded = not self._decodes_ or self._is_encoded(X)
        return codes if encoded else self.classes_inferred_[codes]

    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, columns in the order of `classes_`; for an indicator matrix, of each
            label by itself.
        """
        return super().predict_proba(X)

    @available_if(_has_logits)
    def decision_function(self, X):
        """Return the logits, for two classes their difference.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes log odds of the second, shape (n_samples,); else logits, columns in the
            order of `classes_`.
        """
        likelihood, probabilities = infer_likelihood(
            getattr(self, "criterion_", None), nll_of_probabilities=True
        )
        logits = torch.cat([first_output(output) for output in self.forward_iter(X)])
        logits = to_numpy(logits_from(logits, likelihood=likelihood, probabilities=probabilities))
        if likelihood == "categorical" and logits.ndim == 2 and logits.shape[1] == 2:
            return logits[:, 1] - logits[:, 0]
        if likelihood == "bernoulli" and logits.ndim == 2 and logits.shape[1] == 1:
            return logits[:, 0]
        return logits

    def _get_predict_nonlinearity(self):
        if is_auto(self.predict_nonlinearity):
            if self._target_kind_ == "indicator":
                logits = is_criterion(self.criterion_, torch.nn.BCEWithLogitsLoss)
                return torch.sigmoid if logits else torch.nn.Identity()
            if self._target_kind_ == "one_logit":
                if is_criterion(self.criterion_, torch.nn.BCEWithLogitsLoss):
                    return _two_columns
                return _with_complement
        return super()._get_predict_nonlinearity()


def _two_columns(logit):
    logit = logit.reshape(-1)
    return torch.stack([torch.sigmoid(-logit), torch.sigmoid(logit)], dim=1)


def _with_complement(probability):
    probability = probability.reshape(-1)
    return torch.stack([1 - probability, probability], dim=1)
