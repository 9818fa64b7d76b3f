"""Series between libraries: axes of aeon and sktime, and ours."""

from collections.abc import Mapping

import numpy as np

from sgt_sklearn._series import unpadded

_FORMS = (
    "an array of shape (n_samples, n_channels, n_timesteps) or (n_samples, n_timesteps), a list "
    "of arrays of shape (n_channels, n_timesteps_i), or a data frame of aeon or sktime"
)


def from_channels_first(X, *, frame_rows=None):
    """Convert series of aeon, sktime and others to arrays with time before features.

    Parameters
    ----------
    X : ndarray, list, or DataFrame
        Series in one of these forms (names as aeon and sktime give them):

        - "numpy3D": array of shape (n_samples, n_channels, n_timesteps);
        - "numpy2D", "numpyflat", "pd-wide": array or frame of shape (n_samples, n_timesteps), of
          one channel;
        - "np-list": list of arrays of shape (n_channels, n_timesteps_i), or of shape
          (n_timesteps_i,) for one channel;
        - "df-list": list of frames; `frame_rows` says how to read them;
        - "pd-multiindex": frame with a row for each time of each series, its index of two levels
          (series, time), and a column for each channel;
        - "nested_univ": frame with a row for each series and a column for each channel, whose
          cells are series themselves.

        Unequal lengths may come as a list, a frame, or an array with trailing NaN.
    frame_rows : {"channel", "time"}, default=None
        For a list of frames: what their rows are. Those of aeon's "df-list" are channels, those
        of sktime's are times.

    Returns
    -------
    ndarray of shape (n_samples, n_timesteps, n_features), or list of ndarray
        A copy, channels as features. One array where all series are equally long, otherwise a list
        of arrays of shape (n_timesteps_i, n_features); the estimators take both. Series of a
        "pd-multiindex" come in the order of their first rows.

    Raises
    ------
    ValueError
        For any other form, series of different numbers of channels, channels of different lengths
        within one series, and values that are not numbers.

    See Also
    --------
    to_channels_first : The way back.
    pad_series : One array and the lengths, from series of unequal length.

    Notes
    -----
    Arrays of tslearn, (n_samples, n_timesteps, n_features) with trailing NaN, need no conversion.

    Examples
    --------
    >>> import numpy as np
    >>> from sgt_sklearn.preprocessing import from_channels_first
    >>> from_channels_first(np.zeros((20, 6, 100))).shape
    (20, 100, 6)
    >>> ragged = from_channels_first([np.zeros((6, 100)), np.zeros((6, 80))])
    >>> [x.shape for x in ragged]
    [(100, 6), (80, 6)]
    """
    if frame_rows not in (None, "channel", "time"):
        raise ValueError(
            f'frame_rows must be "channel", "time" or None, got {frame_rows!r}.',
        )
    is_list = isinstance(X, (list, tuple)) or (
        isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1
    )
    if is_list:
        return _together(_from_list(list(X), frame_rows))
    if frame_rows is not None:
        raise ValueError(
            f"frame_rows is for a list of frames, got {frame_rows!r} with X of type "
            f"{type(X).__name__}. Leave it out."
        )
    if _is_frame(X):
        return _from_frame(X)
    array = _numbers(X, "X")
    if array.ndim == 2:
        return array[:, :, None].copy()
    if array.ndim != 3:
        raise ValueError(f"X must be {_FORMS}, got shape {array.shape}.")
    return array.swapaxes(1, 2).copy()


def to_channels_first(X):
    """Convert series to the axes of aeon and sktime, channels before time.

    Parameters
    ----------
    X : ndarray, list of ndarray, or dict
        Array of shape (n_samples, n_timesteps, n_features), list of arrays of shape
        (n_timesteps_i, n_features), or a dict of "X" and "lengths" as :func:`pad_series` returns.

    Returns
    -------
    ndarray of shape (n_samples, n_channels, n_timesteps), or list of ndarray
        A copy ("numpy3D"); for a list or dict a list of arrays of shape
        (n_channels, n_timesteps_i) ("np-list").

    Raises
    ------
    ValueError
        For arrays of other numbers of axes.

    See Also
    --------
    from_channels_first : The way here.

    Examples
    --------
    >>> import numpy as np
    >>> from sgt_sklearn.preprocessing import to_channels_first
    >>> to_channels_first(np.zeros((20, 100, 6))).shape
    (20, 6, 100)
    """
    if isinstance(X, Mapping):
        if set(X) != {"X", "lengths"}:
            raise ValueError(f'X must have the keys "X" and "lengths", got {sorted(map(str, X))}.')
        X = unpadded(np.asarray(X["X"]), X["lengths"])
    if isinstance(X, (list, tuple)):
        series = [np.asarray(x) for x in X]
        for i, x in enumerate(series):
            if x.ndim != 2:
                raise ValueError(
                    f"X[{i}] must have shape (n_timesteps, n_features), got {x.shape}."
                )
        return [x.T.copy() for x in series]
    array = np.asarray(X)
    if array.ndim != 3:
        raise ValueError(
            "X must have shape (n_samples, n_timesteps, n_features), or be a list of arrays of "
            f"shape (n_timesteps, n_features), got shape {array.shape}."
        )
    return array.swapaxes(1, 2).copy()


