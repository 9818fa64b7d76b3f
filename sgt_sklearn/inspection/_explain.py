"""Explanations of predictions, with names, of nets, pipelines, searches and ensembles."""

import warnings

import numpy as np
from skorch import NeuralNet

from sgt_sklearn._random import generators_apart, seed_from
from sgt_sklearn._series import padded
from sgt_sklearn._statistics import FeatureStatistics
from sgt_sklearn.estimators._attribute import check_counts, without_padding
from sgt_sklearn.inspection._baselines import check_baseline
from sgt_sklearn.inspection._explained import resolve_target
from sgt_sklearn.inspection._explanation import Explanation
from sgt_sklearn.inspection._explanation_checks import distinct
from sgt_sklearn.inspection._finals import Request, attributions, explain_final
from sgt_sklearn.inspection._folding import Columns
from sgt_sklearn.inspection._methods import check_options, method_named
from sgt_sklearn.inspection._rescaling import temporal_saliency_rescaling
from sgt_sklearn.inspection._units import is_transformed, knows_deviations, summed_inside
from sgt_sklearn.inspection._unwrap import unwrap

__all__ = ["attributions", "explain"]

_OF_WINDOWS = ("sliding_window_shapes", "strides")
_KINDS = {2: "tabular", 3: "series", 4: "image"}


