"""Supervised windows from one long series."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import TimeSeriesSplit


class SlidingWindow(BaseEstimator):
    """Cut one long series into windows and what follows them, for forecasting.

    Window ``i`` holds the steps ``i * stride`` to ``i * stride + length - 1``; its targets are the
    `horizon` steps after it.

    Parameters
    ----------
    length : int
        Number of steps of a window: what the forecast is made from (``window_length`` of sktime,
        ``input_chunk_length`` of darts).
    horizon : int, default=1
        Number of steps that are forecast, 1 to `horizon` steps ahead.
    stride : int, default=1
        Number of steps from one window to the next.
    target_columns : int, str, or list of these, default=None
        Columns of the series that are forecast: positions, or names of the columns of a frame.
        None takes all.

    See Also
    --------
    sgt_sklearn.SaliencyGuidedRegressor : Forecasts all steps of the horizon at once.
    sklearn.model_selection.TimeSeriesSplit : The splits of :meth:`time_series_split`.

    Notes
    -----
    The number of windows is ``(n_steps - length - horizon) // stride + 1``. They are copies: the
    result takes ``length / stride`` times the memory of the series.

    Methods read the parameters and keep nothing. Several series are windowed one by one, and
    their windows concatenated.

    Examples
    --------
    >>> import numpy as np
    >>> from sgt_sklearn.preprocessing import SlidingWindow
    >>> windows = SlidingWindow(length=3, horizon=2)
    >>> X, y = windows.make(np.arange(6.0))
    >>> X[:, :, 0].tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]
    >>> y.tolist()
    [[3.0, 4.0], [4.0, 5.0]]
    >>> windows.last(np.arange(6.0))[:, :, 0].tolist()
    [[3.0, 4.0, 5.0]]
    """

    def __init__(self, length, horizon=1, stride=1, *, target_columns=None):
        self.length = length
        self.horizon = horizon
        self.stride = stride
        self.target_columns = target_columns

    def make(self, series, target=None):
        """Make the windows of a series and their targets.

        Parameters
        ----------
        series : array-like or DataFrame of shape (n_steps, n_features) or (n_steps,)
            The series, one row a step, in the order of time and equally spaced.
        target : array-like of shape (n_steps,) or (n_steps, n_targets), default=None
            What is forecast, step by step, where it is no part of `series`: numbers, or labels of
            classes. With it `target_columns` must be None.

        Returns
        -------
        X : ndarray of shape (n_windows, length, n_features)
            The windows, in the floating-point type of `series` (float64 for integers).
        y : ndarray of shape (n_windows,) or (n_windows, horizon * n_targets)
            What follows each window: one number for one target one step ahead; otherwise all
            targets of the first step, then all of the second, and so on, so that
            ``y.reshape(len(y), horizon, n_targets)`` takes them apart. A `target` keeps its type.

        Raises
        ------
        ValueError
            If a parameter is out of range, the series is too short for one window and its targets,
            has more than two axes, or holds NaN or infinity.
        """
        self._check_parameters()
        values = _steps(series, "series")
        targets = self._targets(series, values, target)
        starts = self._starts(len(values))
        X = values[starts[:, None] + np.arange(self.length)]
        y = targets[starts[:, None] + self.length + np.arange(self.horizon)]
        y = y.reshape(len(starts), -1)
        return X, y[:, 0] if y.shape[1] == 1 else y

    def last(self, series):
        """Give the window of the last steps, whose targets are not known yet.

        Parameters
        ----------
        series : array-like or DataFrame of shape (n_steps, n_features) or (n_steps,)
            The series; the last `length` steps of it are enough.

        Returns
        -------
        ndarray of shape (1, length, n_features)
            The window to predict from: the forecast is for the steps ``n_steps`` to
            ``n_steps + horizon - 1``.

        Raises
        ------
        ValueError
            If the series is shorter than `length`, or as in :meth:`make`.
        """
        self._check_parameters()
        values = _steps(series, "series")
        if len(values) < self.length:
            raise ValueError(
                f"series must have at least {self.length} steps (length), got {len(values)}."
            )
        return values[None, len(values) - self.length :].copy()

    def target_times(self, series):
        """Give the position in the series of the first target step of each window.

        Parameters
        ----------
        series : array-like or DataFrame of shape (n_steps, ...), or int
            The series, or its number of steps.

        Returns
        -------
        ndarray of int64, shape (n_windows,)
            Positions: the forecast from window ``i`` begins at row ``target_times(series)[i]`` of
            the series, and ``frame.index[target_times(frame)]`` are the dates.

        Raises
        ------
        ValueError
            If a parameter is out of range, or the series is too short.
        """
        self._check_parameters()
        n_steps = int(series) if isinstance(series, Integral) else len(series)
        return self._starts(n_steps) + self.length

    def time_series_split(self, n_splits=5, *, max_train_size=None, test_size=None):
        """Make a splitter for the windows whose training targets all lie before the test targets.

        Between training and test windows it leaves out ``ceil(horizon / stride) - 1`` windows: the
        last target step of a training window comes before the first target step of every test
        window, as when the network is trained on what is known at the time of the forecast. Inputs
        of test windows reach back into the training time, which is known by then.

        Parameters
        ----------
        n_splits : int, default=5
            Number of splits.
        max_train_size : int, default=None
            Largest number of training windows of a split; None for all.
        test_size : int, default=None
            Number of test windows of a split; None for ``n_windows // (n_splits + 1)``.

        Returns
        -------
        sklearn.model_selection.TimeSeriesSplit
            Pass it as `cv`; its `gap` counts windows.

        Raises
        ------
        ValueError
            If a parameter is out of range.

        Examples
        --------
        >>> from sgt_sklearn.preprocessing import SlidingWindow
        >>> SlidingWindow(24, horizon=6, stride=2).time_series_split(3)
        TimeSeriesSplit(gap=2, max_train_size=None, n_splits=3, test_size=None)
        """
        self._check_parameters()
        gap = -(-self.horizon // self.stride) - 1
        return TimeSeriesSplit(
            n_splits, gap=gap, max_train_size=max_train_size, test_size=test_size
        )

    def _check_parameters(self):
        for name in ("length", "horizon", "stride"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")

    def _starts(self, n_steps):
        """First step of each window that has all its targets."""
        needed = self.length + self.horizon
        if n_steps < needed:
            raise ValueError(
                f"series must have at least length + horizon = {self.length} + {self.horizon} = "
                f"{needed} steps, got {n_steps}."
            )
        return np.arange(0, n_steps - needed + 1, self.stride, dtype=np.int64)

    def _targets(self, series, values, target):
        if target is None:
            if self.target_columns is None:
                return values
            return values[:, self._columns(series, values.shape[1])]
        if self.target_columns is not None:
            raise ValueError(
                "target_columns must be None where target is given, got "
                f"{self.target_columns!r}: pass one of the two."
            )
        targets = _columns_of(target, "target", labels=True)
        if len(targets) != len(values):
            raise ValueError(
                f"target must have a row for each of the {len(values)} steps of the series, got "
                f"{len(targets)}."
            )
        return targets

    def _columns(self, series, n_columns):
        """Positions of the target columns."""
        chosen = self.target_columns
        chosen = [chosen] if isinstance(chosen, (str, Integral)) else list(chosen)
        names = list(getattr(series, "columns", ()))
        positions = []
        for column in chosen:
            if isinstance(column, str) and column in names:
                positions.append(names.index(column))
            elif (
                isinstance(column, Integral)
                and not isinstance(column, bool)
                and -n_columns <= column < n_columns
            ):
                positions.append(int(column))
            else:
                known = f", or one of {names}" if names else ""
                raise ValueError(
                    f"target_columns must be positions of the {n_columns} columns of the series"
                    f"{known}, got {column!r}."
                )
        if not positions:
            raise ValueError(
                "target_columns must name at least one column, got none. None takes all."
            )
        return positions


def _steps(series, name):
    """Array of shape (n_steps, n_columns) of finite floating-point numbers."""
    values = _columns_of(series, name)
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def _columns_of(series, name, labels=False):
    """Array of shape (n_steps, n_columns) without missing values, of its own type."""
    values = np.asarray(series)
    if values.dtype == object:
        # nullable columns of a frame, and lists of None and numbers
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError):
            if not labels:
                raise ValueError(
                    f"{name} must hold real numbers, got objects. Drop columns of other values, "
                    "such as dates, or encode them."
                ) from None
    if not labels and values.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, got {values.dtype}.")
    if values.ndim not in (1, 2) or 0 in values.shape:
        raise ValueError(
            f"{name} must be one series of shape (n_steps, n_columns) or (n_steps,), with at "
            f"least one step, got shape {values.shape}. Of several series, make the windows one "
            "by one and concatenate them."
        )
    if values.ndim == 1:
        values = values[:, None]
    missing = _missing(values)
    if missing.any():
        step, column = np.argwhere(missing)[0].tolist()
        raise ValueError(
            f"{name} must be finite, got {values[step, column]} at step {step} of {len(values)}, "
            f"column {column} ({int(missing.any(1).sum())} steps in all): fill missing values "
            "first, or make the windows of the parts between them."
        )
    return values


def _missing(values):
    if values.dtype.kind == "f":
        return ~np.isfinite(values)
    if values.dtype == object:
        # NaN is not equal to itself
        return (values == np.array(None)) | (values != values)
    return np.zeros(values.shape, dtype=bool)
