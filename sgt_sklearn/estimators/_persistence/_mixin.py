"""Saving and loading an estimator without pickle."""

import os

from sklearn.utils.validation import check_is_fitted

from sgt_sklearn.estimators._persistence._describe import describe
from sgt_sklearn.estimators._persistence._file import read_file, write_file
from sgt_sklearn.estimators._persistence._names import Trusted
from sgt_sklearn.estimators._persistence._rebuild import rebuild
from sgt_sklearn.exceptions import PersistenceError


class PersistenceMixin:
    """Gives an estimator `save` and `load`."""

    def save(self, path):
        """Save the fitted estimator to one file, without pickle.

        The file is in the safetensors format: tensors (weights, buffers, optimizer and generator
        states, statistics) and a JSON text (parameters, labels, versions). An older file of that
        name is replaced at once when the new one is complete on disk.

        Parameters
        ----------
        path : str or os.PathLike
            File to write; ``.safetensors`` is the usual ending.

        Raises
        ------
        ImportError
            Without safetensors: ``pip install safetensors``.
        NotFittedError
            Before `fit`.
        PersistenceError
            For a fitted attribute (of a subclass) that is no data. A parameter that is none, such
            as a lambda, a module or callback instance, is left out and has to be passed to `load`.
        OSError
            If the file cannot be written; an older one is then as it was.

        See Also
        --------
        load : The way back.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sklearn.datasets import load_iris
        >>> from sgt_sklearn import SaliencyGuidedClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> net = SaliencyGuidedClassifier(max_epochs=1, random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "iris.safetensors"
        ...     net.save(path)
        ...     loaded = SaliencyGuidedClassifier.load(path)
        >>> bool((loaded.predict(X) == net.predict(X)).all())
        True
        """
        check_is_fitted(self)
        write_file(path, *describe(self))

    @classmethod
    def load(cls, path, *, trusted=(), **params):
        """Load an estimator that `save` wrote.

        Nothing in the file is executed or imported. What it names is looked up in a fixed list of
        classes and functions of torch, skorch, scikit-learn and this library; your own module,
        criterion, callbacks and functions have to be passed, by parameter name or in `trusted`.
        Predictions, attributions and a further `partial_fit` or warm-started `fit` go on bitwise
        as with the estimator that was saved, on the same kind of device; on another one the
        random generators start anew from `random_state`.

        Parameters
        ----------
        path : str or os.PathLike
            File to read.
        trusted : list of classes and functions, default=()
            Your own classes and functions that the file may name, anywhere in its parameters.
        **params
            Parameters that replace those of the file, for example ``device="cpu"``,
            ``module=MyModule`` or ``callbacks=None``.

        Returns
        -------
        estimator
            A fitted estimator of this class.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ImportError
            Without safetensors: ``pip install safetensors``.
        PersistenceError
            For a file that is empty, truncated, altered, written by a newer version or from
            another class; for names that are neither known nor passed; for weights that do not
            fit the module; for a device that is not here.
        TypeError
            If `trusted` holds anything but classes and functions.

        See Also
        --------
        save : Writes the file.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import torch
        >>> from pathlib import Path
        >>> from sgt_sklearn import SaliencyGuidedRegressor
        >>> class Net(torch.nn.Linear):
        ...     pass
        >>> X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
        >>> net = SaliencyGuidedRegressor(Net, module__in_features=3, module__out_features=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "net.safetensors"
        ...     net.fit(X, X[:, :1]).save(path)
        ...     loaded = SaliencyGuidedRegressor.load(path, module=Net, device="cpu")
        >>> loaded.predict(X).shape
        (40, 1)
        """
        path, trusted = os.fspath(path), Trusted(trusted)
        try:
            document, tensors = read_file(path)
            return rebuild(cls, document, tensors, trusted, params)
        except PersistenceError as error:
            error.args = (f"{path!r} cannot be loaded: {error}",)
            raise
