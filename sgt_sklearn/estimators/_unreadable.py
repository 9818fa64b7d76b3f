"""What is wrong with an X that a network given by name cannot read, and what to do about it."""

from contextlib import contextmanager
from datetime import date, timedelta

import numpy as np
from scipy.sparse import issparse

_SHAPES = (
    "X must be of shape (n_samples, n_features), (n_samples, n_timesteps, n_features) or "
    "(n_samples, n_channels, height, width)."
)
_DATES = (
    "Turn dates into numbers before: parts such as .dt.month, or days since a start, "
    "(dates - start).dt.days; durations by .dt.total_seconds()."
)
_KINDS_OF_TIME = ("m", "M")  # of numpy's types: durations and dates
_TIMES = (date, timedelta, np.datetime64, np.timedelta64)  # those of pandas are subclasses


def check_dense(X):
    """Refuse a sparse X.

    Parameters
    ----------
    X : object
        Input, as passed by the user.

    Raises
    ------
    TypeError
        Naming what makes it dense, inside a pipeline and outside.
    """
    if issparse(X):
        raise TypeError(
            f"X must be dense, but sparse data was passed, a {type(X).__name__}. In a pipeline "
            "let the step before return dense arrays: OneHotEncoder(sparse_output=False), "
            "ColumnTransformer(..., sparse_threshold=0), or put FunctionTransformer("
            "operator.methodcaller('toarray'), accept_sparse=True) behind it. Outside pass "
            "X.toarray()."
        )


def check_no_dates(X):
    """Refuse columns of dates and durations, which numpy would take for counts of nanoseconds.

    Parameters
    ----------
    X : object
        Input, as passed by the user.

    Raises
    ------
    TypeError
        Naming the columns.
    """
    if hasattr(X, "columns"):
        kinds = {
            repr(name): dtype
            for name, dtype in zip(X.columns, X.dtypes, strict=True)
            if getattr(dtype, "kind", None) in _KINDS_OF_TIME
        }
        if kinds:
            what = " and ".join(dict.fromkeys(map(str, kinds.values())))
            raise TypeError(f"X must be numbers, but {_columns(list(kinds))} {what}. {_DATES}")
    elif getattr(getattr(X, "dtype", None), "kind", None) in _KINDS_OF_TIME:
        raise TypeError(f"X must be numbers, got an array of {X.dtype}. {_DATES}")


