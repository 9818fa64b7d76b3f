"""Columns under the names of the caller: which are explained as one, and what they hold."""

import numpy as np

from sgt_sklearn.guidance import PADDING_TOKEN
from sgt_sklearn.inspection._unwrap import n_columns as columns_of


class Columns:
    """What the columns that a final estimator sees are to the caller.

    Parameters
    ----------
    final : Final
        The estimator, and what the steps before it tell.
    groups : array-like or None
        Labels of the caller's own.
    fold : bool
        Whether columns of one label become one.

    Raises
    ------
    TypeError
        If the labels cannot be told apart.
    ValueError
        If their shape does not fit X.
    """

    def __init__(self, final, groups, fold):
        self.final = final
        labels = final.groups if groups is None and fold else groups
        self.names = self.codes = self.cells = self.columns = None
        if labels is None:
            return
        labels = np.asarray(labels, dtype=object)
        n_columns = columns_of(final.X)
        if labels.ndim == 1 and n_columns is not None:
            if len(labels) != n_columns:
                raise ValueError(
                    "groups must hold a label for each column that the final estimator sees, "
                    f"shape ({n_columns},), or for each cell of a sample, got shape "
                    f"{labels.shape}."
                )
            self._name(labels, fold)
        else:
            self.cells = _numbered(labels.ravel())[1].reshape(labels.shape)

    def _name(self, labels, fold):
        names, codes = _numbered(labels)
        # original columns in their own order, whatever order the steps gave them
        first = {name: i for i, name in enumerate(self.final.original_names or ())}
        order = sorted(range(len(names)), key=lambda j: first.get(names[j], len(first) + j))
        self.columns = np.argsort(order)[codes]
        if fold:
            self.names, self.codes = [str(names[j]) for j in order], self.columns

    @property
    def hidden_together(self):
        """Labels of the cells that methods which perturb hide as one, or None."""
        return self.columns if self.cells is None else self.cells

    @property
    def of_several(self):
        """Names that stand for several columns, in their order; none where nothing is folded."""
        if self.codes is None:
            return []
        counts = np.bincount(self.codes)
        return [name for name, count in zip(self.names, counts, strict=True) if count > 1]

    def named(self, values, samples, kind, *, hidden_together):
        """Values, data and names of an explanation.

        Parameters
        ----------
        values, samples : ndarray
            Attributions and what is explained, as the final estimator sees it.
        kind : str
            What the axes stand for.
        hidden_together : bool
            Whether each column has the value of all of its label.
        """
        if kind == "tokens":
            if self.columns is not None or self.cells is not None:
                raise ValueError(
                    "groups must be None for tokens, whose columns are places in a text."
                )
            return values, self._tokens(samples), None
        if self.codes is None:
            return values, samples, self._names(samples, kind)
        if hidden_together:
            folded = values[..., np.unique(self.codes, return_index=True)[1]]
        else:
            folded = np.zeros((*values.shape[:-1], len(self.names)), dtype=values.dtype)
            np.add.at(folded, (..., self.codes), values)
        data = [self._data_of(j, samples, kind) for j in range(len(self.names))]
        if kind == "series" or all(column.dtype.kind in "fiu" for column in data):
            return folded, np.stack(data, axis=-1), self.names
        table = np.empty((len(samples), len(data)), dtype=object)
        for j, column in enumerate(data):
            table[:, j] = column
        return folded, table, self.names

    def _names(self, samples, kind):
        names = self.final.feature_names
        if names is None and kind == "image":
            names = self.final.original_names
        return names if kind in ("tabular", "series", "image") else None

    def _data_of(self, j, samples, kind):
        """Values of a column of the caller's, or of what was made of several of them."""
        members = samples[..., self.codes == j]
        if kind == "series":
            return members.mean(axis=-1)
        original = _column(self.final, self.names[j], len(samples))
        if original is not None:
            return original
        if members.shape[1] == 1:
            return members[:, 0]
        return np.array(
            [", ".join(f"{value:g}" for value in row) for row in members], dtype=object
        )

    def _tokens(self, samples):
        encoder, steps = self.final.token_encoder, self.final.steps
        if encoder is None or steps[-1] is not encoder:
            return samples
        words = encoder.get_token_names_out()[samples]
        if len(steps) == 1:  # unknown words as they stand in the text
            for row, tokens in zip(words, encoder.tokens_out(self.final.originals), strict=True):
                row[: len(tokens)] = tokens
        words[samples == PADDING_TOKEN] = ""
        return words


def _column(final, name, n_samples):
    """A column of what the caller passed, or None where it has no such one."""
    names, originals = final.original_names, final.originals
    if names is None or name not in names:
        return None
    place = names.index(name)
    if hasattr(originals, "iloc"):
        column = originals.iloc[:, place].to_numpy()
    elif hasattr(originals, "columns"):
        column = originals[originals.columns[place]].to_numpy()
    else:
        table = np.asarray(originals, dtype=None if hasattr(originals, "dtype") else object)
        if table.ndim != 2:
            return None
        column = table[:, place]
    if len(column) != n_samples:
        return None
    return column if column.dtype.kind in "fiu" else _plain(column.astype(object))


def _plain(column):
    """Numbers where objects are all numbers."""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in column):
        return column.astype(np.float64)
    return column


def _numbered(labels):
    """Distinct labels in the order they come in, and the number of each."""
    try:
        numbers = {}
        codes = [numbers.setdefault(label, len(numbers)) for label in labels.tolist()]
    except TypeError as error:
        raise TypeError(
            f"groups must hold labels that can be told apart, such as texts, got {error}."
        ) from error
    return list(numbers), np.array(codes)
