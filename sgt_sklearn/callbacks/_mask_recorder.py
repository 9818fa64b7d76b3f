"""Record what guidance hides of some samples, epoch by epoch."""

from numbers import Integral

import numpy as np
from skorch.callbacks import Callback


class MaskRecorder(Callback):
    """Record what guidance hides of some samples, and what they become, epoch by epoch.

    At the end of an epoch the net is asked what it would hide of these samples now
    (``net.mask(X, y)``). Training is bitwise as without the callback: nothing is drawn from its
    generators, and weights, gradients, running statistics and modes stay as they are.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Samples as the net gets them (behind the other steps of a pipeline). They are one batch, of
        whose other rows the fill "marginal" takes its values: pass some rows more than are looked
        at.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Their targets, as for `fit`. Regressors need none.
    every : int, default=1
        Number of epochs between two records.

    Attributes
    ----------
    records_ : tuple of dict
        What ``net.mask`` returned after each recorded epoch (`inputs`, `masked`, `hidden`,
        `mask_fraction`, `n_hidden`, `n_groups`, `kind`, `lengths`), and `epoch`, from 1. A new fit
        starts anew; `partial_fit` and `warm_start` go on.
    feature_names_ : list of str or None
        Names of the columns, where X is a DataFrame.

    Raises
    ------
    TypeError
        In `fit`, if `every` is no int, or the net is none of this library.
    ValueError
        In `fit`, if `every` is below 1, the net trains without guidance, or X and y do not fit.

    See Also
    --------
    sgt_sklearn.inspection.MaskingDisplay : Draws the records.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.callbacks import MaskRecorder
    >>> X, y = load_iris(return_X_y=True)
    >>> recorder = MaskRecorder(X[:10], y[:10], every=2)
    >>> net = SaliencyGuidedClassifier(max_epochs=6, callbacks=[recorder], random_state=0)
    >>> net = net.fit(X, y)
    >>> [record["epoch"] for record in recorder.records_]
    [2, 4, 6]
    >>> recorder.records_[-1]["hidden"].shape
    (10, 4)
    """

    def __init__(self, X, y=None, every=1):
        self.X = X
        self.y = y
        self.every = every

    def initialize(self):
        """Check the parameters, and forget what an earlier fit has left.

        Returns
        -------
        self
            The callback.
        """
        if not isinstance(self.every, Integral) or isinstance(self.every, bool):
            raise TypeError(
                f"every must be an int, the number of epochs between two records, got "
                f"{self.every!r} of {type(self.every).__name__}."
            )
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}.")
        self.records_ = ()
        columns = getattr(self.X, "columns", None)
        self.feature_names_ = None if columns is None else [str(name) for name in columns]
        return self

    def on_train_begin(self, net, **kwargs):
        if not hasattr(net, "mask"):
            raise TypeError(
                f"{type(self).__name__} needs a net of sgt_sklearn, got {type(net).__name__}: put "
                "SaliencyGuidedMixin before the net class."
            )
        if net.consistency_weight == 0:
            raise ValueError(
                f"consistency_weight must be above 0 for {type(self).__name__}, as a net that is "
                "trained without guidance hides nothing, got 0: leave the callback out."
            )

    def on_epoch_end(self, net, **kwargs):
        epoch = len(net.history)
        if epoch % self.every:
            return
        # draws of their own in each epoch, or a random order would seem to hide the same features
        record = dict(net.mask(self.X, self.y, random_state=epoch), epoch=epoch)
        if self.records_:
            first = self.records_[0]["inputs"]
            if np.array_equal(first, record["inputs"], equal_nan=first.dtype.kind == "f"):
                record["inputs"] = first  # kept once
        self.records_ = (*self.records_, record)