@contextmanager
def explaining(X, *, fits):
    """Say of errors of scikit-learn's validation which columns are meant, and what to do.

    Parameters
    ----------
    X : object
        Input, as passed by the user.
    fits : bool
        Whether the number of axes of X is one that a network takes; else errors name the shapes.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        message = _explanation(str(error).rstrip(), X, fits)
        if message is None:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(message) from error


def _explanation(text, X, fits):
    first = text.partition("\n")[0]
    if first.startswith("Input X contains"):
        return f"{first} {_where_not_finite(X, 'NaN' in first)}"
    if first.startswith("Complex data"):
        return (
            f"{first}: X must be real. Pass real and imaginary part (or modulus and angle) as "
            "features of their own."
        )
    if "must be in the same order" in text:
        return f"{text} Pass X[estimator.feature_names_in_]."
    if first.startswith("Found array with 0 sample"):
        return f"{text} X has no rows: check the selection or split that came before."
    shape = getattr(X, "shape", ())
    if len(shape) == 2 and shape[1] == 0:
        return (
            f"Found array with 0 feature(s) (shape={tuple(shape)}) while a minimum of 1 is "
            "required: check the selection of columns that came before."
        )
    if X is None or isinstance(X, (str, bytes)):
        return f"{_SHAPES[:-1]}, got {X!r:.80}."
    unreadable = _unreadable(X)
    if unreadable:
        return f"X must be numbers, but {_what_is_unreadable(unreadable)}"
    return None if fits else f"{text} {_SHAPES}"


def _columns(names):
    """A list of columns as the subject of a sentence, with its verb."""
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"column {shown} holds" if len(names) == 1 else f"columns {shown} hold"


def _by_column(X):
    """Name and values of each column of a table; one of texts has a single column."""
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return [(repr(name), X.iloc[:, i].to_numpy()) for i, name in enumerate(X.columns)]
    if hasattr(X, "columns"):
        return [(repr(name), np.asarray(X[name])) for name in X.columns]
    try:
        # mixed rows as objects, which numpy would make texts of
        array = X if isinstance(X, np.ndarray) else np.asarray(X, dtype=object)
    except ValueError:  # rows of unequal length
        return []
    if array.ndim == 1:
        return [("", array)]
    return [(str(i), array[:, i]) for i in range(array.shape[1])] if array.ndim == 2 else []


def _unreadable(X):
    """First value of each column that is no number, by the name of the column."""
    found = {}
    for name, values in _by_column(X):
        if values.dtype.kind in "fiub":
            continue
        value = next((v for v in values if not _is_number(v)), None)
        if value is not None and (name or not isinstance(value, (list, tuple, np.ndarray))):
            found[name] = value
    return found


def _is_number(value):
    try:
        # missing values have a message of their own; pandas.NA is no float
        return value is None or bool(value != value) or isinstance(float(value), float)
    except TypeError:
        return "NAType" in type(value).__name__
    except ValueError:
        return False


def _what_is_unreadable(found):
    name, value = next(iter(found.items()))
    if not name and isinstance(value, str):
        return (
            f"it holds texts: could not convert string to float: {str(value)[:80]!r}. Texts go "
            "through sgt_sklearn.preprocessing.TokenEncoder() to a network for them, such as "
            "module='text_cnn', in one pipeline."
        )
    subject = _columns(list(found)) if name else "it holds"
    if isinstance(value, _TIMES):
        return f"{subject} values such as {value!r:.80}. {_DATES}"
    if not isinstance(value, str):
        return (
            f"{subject} values such as {value!r:.80}: float() argument must be a string or a real "
            f"number, not {type(value).__name__!r}."
        )
    texts = [name for name, value in found.items() if isinstance(value, str)]
    columns = ", ".join(texts[:5]) + ", ..." * (len(texts) > 5)
    return (
        f"{_columns(texts)} texts: could not convert string to float: {str(value)[:80]!r}. Encode "
        "categories before the network in one pipeline: make_column_transformer(("
        f"OneHotEncoder(sparse_output=False), [{columns}]), remainder='passthrough')."
    )


def _where_not_finite(X, missing):
    advice = (
        "Put an imputer before the network in one pipeline, such as SimpleImputer(), or leave "
        "these rows out."
        if missing
        else "Check divisions and logarithms before, and take the logarithm of very large values."
    )
    values = _as_floats(X)
    if values is None or values.ndim < 2:
        return advice
    broken = np.isnan(values) if missing else np.isinf(values)
    rows = np.flatnonzero(broken.reshape(len(broken), -1).any(axis=1))
    if not len(rows):
        return advice
    if values.ndim > 2:
        return f"It is in {len(rows)} of {len(values)} samples, first in X[{rows[0]}]. {advice}"
    names = list(map(repr, X.columns)) if hasattr(X, "columns") else range(values.shape[1])
    subject = _columns([str(names[i]) for i in np.flatnonzero(broken.any(axis=0))])
    subject = subject[0].upper() + subject[1:]
    return f"{subject} it, in {len(rows)} of {len(values)} rows, first in row {rows[0]}. {advice}"


def _as_floats(X):
    try:
        with np.errstate(over="ignore"):
            if hasattr(X, "iloc"):
                return X.to_numpy(dtype=np.float32, na_value=np.nan)
            return np.asarray(X).astype(np.float32)
    except (TypeError, ValueError):
        return None
