"""Plain, guided and control training of the same estimator, over seeds."""

import numbers
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from sgt_sklearn.model_selection._measures import Measures
from sgt_sklearn.model_selection._splits import (
    Data,
    read_data,
    read_seeds,
    rows_of,
    split_rows,
)
from sgt_sklearn.model_selection._table import comparison_table, import_pandas, runs_table
from sgt_sklearn.model_selection._trainings import (
    CONTROLS,
    PLAIN,
    WEIGHT_DECAY,
    make_trainings,
)

# of the training data, held out to choose the weight decay
_VALIDATION_SIZE = 0.25


def compare_training(
    estimator,
    X,
    y,
    *,
    test=None,
    relevance=None,
    metrics="auto",
    methods="auto",
    n_seeds=5,
    controls=True,
    scoring=None,
    metric_params=None,
    weight_decays=(0.0, 0.01, 0.1, 1.0, 3.0),
    return_runs=False,
    n_jobs=None,
    verbose=1,
    random_state=0,
):
    """Compare plain, guided and control training of an estimator, over seeds.

    A gain of guided training counts where "guided" is above "plain", above "random order" (the
    same masking without the gradient) and above "weight decay" (the simplest other way to clean
    gradients).

    ==============  ==============================================================================
    training        what is fitted
    ==============  ==============================================================================
    "plain"         the estimator with `consistency_weight=0`
    "guided"        the estimator as it is
    "random order"  the estimator with `mask_order="random"`: same schedule, share and fill
    "weight decay"  "plain" with :class:`torch.optim.AdamW`, and of `weight_decays` the one with
                    the best score (Notes)
    ==============  ==============================================================================

    Parameters
    ----------
    estimator : estimator
        A guided net, or a pipeline, search or ensemble with one in it. It is not changed: what is
        fitted are clones. A search does not search over what a training fixes. Attributions by
        gradients know the ensembles of bagging, voting, calibration and a transformed target.

    X : array-like or sparse matrix of shape (n_samples, ...), list or dict
        Samples, as for `fit`.

    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.

    test : None, float or tuple of (X_test, y_test), default=None
        Held-out data that everything is measured on. None splits off a quarter of X for each seed,
        a float in (0, 1) that share; classes keep their shares where each has two samples and
        all of them fit into both parts. With a tuple, all of X is trained on in each seed.

    relevance : array-like of bool, of the shape of X or of one sample, or list, default=None
        True where a cell is relevant, as the net sees X: a mask for each row of X (of `X_test`
        where `test` is a tuple), or one for all. Of series and texts of unequal length, a list
        with a value a step or token, or an array that is False beyond them.

    metrics : "auto", list of str, or dict, default="auto"
        What is measured beside the score. "auto": "comprehensiveness_gap", "sufficiency_gap", for
        classifiers also "mean_confidence" (mean probability of the predicted class) and
        "comprehensiveness_gap_flip" and "sufficiency_gap_flip" (by flipped predictions, which do
        not shrink with confidence), and with `relevance` "relevance_average_precision". Further
        names: "masking_consistency", "gini_sparseness", "attribution_entropy",
        "attribution_kurtosis", those of
        :func:`~sgt_sklearn.metrics.get_interpretability_scorer_names` (some need `relevance`), and
        all scorers of scikit-learn. A dict has
        labels with names or callables `(estimator, X, y) -> float`.

    methods : "auto", str or list of str, default="auto"
        Attribution methods, see :func:`sgt_sklearn.inspection.explain`; each metric of
        attributions has a row for each. "auto" is "saliency", for tokens "input_x_gradient".
        Gradients are multiplied by the standard deviation of their feature.

    n_seeds : int, default=5
        Number of seeds.

    controls : bool or list of str, default=True
        Whether to train the controls, or which: "random order", "weight decay".

    scoring : str or callable, default=None
        The score, by which weight decay is chosen too: a name that scikit-learn knows, or
        `scorer(estimator, X, y) -> float`. None is the accuracy of a classifier and the R^2 of a
        regressor.

    metric_params : dict, default=None
        Keyword arguments of the gaps and of "masking_consistency", such as `n_draws` or `groups`.

    weight_decays : sequence of float, default=(0.0, 0.01, 0.1, 1.0, 3.0)
        What is tried for "weight decay", in every seed: each is trained on three quarters of the
        training data and scored on the last quarter; the best is trained on all of them. Of
        several best it is the largest, the strongest control that costs no score.

    return_runs : bool, default=False
        Whether to return the values of each seed too.

    n_jobs : int, default=None
        Number of models trained at the same time, as in joblib. The result is the same, for the
        same number of torch threads.

    verbose : int, default=1
        Above 0, a line for each trained model on the standard error output.

    random_state : int, RandomState instance or None, default=0
        An int is the first of `n_seeds` consecutive seeds; otherwise they are drawn. A seed sets
        the split, every `random_state` in the estimator, of splitters too, and the draws of the
        metrics, so that the trainings of a seed differ in nothing else.

    Returns
    -------
    table : :class:`pandas.DataFrame`
        A row for each metric, method and training, with columns

        metric, method, training : str
            What was measured, by which attribution method ("" where none matters), of what.
        mean, sd : float
            Mean and standard deviation (`ddof=1`) over seeds.
        difference, standard_error : float
            Mean over seeds of the difference to "plain" in the same seed, and its standard error.
        wins : int
            Number of seeds with a value above that of "plain".
        n_seeds : int
            Number of seeds.
        chance : float
            What a model or attributions that know nothing have, mean over seeds; NaN if unknown:
            the score of the prior of the classes or of the mean of y, 0 for gaps, and for
            relevance the mean of random attributions (padding is no cell).

        Its `attrs` hold "runs" (the values of each seed), "seeds" and "weight_decay" (those
        chosen, one a seed).
    runs : :class:`pandas.DataFrame`
        Columns metric, method, training, seed and value; only if `return_runs`.

    Raises
    ------
    ImportError
        If pandas is not installed.
    ValueError
        If an argument has an unknown or unfitting value, or `estimator` has no guided net in it,
        several, or one that is not guided or may become so in a search.
    TypeError
        If an argument has the wrong type, or the net is in an ensemble of unknown gradient.
    RuntimeError
        If a model cannot be trained or measured; it names training and seed, and the cause.

    See Also
    --------
    TrainingComparisonDisplay : The table as a picture.
    one_standard_error_refit : Choose settings by score and interpretability.

    Notes
    -----
    Seeds that split the same data are not independent, so the standard error is too small to test
    by: look at the number of wins beside it.

    The control by weight decay keeps what it can of the net's own optimizer: options that AdamW
    has too, and the learning rate, if that optimizer has `betas` as AdamW does; a rate for others,
    such as SGD, says nothing of AdamW, which then has the one that belongs to the module. Decays
    of parameter groups are left out, as they would win over the one that is tried. Steps of LBFGS
    have no such equal: with it, leave the control out.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.model_selection import compare_training
    >>> net = SaliencyGuidedClassifier(max_epochs=3)
    >>> table = compare_training(
    ...     net,
    ...     *load_iris(return_X_y=True),
    ...     metrics=["sufficiency_gap"],
    ...     controls=["random order"],
    ...     n_seeds=2,
    ...     verbose=0,
    ... )
    >>> table[["metric", "method", "training", "n_seeds"]]
                metric    method      training  n_seeds
    0         accuracy                   plain        2
    1         accuracy                  guided        2
    2         accuracy            random order        2
    3  sufficiency_gap  saliency         plain        2
    4  sufficiency_gap  saliency        guided        2
    5  sufficiency_gap  saliency  random order        2
    """
    import_pandas("compare_training")
    trainings = make_trainings(estimator, _read_controls(controls))
    measures = Measures(estimator, scoring, metrics, methods, metric_params, relevance is not None)
    containers = trainings[PLAIN].containers
    measures.check_containers(containers)
    data = read_data(X, y, test, relevance, measures.classifies, bool(containers))
    study = _Study(trainings, measures, data, _read_decays(weight_decays))
    seeds = read_seeds(n_seeds, random_state)
    tasks = [(name, seed) for seed in seeds for name in trainings]
    # a generator of results: progress is told where it is read, in this process
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(study.run)(name, seed) for name, seed in tasks
    )
    runs, decays = [], []
    chance = {seed: study.chance(seed) for seed in seeds}
    for i, (task, result) in enumerate(zip(tasks, results, strict=True), 1):
        values, levels, chosen, seconds = result
        if verbose > 0:
            _tell(task, values, seconds, f"{i} of {len(tasks)}")
        runs += [(*key, *task, value) for key, value in values.items()]
        decays += [] if chosen is None else [chosen]
        if task[0] == PLAIN:
            chance[task[1]] |= levels
    table = comparison_table(runs, list(trainings), seeds, [chance[seed] for seed in seeds])
    table.attrs["weight_decay"] = decays
    return (table, runs_table(runs)) if return_runs else table