def explain(
    estimator,
    X,
    *,
    method="saliency",
    target="predicted",
    output="auto",
    baseline="auto",
    fold=True,
    feature_names=None,
    groups=None,
    standardized=False,
    temporal_rescaling=False,
    batch_size=None,
    random_state=None,
    **options,
):
    """Explain predictions by one of many attribution methods, in the names of the columns of X.

    Parameters
    ----------
    estimator : fitted estimator
        A net of this library or any other skorch net; a pipeline or search that ends in one, which
        is explained in the space that the net sees and named by the steps before; a calibrated,
        bagged or voting ensemble, explained by the mean over its nets for the class that the
        ensemble predicts; a regressor of a transformed target, in units of y. Methods that perturb
        take any estimator that predicts.

    X : array-like of shape (n_samples, ...)
        Inputs, as for `estimator.predict`.

    method : str, default="saliency"
        Gradients, in output units per input unit: "saliency", "path_gradient", "smooth_grad",
        "guided_backprop", "deconvolution", and "vargrad" (their variance under noise).
        Contributions by gradients, in output units: "input_x_gradient", "integrated_gradients",
        "gradient_shap", "deep_lift", "deep_lift_shap", "lrp". Contributions by perturbation:
        "feature_ablation", "occlusion", "feature_permutation", "shapley_value_sampling",
        "kernel_shap", "lime". See Notes.

    target : "predicted", "all", label or array-like of shape (n_samples,), default="predicted"
        Classification: the label(s) whose output is explained. Regression: the index of the
        output; "predicted" is the only output, or the sum of the standardised outputs.

    output : {"auto", "logit", "log_proba", "margin", "probability"}, default="auto"
        What is explained of a class. "auto" is the logit of nets, and the probability that any
        other estimator predicts. "margin" is the logit minus the mean logit. Of nets
        "probability" is for methods that perturb.

    baseline : {"auto", "zeros", "mean", "marginal"} or array-like, default="auto"
        What features are compared with, or replaced by, where the final estimator sees them:
        "mean" is that of training (of X, where the estimator does not know it), "marginal"
        another row of X. An array is one sample or one for each row; for "gradient_shap" and
        "deep_lift_shap" a set of rows. "auto" is "mean", for these two "marginal"; for tokens an
        embedding of zeros, or the unknown token in place of hidden ones.

    fold : bool, default=True
        Whether columns that the steps of a pipeline made of one original column are explained as
        one: values are summed, and methods that perturb hide them together. False explains each
        column that the final estimator sees. Sums of gradients are no ranking, and a warning says
        so: see Notes.

    feature_names : list of str, default=None
        Names of the columns (of tables), features of a step (of series) or channels (of images)
        of X, each once. None takes those of a data frame; of names that come more than once, the
        later ones get a number, such as "age (2)".

    groups : array-like of shape (n_columns,) or of a sample, default=None
        Labels of the columns that the final estimator sees, instead of those that the steps tell.
        Columns of one label are explained as one, under the label as name. Methods that perturb
        also take labels of all cells of a sample, such as the segments of an image, and give each
        cell the value of its segment.

    standardized : bool or "auto", default=False
        Multiply gradients by the standard deviation of each feature in training, so that features
        in different units compare: without it a column in small units looks large. "auto" does
        so for gradients of tables by nets that know the deviations, as those of this library do.

    temporal_rescaling : bool, default=False
        Of series: relevance from 0 to 1 by :func:`temporal_saliency_rescaling` of the method.

    batch_size : int, default=None
        Rows a pass; None fits it to the size of a row. Beside arrays of the size of X, memory is
        that of one batch.

    random_state : int, RandomState instance or None, default=None
        Seed of methods that draw. With an int the global generators are left alone; None uses and
        advances them.

    **options
        Of the method: `n_steps` (points of a path), `n_samples` (noisy copies, random orders or
        subsets), `noise_level` (noise in standard deviations of each feature), `n_baselines` (rows
        that "marginal" draws), `sliding_window_shapes` and `strides` (of "occlusion"), `alpha` (of
        the Lasso of "lime"). See Notes.

    Returns
    -------
    Explanation
        The values, with names and what was explained.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If a name, label or shape is unknown or does not fit, or the method cannot explain such an
        output, or an ensemble holds pipelines that do not tell where columns go.
    TypeError
        If the method has no such option, needs gradients that the estimator does not have (use
        "feature_ablation"), or does not work with the layers of the module.

    See Also
    --------
    Explanation : What is returned.
    temporal_saliency_rescaling : Which steps of series matter, and then which features.

    Notes
    -----
    Defaults of the options: `n_steps` 50; `n_samples` 25, and twice the number of features plus 50
    for "kernel_shap" and "lime"; `noise_level` 0.1; `n_baselines` 25; `alpha` 0.01. Windows of
    "occlusion" are one column or token, all features of a step, or 3 x 3 pixels of all channels,
    moved by one.

    Values add up to the difference between the outputs at X and at the baseline for
    "integrated_gradients", "deep_lift", "deep_lift_shap", "shapley_value_sampling" and
    "kernel_shap" (see :attr:`Explanation.delta`).

    "deep_lift" has rules for layers such as ``nn.ReLU``, each used once, and a rough one for max
    pooling; where a module calls functions instead, or is recurrent, values do not add up, and a
    warning says so. "lrp" needs layers that it has rules for (Linear, Conv2d, pooling, ReLU, Tanh)
    and passes relevance back to the standardised input; "guided_backprop" and "deconvolution" need
    ``nn.ReLU``. They work on a copy of the module.

    Padding of series and tokens is never perturbed and has the value NaN. Tokens are explained by
    gradients at their embedding (the norm of a gradient, the sum of contributions) and by
    perturbation as whole tokens.

    "feature_permutation" exchanges values among all rows of X at once; its values depend on them.

    To rank the columns of a table, take a method of contributions, or gradients with
    ``standardized=True``. Of a variable that became several columns, as one-hot encoding makes
    them, gradients are no ranking either way: their sum is the slope in a direction in which no
    row moves, as all categories would grow at once. "integrated_gradients", "feature_ablation" and
    "shapley_value_sampling" say what such a variable contributes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.inspection import explain
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> net = SaliencyGuidedClassifier(max_epochs=5, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), net).fit(X, y)
    >>> explanation = explain(pipeline, X[:3], method="integrated_gradients")
    >>> explanation.feature_names[0], explanation.shape
    ('sepal length (cm)', (3, 4))
    >>> bool(abs(explanation.delta).max() < 0.01)
    True
    """
    facts = method_named(method)
    options = check_options(method, options)
    if not temporal_rescaling:  # which hides cells, whatever the method does
        check_baseline(baseline, method)
    check_counts(batch_size=batch_size)
    final = unwrap(estimator, X, feature_names)
    columns = Columns(final, groups, fold)
    if columns.cells is not None and facts.family != "perturbation":
        raise ValueError(
            f"groups must hold one label a column for method={method!r}, got shape "
            f"{columns.cells.shape}: labels of cells are for methods that perturb, such as "
            "'feature_ablation'."
        )
    _check_windows(options, columns)
    if facts.units != "contribution" and groups is None:
        _warn_of_sums(method, columns.of_several or summed_inside(final.estimator))
    request = Request(
        method,
        target=target,
        output=output,
        baseline=baseline,
        options=options,
        labels=columns.hidden_together if facts.family == "perturbation" else None,
        batch_size=batch_size,
        standardized=_check_standardized(standardized, facts, final),
        seed=None if random_state is None else seed_from(random_state),
        outputs=("input", "baseline") if facts.complete else ("free",),
    )
    # what predicts may draw, too, as any skorch net does when it makes its batches
    with generators_apart(request.seed):
        if temporal_rescaling:
            return _rescaled(final, request, columns)
        found = explain_final(final.estimator, final.X, request)
        transformed = is_transformed(estimator)
        return _explanation(found, request, final, columns, transformed)


