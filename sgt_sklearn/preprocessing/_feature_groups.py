"""Which columns of a fitted transformer's output belong to one original column."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sgt_sklearn.preprocessing._sources import fitted_input, names_out, output_sources


def feature_groups(transformer, input_features=None):
    """Label each output column of a fitted transformer with the original column it comes from.

    One-hot columns, splines, bins and missing-value indicators of one original column share a
    label, so that estimators, metrics and sums over attributions treat them as one variable.

    Parameters
    ----------
    transformer : fitted transformer
        A ``ColumnTransformer``, ``Pipeline`` or ``FeatureUnion`` of transformers, nested as you
        like, or any transformer with ``get_feature_names_out``.
    input_features : array-like of str of shape (n_features_in,), default=None
        Names of the original columns. None takes ``feature_names_in_``, and without it
        "x0", "x1", ...; names that differ from ``feature_names_in_`` are refused.

    Returns
    -------
    ndarray of str objects of shape (n_features_out,)
        One label for each column of ``transformer.transform(X)``: the name of the original column.
        An output that combines several columns (a principal component, a product) is a variable
        of its own and gets its own name as label.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If `transformer` is not fitted.
    TypeError
        If `transformer` is no transformer, for example a pipeline that ends in a classifier.
    ValueError
        If `input_features` does not fit, the names of the original columns repeat, or a
        transformer does not say where its outputs come from.

    See Also
    --------
    sum_by_group : Sum attributions over the columns of one label.

    Notes
    -----
    The fitted structure is read, not parsed from names: column "home_town" with category "x_y" and
    column "home" with category "town_x_y" are told apart. Where there is no structure to read,
    the transformer is asked for the names of its outputs given unmistakable names of its inputs.
    Imputers and scalers that look at other columns too (``IterativeImputer``, ``KNNImputer``,
    ``Normalizer``) count as column by column, as their names do.

    The labels belong to one fitted transformer. When it is fitted again on other rows, in
    cross-validation, its columns must stay the same: name the categories
    (``OneHotEncoder(categories=...)``).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.preprocessing import OneHotEncoder, StandardScaler
    >>> from sgt_sklearn.preprocessing import feature_groups
    >>> X = np.array([[1.5, "red"], [2.5, "green"], [0.5, "blue"]], dtype=object)
    >>> transformer = make_column_transformer((StandardScaler(), [0]), (OneHotEncoder(), [1]))
    >>> feature_groups(transformer.fit(X), ["size", "colour"]).tolist()
    ['size', 'colour', 'colour', 'colour']
    """
    check_is_fitted(transformer)
    if not hasattr(transformer, "transform"):
        raise TypeError(
            f"transformer must have a method `transform`, got {type(transformer).__name__}. Of a "
            "pipeline that ends in a predictor, pass the steps before it: pipeline[:-1]."
        )
    originals = _original_names(transformer, input_features)
    sources = output_sources(transformer, len(originals))
    names = _output_names(transformer, None if input_features is None else originals, sources)
    taken = set(originals)
    labels = np.empty(len(sources), dtype=object)
    for j, (source, name) in enumerate(zip(sources, names, strict=True)):
        if len(source) == 1:
            labels[j] = originals[next(iter(source))]
            continue
        while name in taken:
            name += "_"
        taken.add(name)
        labels[j] = name
    return labels


def _original_names(transformer, input_features):
    fitted = fitted_input(transformer, "feature_names_in_")
    n_inputs = fitted_input(transformer, "n_features_in_")
    if input_features is None:
        if n_inputs is None:
            raise ValueError(
                "input_features must name the original columns, because "
                f"{type(transformer).__name__} does not know their number (n_features_in_), got "
                "None."
            )
        names = [f"x{i}" for i in range(n_inputs)] if fitted is None else list(fitted)
    else:
        names = _check_names(input_features, n_inputs)
        if fitted is not None and names != list(fitted):
            raise ValueError(
                "input_features must equal the names that the transformer was fitted with, "
                f"{_few(fitted)}, got {_few(names)}. Leave it out to take those."
            )
    if len(set(names)) < len(names):
        repeated = [name for i, name in enumerate(names) if name in names[:i]]
        raise ValueError(
            f"The names of the original columns must be unique, got {_few(repeated)} more than "
            "once: columns of one name would become one group. Rename them, or pass "
            "input_features where the transformer was fitted on an array."
        )
    return names


def _check_names(input_features, n_inputs):
    names = np.asarray(input_features, dtype=object)
    if names.ndim != 1 or not all(isinstance(name, str) for name in names):
        raise ValueError(
            "input_features must be a list of column names (str), got "
            f"{input_features!r:.80}. Convert other names with str."
        )
    if n_inputs is not None and len(names) != n_inputs:
        raise ValueError(
            f"input_features must name the {n_inputs} columns that the transformer was fitted on, "
            f"got {len(names)} names."
        )
    return list(names)


def _output_names(transformer, input_features, sources):
    """Names of the outputs; invented ones where the transformer has none."""
    try:
        names = names_out(transformer, input_features)
    except ValueError:  # a ColumnTransformer whose parts give equal names without prefix
        names = None
    if names is None:
        return [f"{type(transformer).__name__.lower()}{j}" for j in range(len(sources))]
    if len(names) != len(sources):
        raise ValueError(
            f"transformer must name each of its outputs once, but {type(transformer).__name__} "
            f"has {len(sources)} outputs and get_feature_names_out gives {len(names)} names. "
            "Write the labels by hand: one for each column of transform(X)."
        )
    return names


def _few(names):
    names = [str(name) for name in names]
    return f"{names[:5]}" if len(names) <= 5 else f"{names[:5]} and {len(names) - 5} more"
