"""Kill a fit in any epoch, run the script again, and get what the whole fit would have given."""

import os
from numbers import Integral

from skorch.callbacks import Callback

from sgt_sklearn._atomic import remove_parts, resolved
from sgt_sklearn.callbacks._checkpoint_file import (
    fit_of,
    make_folder,
    read_checkpoint,
    write_checkpoint,
)
from sgt_sklearn.callbacks._fingerprint import (
    describe_rows,
    differences,
    fingerprint,
    identifier,
)
from sgt_sklearn.exceptions import PersistenceError

_MANY = 5
_STATE = ("_fit_", "_content_")  # of a fit


class ResumableCheckpoint(Callback):
    """Save the state of a fit between epochs, and go on from it after the process was killed.

    Run the same script again: `fit` with the same parameters and data goes on after the last
    epoch that was saved, and ends bitwise as if it had never been interrupted. That includes the
    optimizer, learning-rate schedules, early stopping and all other callbacks, the history, and
    every random generator: those of torch, numpy and Python, those of masks and fills, and those
    among the parameters. An epoch that was not over, or not saved, is trained again.

    Parameters
    ----------
    path : str or os.PathLike
        File of the checkpoint; its folder is made. ``{fit}`` in it stands for a short name that
        parameters and data of a fit determine, so that each fit of a search or cross-validation
        has a file of its own.
    every : int, default=1
        Number of epochs between two checkpoints.
    keep : bool, default=False
        What happens once the fit is over. False deletes the file, so that another `fit` trains
        anew. True leaves it, and the same `fit` returns the trained net at once, as long as the
        file is there.

    Raises
    ------
    ValueError
        In `fit`, if the file is the checkpoint of a fit with other parameters or data; the
        message names them. Parameters may differ in `verbose` and in callbacks that only report.
    PersistenceError
        In `fit`, if the file is truncated, altered, newer, or something else.
    TypeError
        In `fit`, if another callback keeps a state that is neither data nor has a ``state_dict``,
        and if the net is none of this library.

    Notes
    -----
    The checkpoint is a file of tensors and Python primitives; nothing in it is executed when it
    is read. It replaces the one before at once when it is complete on disk, so a process may be
    killed while it writes. After Ctrl-C, and after an error, the file stays, and the next `fit`
    goes on; a callback that stops the training, such as ``EarlyStopping``, ends the fit.

    Data and parameters are compared by their content, arrays by a hash of all of it; classes and
    functions by their names. The results are bitwise the same on the same device, with the same
    number of threads and the same versions, for modules whose state is in parameters and buffers.

    Works with the estimators of this library and with every net behind `SaliencyGuidedMixin`
    (``consistency_weight=0`` trains without guidance), on one process.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.callbacks import ResumableCheckpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     resume = ResumableCheckpoint(Path(folder) / "iris.ckpt")
    ...     net = SaliencyGuidedClassifier(
    ...         max_epochs=3, callbacks=[("resume", resume)], random_state=0
    ...     )
    ...     net = net.fit(X, y)  # killed and run again, it goes on
    >>> len(net.history)
    3
    """

    def __init__(self, path, every=1, keep=False):
        self.path = path
        self.every = every
        self.keep = keep

    def initialize(self):
        """Check the parameters.

        Returns
        -------
        self
            The callback.
        """
        if not isinstance(self.path, (str, os.PathLike)):
            raise TypeError(
                f"path must be a str or os.PathLike, got {self.path!r} of "
                f"{type(self.path).__name__}."
            )
        if not os.fspath(self.path):
            raise ValueError("path must name a file, got an empty text.")
        if not isinstance(self.every, Integral) or isinstance(self.every, bool):
            raise TypeError(
                f"every must be an int, the number of epochs between two checkpoints, got "
                f"{self.every!r} of {type(self.every).__name__}."
            )
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}.")
        if not isinstance(self.keep, bool):
            raise TypeError(
                f"keep must be True or False, got {self.keep!r} of {type(self.keep).__name__}."
            )
        return self

    def on_train_begin(self, net, **kwargs):
        if not hasattr(net, "set_training_state"):
            raise TypeError(
                f"{type(self).__name__} needs a net of sgt_sklearn, got {type(net).__name__}: put "
                "SaliencyGuidedMixin before the net class (consistency_weight=0 trains without "
                "guidance)."
            )

    def __getstate__(self):
        # a copy taken inside a fit is outside of any
        return {k: v for k, v in vars(self).items() if k not in _STATE}

    # called by the net, see sgt_sklearn.estimators._resume.ResumeMixin

    def _prepare_fit(self, net, settings, data, epochs, start):
        texts = fingerprint(settings, data)
        fit = identifier(texts)
        path = resolved(os.fspath(self.path).replace("{fit}", fit))
        make_folder(path)
        remove_parts(path)
        before = len(net.history)
        self._fit_ = {"path": path, "id": fit, "before": before, "texts": texts, "start": start}
        self._content_ = content = self._read(path, texts) if path.exists() else None
        self._fit_["finished"] = content is not None and content["finished"]
        if content is None:
            return None
        self._fit_["start"] = content["start"]
        left = 0 if content["finished"] else before + epochs - content["n_epochs"]
        return content["start"], left

    def _read(self, path, texts):
        try:
            content = read_checkpoint(path)
            _check_content(content)
        except PersistenceError as error:
            error.args = (f"{os.fspath(path)!r} cannot be resumed from: {error}.",)
            raise
        found = differences(content["texts"], texts)
        if found:
            more = f", and {len(found) - _MANY} more" if len(found) > _MANY else ""
            raise ValueError(
                f"{os.fspath(path)!r} is the checkpoint of another fit, after "
                f"{content['n_epochs']} epochs. It differs in {', '.join(found[:_MANY])}{more}. "
                "To go on with that fit, use its parameters and data; to train anew, delete the "
                "file; for a file for each fit, put {fit} into the path."
            )
        if content["finished"] and not self.keep:
            return None
        return content

    def _begin_epochs(self, net, datasets, saves):
        rows = {name: describe_rows(dataset) for name, dataset in datasets.items()}
        content, self._content_ = self._content_, None
        if content is None:
            self._fit_["rows"] = rows
            if saves:
                # also tells right now, and not after an epoch, what cannot be saved
                self._save(net)
            return
        path = os.fspath(self._fit_["path"])
        found = differences(content["rows"], rows) if rows else []
        if found:
            raise ValueError(
                f"train_split gives other rows than it gave the fit of the checkpoint {path!r}: "
                f"{', '.join(found)}. Make it depend on nothing but data and generators among the "
                "parameters, or delete the file to train anew."
            )
        self._fit_["rows"] = content["rows"]
        try:
            net.set_training_state(content["state"])
        except ValueError as error:
            raise PersistenceError(
                f"{path!r} cannot be resumed from: {error} Has the code of the module or of a "
                "callback changed? Delete the file to train anew."
            ) from error

    def _end_epoch(self, net):
        if (len(net.history) - self._fit_["before"]) % self.every == 0:
            self._save(net)

    def _begin_end(self, net, interrupted):
        if self.keep and not interrupted and not self._fit_["finished"]:
            self._save(net, finished=True)

    def _end_fit(self, net, interrupted):
        if not self.keep and not interrupted:
            self._fit_["path"].unlink(missing_ok=True)
        for name in _STATE:
            vars(self).pop(name, None)

    def _save(self, net, finished=False):
        path, fit = self._fit_["path"], self._fit_["id"]
        if fit_of(path) not in (None, fit):
            raise ValueError(
                f"Another fit writes its checkpoints to {os.fspath(path)!r} too: put {{fit}} into "
                "the path, for a file for each fit."
            )
        content = {name: self._fit_[name] for name in ("texts", "rows", "start")}
        content |= {"n_epochs": len(net.history), "finished": finished}
        write_checkpoint(path, fit, {**content, "state": net.get_training_state()})


_CONTENT = {
    "texts": dict,
    "rows": dict,
    "start": dict,
    "n_epochs": int,
    "finished": bool,
    "state": dict,
}


def _check_content(content):
    for name, kind in _CONTENT.items():
        if type(content.get(name)) is not kind:
            raise PersistenceError(
                f"{name} must be a {kind.__name__}, got {type(content.get(name)).__name__}. "
                "Delete it to train anew"
            )
    n_recorded = len(content["state"].get("history") or ())
    if content["n_epochs"] != n_recorded:
        raise PersistenceError(
            f"it tells of {content['n_epochs']} epochs, and its history has {n_recorded}. Delete "
            "it to train anew"
        )