@dataclass(frozen=True)
class _Study:
    """What a worker needs to train and measure one model."""

    trainings: dict
    measures: Measures
    data: Data
    weight_decays: tuple

    def run(self, name, seed):
        """Return values by (metric, method), chance levels, weight decay or None, and seconds."""
        start, split = time.perf_counter(), self.data.split(seed)
        training, decay = self.trainings[name], None
        changes = {}
        if name == WEIGHT_DECAY:
            decay = self._tuned_decay(training, split, seed)
            changes = {"optimizer__weight_decay": decay}
        model = self._fit(name, seed, changes, split.X_train, split.y_train)
        with _named(f"measuring the {name!r} training with seed {seed}"):
            values, levels = self.measures(model, split, seed)
        return values, levels, decay, time.perf_counter() - start

    def chance(self, seed):
        """Return the known levels of models that know nothing, and of gaps."""
        return self.measures.chance(self.data.split(seed))

    def _fit(self, name, seed, changes, X, y):
        what = "".join(f", {parameter}={value!r}" for parameter, value in changes.items())
        with _named(f"fitting the {name!r} training with seed {seed}{what}"):
            return self.trainings[name].build(seed, **changes).fit(X, y)

    def _tuned_decay(self, training, split, seed):
        """Return the weight decay with the best score on a part of the training data."""
        if len(self.weight_decays) == 1:
            return self.weight_decays[0]
        train, valid = split_rows(split.y_train, _VALIDATION_SIZE, self.measures.classifies, seed)
        X, y = rows_of(split.X_train, train), rows_of(split.y_train, train)
        X_valid, y_valid = rows_of(split.X_train, valid), rows_of(split.y_train, valid)
        scores = []
        for decay in self.weight_decays:
            changes = {"optimizer__weight_decay": decay}
            model = self._fit(WEIGHT_DECAY, seed, changes, X, y)
            with _named(f"scoring the {WEIGHT_DECAY!r} training with seed {seed} and {decay=}"):
                scores.append(self.measures.scorer(model, X_valid, y_valid))
        # a decay so strong that training breaks down may score NaN
        scores = np.where(np.isnan(scores), -np.inf, scores)
        return max(np.array(self.weight_decays)[scores == scores.max()].tolist())


