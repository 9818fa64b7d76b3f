"""Exceptions of the library."""

__all__ = ["PersistenceError"]


class PersistenceError(ValueError):
    """An estimator cannot be saved without pickle, or a file does not hold one that can be loaded.

    Raised by ``save`` for a fitted attribute that is no data, and by ``load`` for a file that is
    truncated, altered, written by a newer version, of another class, or that names something
    which has to be passed in; by :class:`sgt_sklearn.callbacks.ResumableCheckpoint` for such a
    checkpoint. A missing file is a `FileNotFoundError`, as elsewhere.

    Examples
    --------
    >>> import tempfile
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.exceptions import PersistenceError
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     try:
    ...         SaliencyGuidedClassifier.load(file.name)
    ...     except PersistenceError as error:
    ...         print("not loaded")
    not loaded
    """
