"""Whether attributions foretell what small changes of the input do to the output."""

import numpy as np

from sgt_sklearn.inspection._methods import METHODS
from sgt_sklearn.metrics._captum import captum_infidelity
from sgt_sklearn.metrics._checks import check_flag, check_option
from sgt_sklearn.metrics._docs import with_shared_parameters
from sgt_sklearn.metrics._noise import check_level, noisy_samples

# their values are derivatives, which noise can be multiplied with
_METHODS = tuple(name for name, method in METHODS.items() if method.units == "gradient")


@with_shared_parameters
def infidelity(
    estimator,
    X,
    y=None,
    *,
    attributions=None,
    method="saliency",
    target="predicted",
    noise_level=0.1,
    n_draws=10,
    normalize=False,
    random_state=None,
):
    r"""Squared error of foretelling, from the attribution, what noise does to the output.

    Lower is better. A model that hardly reacts to its input wins: compare models by
    :func:`infidelity_gap`.

    Parameters
    ----------
    {{noise_data}}

    {{y}}

    {{derivatives}}

    {{noise_target}}

    noise_level : float, default=0.1
        Standard deviation of the normal noise, in standard deviations of each feature: those of
        training where the estimator knows them, else of X.

    {{noise_draws}}

    normalize : bool, default=False
        Whether to scale the attributions of each sample to the least error first, so that their
        size does not count.

    {{noise_random_state}}

    Returns
    -------
    float
        Mean over samples, at least 0, in squared log-probabilities; for regressors in variances of
        y in training. A constant predictor has 0.

    Raises
    ------
    {{noise_raises}}

    See Also
    --------
    infidelity_gap : The same for probabilities, compared with permuted attributions.
    max_sensitivity : How much attributions change under such noise.

    Notes
    -----
    With the explained output :math:`f`, its attributions :math:`a` and noise :math:`I`, a sample
    :math:`x` has

    .. math:: \mathrm{E}_I \left[ \left( I^\top a - (f(x) - f(x - I)) \right)^2 \right],

    as computed by :func:`captum.metrics.infidelity` with the mean over `n_draws` of :math:`I`.

    References
    ----------
    .. [1] Yeh, Hsieh, Suggala, Inouye, Ravikumar, "On the (In)fidelity and Sensitivity of
       Explanations", NeurIPS 2019, https://arxiv.org/abs/1901.09392.

    Examples
    --------
    The gradient of a linear model foretells everything.

    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sgt_sklearn.metrics import infidelity
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> y = X @ [3, 1, 0]
    >>> model = LinearRegression().fit(X, y)
    >>> right = np.broadcast_to(model.coef_, X.shape)
    >>> round(infidelity(model, X, y, attributions=right, random_state=0), 6)
    0.0
    >>> round(infidelity(model, X, y, attributions=0 * right, random_state=0), 2)
    0.01
    """
    noise_level = check_level(noise_level, "noise_level")
    check_flag(normalize, "normalize")
    _check_method(method, attributions)
    values = []
    with noisy_samples(
        estimator, X, y, target=target, n_draws=n_draws, random_state=random_state
    ) as noisy:
        given = None if attributions is None else noisy.given(attributions)
        of_members = given is None and noisy.explains_members()
        for rows in noisy.parts():
            found = _derivatives(noisy, rows, method, given)
            values.append(_errors(noisy, rows, found, noise_level, normalize, of_members))
    return float(np.mean(np.concatenate(values)))


