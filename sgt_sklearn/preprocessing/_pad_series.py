"""Series of unequal length as a dict of arrays."""

import numpy as np

from sgt_sklearn._series import padded


def pad_series(X, *, dtype=np.float32):
    """Bring series of unequal length into one array, with their lengths.

    The estimators do this by themselves. Use it for modules and training loops of your own: skorch
    passes the entries of a dict to ``forward(X, lengths)``, and torch takes them as they are.

    Parameters
    ----------
    X : ndarray, list of ndarray, or dict
        - array of shape (n_samples, n_timesteps, n_features); trailing steps that are NaN in all
          features are padding;
        - list of arrays of shape (n_timesteps_i, n_features);
        - dict of "X", such an array, and "lengths" of shape (n_samples,): what lies behind the end
          of a series is padding, whatever it holds.
    dtype : numpy dtype, default=numpy.float32
        Floating-point type of the result.

    Returns
    -------
    dict
        "X", ndarray of shape (n_samples, n_timesteps, n_features): the series, 0 behind the end of
        each; the array that was given where it needs no change. "lengths", ndarray of int64, shape
        (n_samples,): their numbers of steps, also where all are equally long.

    Raises
    ------
    ValueError
        For series without steps, NaN or infinity inside a series, lengths beyond the array, and
        series of different numbers of features.

    See Also
    --------
    from_channels_first : For series whose channels come before time.

    Examples
    --------
    >>> import numpy as np
    >>> from sgt_sklearn.preprocessing import pad_series
    >>> series = pad_series([np.ones((1, 1)), np.ones((3, 1))])
    >>> series["X"][:, :, 0].tolist(), series["lengths"].tolist()
    ([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]], [1, 3])
    """
    array, lengths = padded(X, dtype=dtype)
    if lengths is None:
        lengths = np.full(len(array), array.shape[1], dtype=np.int64)
    return {"X": array, "lengths": lengths}
