"""Attributions of original columns."""

import numpy as np


def sum_by_group(attributions, groups):
    """Sum attributions over the cells of each group.

    Parameters
    ----------
    attributions : array-like of shape ``(..., n_features)`` or ``(..., *groups.shape)``
        Attributions of samples, ``feature_importances_``, or any values of that shape. Signed
        values that add up to a change of the output (input_x_gradient, integrated_gradients) stay
        additive; sum absolute values to see how much a group moves whatever the sign.
    groups : array-like of shape (n_features,), or of the shape of one sample
        Labels, for example from :func:`feature_groups`; cells with equal labels are one group.

    Returns
    -------
    sums : ndarray of shape (..., n_groups)
        Sums, groups in the order of their first cell.
    names : list
        The label of each group.

    Raises
    ------
    ValueError
        If the last axes of `attributions` are not those of `groups`.

    See Also
    --------
    feature_groups : Labels from a fitted transformer.

    Examples
    --------
    >>> from sgt_sklearn.preprocessing import sum_by_group
    >>> sums, names = sum_by_group([[0.5, 1.0, -3.0]], ["size", "colour", "colour"])
    >>> names, sums
    (['size', 'colour'], array([[ 0.5, -2. ]]))
    """
    values, labels = np.asarray(attributions), np.asarray(groups)
    if labels.ndim == 0 or values.shape[values.ndim - labels.ndim :] != labels.shape:
        raise ValueError(
            "attributions must end in the axes of groups, one value for each label, got shape "
            f"{values.shape} with groups of shape {labels.shape}."
        )
    values = values.reshape(*values.shape[: values.ndim - labels.ndim], labels.size)
    labels = labels.ravel().tolist()
    names = list(dict.fromkeys(labels))
    columns = [[i for i, label in enumerate(labels) if label == name] for name in names]
    return np.stack([values[..., members].sum(-1) for members in columns], axis=-1), names