@with_shared_parameters
def infidelity_gap(
    estimator,
    X,
    y=None,
    *,
    attributions=None,
    method="saliency",
    target="predicted",
    noise_level=0.5,
    n_draws=10,
    random_state=None,
):
    r"""Infidelity of permuted attributions above that of the attributions, on the same model.

    Higher is better: the attribution foretells what noise does to the probability, and the same
    numbers on other cells do not. A steep model that was fitted to noise can win: read it beside a
    score.

    Parameters
    ----------
    {{noise_data}}

    {{y}}

    {{derivatives}}

    {{noise_target}}

    noise_level : float, default=0.5
        Standard deviation of the normal noise, in standard deviations of each feature: those of
        training where the estimator knows them, else of X.

    {{noise_draws}}

    {{noise_random_state}}

    Returns
    -------
    float
        Mean over samples, in squared probabilities, at most 1; for regressors in variances of y in
        training. A constant predictor has 0.

    Raises
    ------
    {{noise_raises}}

    See Also
    --------
    infidelity : The error itself.
    make_interpretability_scorer : Use the gap in a search, as "neg_infidelity".
    removal_curve : Its gap is about 0 for a model that was fitted to noise.

    Notes
    -----
    Both are normalised: with the output :math:`f`, which is the probability of the target, noise
    :math:`I` and attributions :math:`a`, the best factor leaves
    :math:`\mathrm{E} (\Delta f)^2 - \left(\mathrm{E}\, \Delta f\, I^\top a\right)^2 / \mathrm{E}
    (I^\top a)^2`. The first term is that of both and cancels, and what is left is how much of the
    change of the probability the attribution explains, above the same attribution on permuted
    cells. So a constant predictor scores 0, an attribution that is the same for all cells or
    random scores 0 on average, and a model that hardly reacts to its input scores next to nothing,
    as there is little to explain. Infidelity itself, with or without normalisation by the change
    of the output, is won by such a model.

    The gap grows with the steepness of the model, right or wrong: on breast_cancer (250 rows, two
    seeds) it was .009 and .014 for a network of accuracy .97 and .98, .029 and .033 for the same
    training on permuted labels, .078 and .074 where that went on for 200 epochs in place of 50. So
    it compares models only among those that score as well; see
    :func:`~sgt_sklearn.model_selection.one_standard_error_refit`.

    References
    ----------
    .. [1] Yeh, Hsieh, Suggala, Inouye, Ravikumar, "On the (In)fidelity and Sensitivity of
       Explanations", NeurIPS 2019, https://arxiv.org/abs/1901.09392.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sgt_sklearn.metrics import infidelity_gap
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> y = X @ [3, 1, 0]
    >>> model = LinearRegression().fit(X, y)
    >>> right = np.broadcast_to(model.coef_, X.shape)
    >>> infidelity_gap(model, X, y, attributions=right, random_state=0) > 0.1
    True
    """
    noise_level = check_level(noise_level, "noise_level")
    _check_method(method, attributions)
    values = []
    with noisy_samples(
        estimator, X, y, target=target, n_draws=n_draws, random_state=random_state
    ) as noisy:
        given = None if attributions is None else noisy.given(attributions)
        of_members = given is None and noisy.explains_members()
        for rows in noisy.parts():
            own = _derivatives(noisy, rows, method, given)
            noise, changes = _changes(noisy, rows, noise_level, of_members)
            explained, by_permuted = (
                _explained(changes, np.einsum("ndc,nc->nd", noise, each.reshape(len(rows), -1)))
                for each in (own, noisy.permuted(own, rows))
            )
            values.append(explained - by_permuted)
    return float(np.mean(np.concatenate(values)))


def _check_method(method, attributions):
    if attributions is None:
        check_option(method, "method", _METHODS, " (derivatives, which explain small changes)")


def _derivatives(noisy, rows, method, given):
    if given is not None:
        return given[rows]
    values = noisy.samples.array[rows]
    return noisy.attributions(values, rows, method, output="log_proba")


def _normal(noisy, rows, level):
    shape = (len(rows) * noisy.n_draws, *noisy.samples.shape)
    return -level * noisy.rng.standard_normal(shape)


def _errors(noisy, rows, attributions, level, normalize, of_members):
    """Return the infidelity of each of these samples."""

    def perturb(values, places):
        noise = _normal(noisy, rows, level)
        return -noise, noisy.noisy(values, noise)

    return captum_infidelity(
        lambda values, places: noisy.outputs(values, rows[places], of_members=of_members),
        noisy.samples.array[rows],
        attributions,
        perturb,
        noisy.n_draws,
        normalize=normalize,
    )


def _changes(noisy, rows, level, of_members):
    """Return noise (n_samples, n_draws, n_cells) and what it does to the probabilities."""
    values = noisy.samples.array[rows]
    places = np.repeat(rows, noisy.n_draws)
    noise = _normal(noisy, rows, level)
    changed = noisy.noisy(np.repeat(values, noisy.n_draws, axis=0), noise)
    change = noisy.probabilities(changed, places, of_members=of_members).reshape(len(rows), -1)
    change = change - noisy.probabilities(values, rows, of_members=of_members)[:, None]
    return noise.reshape(len(rows), noisy.n_draws, -1), change


def _explained(changes, foretold):
    """Return how much of the mean square of the changes the best multiple of a guess explains."""
    size = (foretold**2).mean(axis=1)
    agreement = (changes * foretold).mean(axis=1) ** 2
    return agreement / np.where(size > 0, size, 1.0)