def _check_windows(options, columns):
    """Refuse windows where what is hidden as one has no neighbours that they could slide over."""
    given = [name for name in _OF_WINDOWS if options.get(name) is not None]
    labels = columns.hidden_together
    if given and labels is not None and len(np.unique(labels)) < labels.size:
        raise ValueError(
            f"{given[0]} must be None where columns or cells are hidden together, which have no "
            f"neighbours, got {options[given[0]]!r}. Use fold=False and groups=None to slide over "
            "the columns that the final estimator sees, or method='feature_ablation'."
        )


def _check_standardized(standardized, facts, final):
    """Whether to standardise, with "auto" settled."""
    if isinstance(standardized, (bool, np.bool_)):
        return bool(standardized)
    if not isinstance(standardized, str) or standardized != "auto":
        raise ValueError(f"standardized must be True, False or 'auto', got {standardized!r}.")
    of_gradients = facts.units != "contribution"
    return of_gradients and is_table(final.X) and knows_deviations(final.estimator)


def is_table(X):
    """Whether X has a row of numbers (or of ids) for each sample."""
    if hasattr(X, "shape"):
        return len(X.shape) == 2
    return isinstance(X, (list, tuple)) and len(X) > 0 and np.ndim(X[0]) == 1


def _warn_of_sums(method, names):
    """Warn where gradients of a variable are summed over what the steps made of it."""
    if not names:
        return
    shown = ", ".join(map(repr, names[:3])) + ", ..." * (len(names) > 3)
    warnings.warn(
        f"method={method!r} sums gradients over the columns that steps of the pipeline make of "
        f"{shown}: that is the slope in a direction in which no row moves, and does not rank "
        "variables. Use method='integrated_gradients', 'feature_ablation' or "
        "'shapley_value_sampling'.",
        UserWarning,
        stacklevel=3,
    )


def _explanation(found, request, final, columns, transformed):
    every = isinstance(request.target, str) and request.target == "all"
    values = np.asarray(found.values)
    samples = np.asarray(found.samples)
    kind = "tokens" if found.tokens else _KINDS.get(samples.ndim, "other")
    values, data, names = columns.named(
        values, samples, kind, hidden_together=request.labels is not None
    )
    classes = None
    if every:
        classes = range(values.shape[1]) if found.classes is None else found.classes
    if found.lengths is not None:
        values = np.array(values)
        without_padding(values, found.lengths, 2 if every else 1)
    return Explanation(
        values,
        data=data,
        kind=kind,
        method=request.method,
        output=found.output,
        target="all" if every else _labels(request.target, found),
        baseline=_baseline(request, found),
        explained_output=found.outputs,
        baseline_output=found.baseline_outputs,
        feature_names=distinct(names),
        lengths=found.lengths,
        classes=None if classes is None else np.asarray(classes).tolist(),
        index=final.originals.index if hasattr(final.originals, "iloc") else None,
        standardized=request.standardized,
        transformed=transformed,
        groups=_hidden_as_one(request.labels, columns, samples.shape[1:]),
    )