def _is_frame(X):
    # by its methods, so that pandas need not be installed
    return hasattr(X, "iloc") and hasattr(X, "columns")


def _numbers(values, name):
    try:
        array = np.asarray(values)
        # frames with nullable columns come as objects
        array = array.astype(float) if array.dtype == object else array
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be {_FORMS}. {error}") from error
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, got {array.dtype}.")
    return array


def _from_list(parts, frame_rows):
    """Arrays of shape (n_timesteps_i, n_channels) from a list of arrays or frames."""
    frames = any(_is_frame(x) for x in parts)
    if frames and frame_rows is None:
        raise ValueError(
            'frame_rows must say how to read a list of frames, got None: "channel" for those of '
            'aeon, "time" for those of sktime.'
        )
    if not frames and frame_rows is not None:
        raise ValueError(
            f"frame_rows is for a list of frames, got {frame_rows!r} with a list of other values. "
            "Leave it out: rows of arrays are channels."
        )
    series = []
    for i, x in enumerate(parts):
        array = _numbers(x, f"X[{i}]")
        array = array[None] if array.ndim == 1 else array
        if array.ndim != 2:
            raise ValueError(
                f"X[{i}] must have shape (n_channels, n_timesteps), got {array.shape}."
            )
        series.append(array if frame_rows == "time" else array.T)
    return series


def _from_frame(frame):
    if frame.index.nlevels == 1 and frame.shape[1] == 4 and "value" in set(frame.columns):
        raise ValueError(
            f'X must not be of the form "pd-long", a row for each value, got columns '
            f"{list(frame.columns)}. Pivot it: X.pivot(index=[series, time], columns=channel, "
            'values="value").'
        )
    n_levels = frame.index.nlevels
    if n_levels > 2:
        raise ValueError(
            f"X must have an index of two levels (series, time), got {n_levels}. Join the levels "
            "before the last."
        )
    if n_levels == 2:
        return _together(_from_multiindex(frame))
    cells = frame.to_numpy()
    if cells.dtype == object and cells.size and np.ndim(cells[0, 0]):
        return _together(_from_nested(cells))
    array = _numbers(cells, "X")
    return array[:, :, None].copy()


def _from_multiindex(frame):
    values = _numbers(frame.to_numpy(), "X")
    labels = frame.index.get_level_values(0)
    times = frame.index.get_level_values(1).to_numpy()
    rows_of = {}
    for row, label in enumerate(labels):
        rows_of.setdefault(label, []).append(row)
    for label, rows in rows_of.items():
        if not (times[rows[1:]] > times[rows[:-1]]).all():
            raise ValueError(
                f"X must list the times of each series in rising order, got another order for "
                f"series {label!r}: use X.sort_index(), and y in the order of the sorted series."
            )
    return [values[rows] for rows in rows_of.values()]


def _from_nested(cells):
    series = []
    for i, row in enumerate(cells):
        channels = [_numbers(cell, f"X.iloc[{i}, {j}]") for j, cell in enumerate(row)]
        lengths = [x.shape for x in channels]
        if len(set(lengths)) > 1 or channels[0].ndim != 1:
            raise ValueError(
                "X must hold one series of numbers in each cell, those of one row equally long, "
                f"got shapes {lengths} in row {i}."
            )
        series.append(np.stack(channels, axis=1))
    return series


def _together(series):
    """One array of equally long series, a list of others."""
    if not series:
        raise ValueError(f"X must be {_FORMS}, got no series.")
    n_channels = series[0].shape[1]
    for i, x in enumerate(series):
        if x.shape[1] != n_channels:
            raise ValueError(
                f"X must hold series of one number of channels, got {n_channels} at position 0 "
                f"and {x.shape[1]} at position {i}. Arrays of shape (n_timesteps_i, n_features) "
                "need no conversion."
            )
    if len({len(x) for x in series}) == 1:
        return np.stack(series)
    return [x.copy() for x in series]