@contextmanager
def _named(doing):
    """Name what failed: an error in one of many fits says little by itself."""
    try:
        yield
    except Exception as error:
        raise RuntimeError(f"{doing} failed: {type(error).__name__}: {error}") from error


def _tell(task, values, seconds, done):
    name, seed = task
    (score, _), value = next(iter(values.items()))
    line = f"[compare_training] {done}: {name}, seed {seed}: {score} {value:.3f}, {seconds:.1f} s"
    print(line, file=sys.stderr, flush=True)


def _read_controls(controls):
    if isinstance(controls, (bool, np.bool_)):
        return CONTROLS if controls else ()
    if isinstance(controls, str):
        controls = [controls]
    if not isinstance(controls, (list, tuple)) or not set(controls) <= set(CONTROLS):
        raise ValueError(
            f"controls must be True, False or a list of {', '.join(map(repr, CONTROLS))}, got "
            f"{controls!r}."
        )
    return tuple(controls)


def _read_decays(weight_decays):
    values = list(weight_decays) if np.iterable(weight_decays) else None
    numeric = values and all(isinstance(v, numbers.Real) and v >= 0 for v in values)
    if isinstance(weight_decays, str) or not numeric:
        raise ValueError(
            "weight_decays must be a non-empty sequence of numbers >= 0, got "
            f"{weight_decays!r}. Pass for example (0.0, 0.1, 1.0)."
        )
    return tuple(float(value) for value in values)