def _hidden_as_one(labels, columns, shape):
    """Labels of the cells that share one value, or None where each has its own."""
    if labels is None or columns.codes is not None:
        return None
    from sgt_sklearn.inspection._perturbed import labels_of_cells

    return labels_of_cells(labels, shape)


def _labels(target, found):
    """Labels that are explained, one a sample, or None of the only output."""
    if not isinstance(target, str) and target is not None:
        return target
    if found.index is None or (found.output == "prediction" and found.index.max() == 0):
        return None
    index = found.index
    if index.ndim > 1 and index.dtype.kind == "f":  # which labels apply
        return label_sets(index)
    if index.ndim > 1:  # a label for each step
        names = np.arange(index.max() + 1) if found.classes is None else np.asarray(found.classes)
        rows = names[index.reshape(len(index), -1)]
        return np.array([", ".join(map(str, row)) for row in rows], dtype=object)
    index = index.astype(int)
    return index if found.classes is None else np.asarray(found.classes)[index]


def label_sets(indicator):
    """The labels that rows of an indicator matrix hold, as texts."""
    texts = [", ".join(map(str, np.flatnonzero(row))) or "none" for row in indicator]
    return np.array(texts, dtype=object)


def _baseline(request, found):
    if request.facts.baseline is None:
        return None
    if isinstance(found.baseline, str) or (found.tokens and isinstance(request.baseline, str)):
        return request.baseline
    baseline = np.asarray(found.baseline)
    return baseline[0] if len(baseline) == 1 and baseline.ndim > 1 else baseline


def _rescaled(final, request, columns):
    """Explanation of series by temporal saliency rescaling."""
    if columns.columns is not None or columns.cells is not None:
        raise ValueError("groups must be None with temporal_rescaling=True, which ranks cells.")
    series, lengths = padded(final.X)
    target = resolve_target(final.estimator, final.X, len(series), request.target)
    several = np.ndim(target) == 2
    options = {} if request.output == "auto" else {"output": request.output}
    values = temporal_saliency_rescaling(
        final.estimator,
        final.X,
        method=request.method,
        target="predicted" if several else target,
        baseline=_hidden(request.baseline, final.estimator, series, lengths),
        batch_size=request.batch_size,
        standardized=request.standardized,
        random_state=request.seed,
        **options,
        **request.options,
    )
    if several:
        target = label_sets(target)
    baseline = request.baseline
    return Explanation(
        values,
        data=series,
        kind="series",
        method=request.method,
        output=_output_of(final.estimator, target, request.output),
        target=None if isinstance(target, str) else target,
        baseline="mean" if isinstance(baseline, str) and baseline == "auto" else baseline,
        feature_names=distinct(final.feature_names),
        lengths=lengths,
        standardized=request.standardized,
        temporal_rescaling=True,
    )


def _output_of(estimator, target, output):
    if isinstance(target, str):
        return "prediction"
    if output != "auto":
        return output
    explains = isinstance(estimator, NeuralNet) or hasattr(estimator, "attribute")
    return "logit" if explains else "probability"


def _hidden(baseline, estimator, series, lengths):
    """What takes the place of hidden cells."""
    if not isinstance(baseline, str):
        return baseline
    if baseline == "zeros":
        return 0.0
    if baseline == "marginal":
        raise ValueError(
            "baseline must be 'auto', 'zeros', 'mean' or an array with temporal_rescaling=True, "
            "got 'marginal'."
        )
    statistics = getattr(estimator, "_statistics_", None)
    return (statistics or FeatureStatistics.from_array(series, lengths=lengths)).mean
