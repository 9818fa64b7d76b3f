"""Labels of a classifier and the codes that its network is trained on."""

import numpy as np
import torch
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d
from skorch.utils import is_dataset, to_numpy

from sgt_sklearn.estimators._checks import naming
from sgt_sklearn.estimators._targets import check_known, kind_of_passed, target_kind

ELEMENTWISE = ("one_logit", "indicator")


class LabelsMixin:
    """Encodes the labels of a classifier; put before the estimator."""

    _numeric_targets = False
    _targets_are = "one class label, or one row of an indicator matrix, for each row of X"
    _decodes_ = False
    _target_kind_ = None
    _named_labels_ = None  # by partial_fit(classes=...)
    _known_labels_ = None  # of targets that are passed on as they are

    @property
    def classes_(self):
        """Labels, sorted; inside `fit`, their codes, but for callbacks that are no scores."""
        if not self._decodes_:
            return super().classes_
        # of a parameter `classes` skorch would keep the order, by which nothing is encoded
        return np.arange(len(self.classes_inferred_)) if self._encoded_ else self.classes_inferred_

    def _encode_targets(self, X, y, fresh, classes):
        named = self._has_named_module()
        if y is None:
            if named or not is_dataset(X):
                raise ValueError(
                    f"{type(self).__name__} requires y to be passed, but the target y is None."
                )
            self._decodes_, self._target_kind_, self._known_labels_ = False, None, None
            return y
        labels = to_numpy(y) if isinstance(y, torch.Tensor) else np.asarray(y)
        _check_one_type(labels)
        if named:
            kind = target_kind(labels, self.criterion, self.module)
        else:
            kind = kind_of_passed(labels, self.criterion)
        self._settle_kind(kind, fresh)
        # a criterion that compares element by element takes floats: those are passed on
        encodes = named or kind == "labels" or (kind in ELEMENTWISE and labels.dtype.kind != "f")
        if not encodes:
            self._check_not_continuous(labels)
            self._decodes_ = False
            self._note_labels(labels, fresh, classes)
            return y
        if not fresh and classes is not None:
            _check_same(classes, self.classes_inferred_)
        given = classes if classes is not None else self.classes
        if kind in ("indicator", "soft"):
            return self._encode_columns(labels, fresh, given)
        return self._encode_labels(labels, fresh, given)

    def _settle_kind(self, kind, fresh):
        if not fresh and self._target_kind_ not in (None, kind):
            raise ValueError(
                f"y must hold targets like those of the first fit ({self._target_kind_}), got "
                f"{kind or 'numbers to be passed on'}."
            )
        self._target_kind_ = kind

    def _note_labels(self, labels, fresh, classes):
        """Labels of targets that are passed on, named, seen now, or seen before."""
        if not fresh and classes is not None and self._known_labels_ is not None:
            _check_same(classes, self._known_labels_)
        if fresh:
            self._named_labels_ = None if classes is None else np.unique(classes)
            numbered = self.classes is not None and np.asarray(self.classes).dtype.kind in "iu"
            self._known_labels_ = np.asarray(self.classes) if numbered else None
        if self._target_kind_ in ("indicator", "soft"):
            self._known_labels_ = np.arange(labels.shape[1])
        elif self._target_kind_ == "one_logit":
            self._known_labels_ = np.arange(2)
        elif self._named_labels_ is not None:
            check_known(labels, self._named_labels_)
            self._known_labels_ = self._named_labels_
        else:
            known = () if self._known_labels_ is None else self._known_labels_
            self._known_labels_ = np.union1d(known, labels).astype(labels.dtype)

    def _encode_columns(self, y, fresh, classes):
        """Targets with a column a label: float, for criteria that compare element by element."""
        columns = np.arange(y.shape[1])
        if classes is not None and not np.array_equal(classes, columns):
            raise ValueError(
                f"classes must be the numbers of the columns of y, 0 .. {len(columns) - 1}, or "
                f"None, got {np.asarray(classes).tolist()}."
            )
        if fresh:
            self._decodes_, self.classes_inferred_ = True, columns
        elif len(columns) != len(self.classes_inferred_):
            raise ValueError(
                f"y must have {len(self.classes_inferred_)} columns as in the first fit, got "
                f"{len(columns)}."
            )
        return y.astype(np.float32)

    def _encode_labels(self, labels, fresh, classes):
        labels = column_or_1d(labels, warn=True)
        if fresh:
            self.classes_inferred_ = np.unique(labels if classes is None else classes)
            self._decodes_ = True
            if len(self.classes_inferred_) < 2:
                raise ValueError(
                    "y must have at least 2 classes, got one class: "
                    f"{self.classes_inferred_.tolist()[0]!r}."
                )
        check_known(labels, self.classes_inferred_)
        codes = np.searchsorted(self.classes_inferred_, labels)
        if self._target_kind_ != "one_logit":
            return codes.astype(np.int64)
        if len(self.classes_inferred_) > 2:
            raise ValueError(
                "criterion=BCEWithLogitsLoss takes two classes or an indicator matrix, got "
                f"{len(self.classes_inferred_)} classes: use criterion='auto'."
            )
        return codes.astype(np.float32)[:, None]

    def _check_not_continuous(self, y):
        compares_labels = self.criterion in ("auto", torch.nn.CrossEntropyLoss, torch.nn.NLLLoss)
        if compares_labels and y.ndim == 1 and type_of_target(y, input_name="y") == "continuous":
            with naming("y", self._targets_are):
                check_classification_targets(y)

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


def _check_one_type(labels):
    if labels.dtype != object:
        return
    try:
        np.unique(labels)
    except TypeError as error:
        types = sorted({type(label).__name__ for label in labels.ravel().tolist()})
        raise ValueError(
            f"y must hold labels of one type, got {', '.join(types)}: convert them, as in "
            "y.astype(str)."
        ) from error


def _check_same(classes, known):
    if not np.array_equal(np.unique(classes), known):
        raise ValueError(
            f"classes must be those of the first call, {np.asarray(known).tolist()}, or None, got "
            f"{np.asarray(classes).tolist()}."
        )
