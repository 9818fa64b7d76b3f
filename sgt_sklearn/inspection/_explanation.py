"""What an explanation is: attributions with what they explain, by which method, in which names."""

import numpy as np

from sgt_sklearn.inspection._explanation_checks import (
    check_arguments,
    check_index,
    steps_inside,
)
from sgt_sklearn.inspection._frames import as_frame
from sgt_sklearn.inspection._html import as_html
from sgt_sklearn.inspection._wording import describe

# their baseline is a set of rows, for all samples
_BASELINE_OF_ALL = ("gradient_shap", "deep_lift_shap")


class Explanation:
    """Attributions, with the data they explain, the names of the features and what was explained.

    Parameters
    ----------
    values : array-like of shape (n_samples, ...), or list of arrays
        Attributions, one for each cell of `data`. With ``target="all"`` of shape
        (n_samples, n_outputs, ...). Of series or tokens of unequal length a list, or an array that
        is NaN on padding.

    data : array-like of shape (n_samples, ...), or list of arrays
        What is explained: a table of shape (n_samples, n_features), series of shape
        (n_samples, n_timesteps, n_features), images of shape (n_samples, n_channels, height,
        width), or tokens of shape (n_samples, n_timesteps), as strings or ids.

    kind : {"tabular", "series", "image", "tokens", "other"}
        What the axes stand for.

    method : str
        Name of the method.

    output : str
        What is explained of the target: "logit", "log_proba", "margin", "probability" or
        "prediction".

    target : label, array-like of shape (n_samples,), "all" or None, default=None
        Class or output that is explained; None where the estimator has one output.

    baseline : array-like, str or None, default=None
        What features are compared with or replaced by, in the space that the estimator sees.

    explained_output : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        The explained quantity at `data`.

    baseline_output : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        The explained quantity at the baseline.

    feature_names : list of str, default=None
        Names of the columns, of the features of a step, or of the channels, each once. None takes
        those of a data frame, if `data` (or else `values`) is one; else "x0", "x1" and so on
        stand in where names are needed.

    lengths : array-like of int, shape (n_samples,), default=None
        Number of steps or tokens of each sample; later ones are padding. None takes trailing NaN
        in `values` for padding.

    classes : list of length n_outputs, default=None
        Names of the outputs with ``target="all"``; None numbers them.

    index : array-like of length n_samples, default=None
        Names of the samples, by position. None takes those of a data frame, or numbers them.

    standardized : bool, default=False
        Whether gradients were multiplied by the standard deviation of each feature in training.

    transformed : bool, default=False
        Whether the estimator sees what the steps of a pipeline made of the data. Gradients are
        then per unit of that, and pictures say so.

    temporal_rescaling : bool, default=False
        Whether values are the temporal saliency rescaling of `method`: relevance from 0 to 1.

    groups : array-like of the shape of a sample, default=None
        Labels of the cells of a sample. Cells of one label were hidden together and share one
        value, as those of a segment of an image do; it counts once in `delta`.

    Raises
    ------
    ValueError
        If shapes do not fit, values inside a sample are not finite, a name is unknown or comes
        twice, or `values` and `data` are data frames of other columns or rows.

    TypeError
        If values are not real numbers.

    See Also
    --------
    SaliencyMapDisplay : Draws it.

    Examples
    --------
    >>> from sgt_sklearn.inspection import Explanation
    >>> explanation = Explanation(
    ...     [[0.5, -2.0], [0.1, 1.0]],
    ...     data=[[30, "basic"], [41, "premium"]],
    ...     kind="tabular",
    ...     method="integrated_gradients",
    ...     output="logit",
    ...     target=["stays", "leaves"],
    ...     feature_names=["age", "plan"],
    ... )
    >>> explanation
    Explanation of 2 samples x 2 features by integrated_gradients, logit of each sample's target
    >>> explanation.top()
    {'plan': 1.5, 'age': 0.3}
    >>> explanation[0].values
    array([[ 0.5, -2. ]])
    """

    def __init__(
        self,
        values,
        *,
        data,
        kind,
        method,
        output,
        target=None,
        baseline=None,
        explained_output=None,
        baseline_output=None,
        feature_names=None,
        lengths=None,
        classes=None,
        index=None,
        standardized=False,
        transformed=False,
        temporal_rescaling=False,
        groups=None,
    ):
        self.kind, self.method, self.output = kind, method, output
        self.baseline = baseline
        self.standardized, self.transformed = standardized, transformed
        self.temporal_rescaling = temporal_rescaling
        self.groups = None if groups is None else np.asarray(groups)
        (
            self.values,
            self.data,
            self.lengths,
            self.target,
            self.classes,
            self.explained_output,
            self.baseline_output,
            self.feature_names,
            self.index,
        ) = check_arguments(
            values,
            data,
            kind,
            method,
            output,
            target,
            explained_output,
            baseline_output,
            feature_names,
            lengths,
            classes,
            index,
        )
        of_one = self.data.shape[1:]
        if self.groups is not None and self.groups.shape != of_one:
            raise ValueError(
                f"groups must hold a label for each cell of a sample, shape {of_one}, got shape "
                f"{self.groups.shape}."
            )

    @property
    def shape(self):
        """Shape of `values`, a tuple of int."""
        return self.values.shape

    @property
    def delta(self):
        """What the values miss of the change of the output, shape (n_samples,), or None.

        ``explained_output - baseline_output`` minus the sum of the values: 0 for methods that are
        complete, such as integrated gradients, up to their numerical error. None where the outputs
        are unknown. With ``target="all"`` of shape (n_samples, n_outputs).
        """
        if self.explained_output is None or self.baseline_output is None:
            return None
        n_kept = 2 if self.classes is not None else 1
        # no -1, which is undefined without samples
        kept, inside = self.values.shape[:n_kept], self.values.shape[n_kept:]
        cells = self.values.reshape(*kept, int(np.prod(inside)))
        if self.groups is not None:
            cells = _one_of_each(cells, self.groups.ravel())
        return self.explained_output - self.baseline_output - np.nansum(cells, axis=-1)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, item):
        rows = check_index(item, len(self))
        baseline = self.baseline
        if self._has_baseline_by_sample():
            baseline = np.asarray(baseline)[rows]
        return self._with(
            values=self.values[rows],
            data=self.data[rows],
            baseline=baseline,
            **{
                name: None if getattr(self, name) is None else getattr(self, name)[rows]
                for name in ("explained_output", "baseline_output", "lengths", "index")
            },
            target=self.target[rows] if isinstance(self.target, np.ndarray) else self.target,
        )

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def for_target(self, label):
        """Explain one output, of an explanation of all.

        Parameters
        ----------
        label : label
            One of `classes`.

        Returns
        -------
        Explanation
            That of the output alone.

        Raises
        ------
        ValueError
            If the explanation is not of all outputs, or has no such one.
        """
        if self.classes is None:
            raise ValueError(
                "for_target needs an explanation of all outputs (target='all'), got one of the "
                f"targets {self.target!r}."
            )
        found = [i for i, name in enumerate(self.classes) if name == label]
        if not found:
            raise ValueError(f"label must be one of {self.classes}, got {label!r}.")
        labels = np.empty(len(self), dtype=np.asarray(self.classes).dtype)
        labels[:] = self.classes[found[0]]
        return self._with(
            values=self.values[:, found[0]],
            explained_output=_column(self.explained_output, found[0]),
            baseline_output=_column(self.baseline_output, found[0]),
            target=labels,
            classes=None,
        )

    def mean_abs(self):
        """Mean absolute value over the samples: what matters in general.

        Gradients of columns in different units compare only if they are standardised.

        Returns
        -------
        ndarray of the shape of a sample, or dict of str to float
            For each feature of tables, cell of series (over the series that reach the step) and
            pixel. Of tokens a dict of the mean over the occurrences of each distinct token,
            largest first. With ``target="all"`` one more axis of the outputs in front, or a dict
            of such dicts.
        """
        if self.kind == "tokens":
            if self.classes is not None:
                return {label: self.for_target(label).mean_abs() for label in self.classes}
            return self._mean_abs_of_tokens()
        return self._mean_sizes(0)

    def top(self, k=10):
        """Features with the largest mean absolute values.

        Gradients of columns in different units compare only if they are standardised.

        Parameters
        ----------
        k : int, default=10
            How many.

        Returns
        -------
        dict of str to float
            Names of features and their mean absolute values, largest first. Of series the mean is
            over steps, too; of images over pixels, for each channel; of tokens for each distinct
            token.

        Raises
        ------
        ValueError
            If the explanation is of all outputs, or of another kind.
        """
        self._check_one_output("top")
        if self.kind == "tokens":
            return dict(list(self.mean_abs().items())[:k])
        if self.kind == "other":
            raise ValueError("top needs named features, got an explanation of kind 'other'.")
        # by cells, so that a step which one series reaches counts once
        axes = {"tabular": (0,), "series": (0, 1), "image": (0, 2, 3)}[self.kind]
        means = self._mean_sizes(axes)
        order = np.argsort(-means, kind="stable")[:k]
        names = self._feature_names()
        return {names[i]: float(means[i]) for i in order}

    def to_frame(self):
        """Values as a pandas data frame.

        Returns
        -------
        pandas.DataFrame
            Of tables a row a sample and a column a feature (with ``target="all"`` columns of two
            levels, target and feature). Else a row a value, with columns that say where it is and
            its datum: "sample", "step", "feature" for series; "sample", "position", "token" for
            tokens, with padding left out; "sample", "channel", "row", "column" for images;
            "sample", "axis_1" and so on for other data; and "target" with ``target="all"``.

        Raises
        ------
        ImportError
            If pandas is missing.
        """
        return as_frame(self)

    def __repr__(self):
        return describe(self)

    def _repr_html_(self):
        return as_html(self)

    def _feature_names(self):
        """Names of the features, made up where they are unknown."""
        if self.feature_names is not None:
            return self.feature_names
        prefix = "channel " if self.kind == "image" else "x"
        return [f"{prefix}{i}" for i in range(self._n_features())]

    def _n_features(self):
        return self.data.shape[1] if self.kind == "image" else self.data.shape[-1]

    def _inside(self):
        """Steps that are no padding, shape (n_samples, n_timesteps), of series and tokens."""
        return steps_inside(self.lengths, self.data.shape[:2])

    def _check_one_output(self, what):
        if self.classes is not None:
            raise ValueError(
                f"{what} needs an explanation of one output, got one of all: choose with "
                f"for_target, for example explanation.for_target({self.classes[0]!r})."
            )

    def _mean_sizes(self, axes):
        """Mean absolute value over axes, padding left out; NaN where there are no values."""
        sizes = np.abs(self.values)
        counts = np.isfinite(sizes).sum(axis=axes)
        with np.errstate(invalid="ignore"):
            return np.nansum(sizes, axis=axes) / counts

    def _mean_abs_of_tokens(self):
        inside = self._inside()
        tokens, values = self.data[inside], np.abs(self.values[inside])
        names, places = np.unique(tokens.astype(str), return_inverse=True)
        sums = np.bincount(places, weights=values, minlength=len(names))
        means = sums / np.bincount(places, minlength=len(names))
        order = np.argsort(-means, kind="stable")
        return {str(names[i]): float(means[i]) for i in order}

    def _has_baseline_by_sample(self):
        return (
            not isinstance(self.baseline, (str, type(None)))
            and self.method not in _BASELINE_OF_ALL
            and np.ndim(self.baseline) == self.data.ndim
            and len(self.baseline) == len(self)
        )

    def _with(self, **changes):
        names = (
            *("values", "data", "kind", "method", "output", "target", "baseline"),
            *("explained_output", "baseline_output", "feature_names", "lengths", "classes"),
            *("index", "standardized", "transformed", "temporal_rescaling", "groups"),
        )
        return type(self)(**{name: getattr(self, name) for name in names} | changes)


def _column(values, i):
    return None if values is None else values[:, i]


def _one_of_each(values, labels):
    """The value that the cells of each label share, those of padding left out; NaN of none."""
    order = np.argsort(labels, kind="stable")
    starts = np.unique(labels[order], return_index=True)[1]
    values = values[..., order]
    inside = np.isfinite(values)
    sums = np.add.reduceat(np.where(inside, values, 0), starts, axis=-1)
    counts = np.add.reduceat(inside.astype(int), starts, axis=-1)
    with np.errstate(invalid="ignore"):
        return sums / counts
