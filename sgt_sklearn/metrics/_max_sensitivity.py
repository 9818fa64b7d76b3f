"""How much attributions change under small changes of the input."""

import numpy as np

from sgt_sklearn.metrics._captum import captum_max_sensitivity
from sgt_sklearn.metrics._docs import with_shared_parameters
from sgt_sklearn.metrics._noise import check_level, noisy_samples


@with_shared_parameters
def max_sensitivity(
    estimator,
    X,
    y=None,
    *,
    method="saliency",
    target="predicted",
    radius=0.1,
    n_draws=10,
    random_state=None,
):
    r"""Largest relative change of the attribution under small noise.

    Lower is better. A model without attributions, or with the same for all samples, wins: compare
    models by :func:`max_sensitivity_gap`.

    Parameters
    ----------
    {{noise_data}}

    {{y}}

    {{noise_method}}

    {{noise_target}}

    {{radius}}

    {{noise_draws}}

    {{noise_random_state}}

    Returns
    -------
    float
        Mean over samples, at least 0: the largest Euclidean norm of a change, over the norm of the
        attribution. A constant predictor has 0.

    Raises
    ------
    {{noise_raises}}

    See Also
    --------
    max_sensitivity_gap : The same for probabilities, compared with permuted attributions.
    infidelity : Whether attributions foretell what noise does to the output.

    Notes
    -----
    With attributions :math:`A` per standard deviation of each feature and noise :math:`I`, uniform
    within `radius` standard deviations, a sample :math:`x` has

    .. math:: \max_I \frac{\lVert A(x) - A(x + I) \rVert}{\lVert A(x) \rVert},

    as computed by :func:`captum.metrics.sensitivity_max` over `n_draws` of :math:`I`. The target
    is that of the sample without noise. :math:`A` is that of the logit.

    References
    ----------
    .. [1] Yeh, Hsieh, Suggala, Inouye, Ravikumar, "On the (In)fidelity and Sensitivity of
       Explanations", NeurIPS 2019, https://arxiv.org/abs/1901.09392.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.metrics import max_sensitivity
    >>> X, y = load_iris(return_X_y=True)
    >>> net = SaliencyGuidedClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> 0 < max_sensitivity(net, X, radius=0.01, random_state=0) < 0.5
    True
    """
    radius = check_level(radius, "radius")
    values = []
    with noisy_samples(
        estimator, X, y, target=target, n_draws=n_draws, random_state=random_state
    ) as noisy:
        for rows in noisy.parts():
            found = captum_max_sensitivity(
                lambda values, places, rows=rows: noisy.attributions(values, rows[places], method),
                noisy.samples.array[rows],
                _uniform(noisy, rows, radius),
                noisy.n_draws,
            )
            values.append(found)
    return float(np.mean(np.concatenate(values)))


@with_shared_parameters
def max_sensitivity_gap(
    estimator,
    X,
    y=None,
    *,
    method="saliency",
    target="predicted",
    radius=0.1,
    n_draws=10,
    random_state=None,
):
    r"""Change of the attribution under noise, below that to permuted attributions, same model.

    Higher is better: attributions of a sample and of its noisy copies agree more than those of the
    sample and the same numbers on other cells, and the predictions are not all the same. A
    confident model that was fitted to noise can win: read it beside a score.

    Parameters
    ----------
    {{noise_data}}

    {{y}}

    {{noise_method}}

    {{noise_target}}

    {{radius}}

    {{noise_draws}}

    {{noise_random_state}}

    Returns
    -------
    float
        Mean over samples, in relative changes, times how far the predictions are from their mean.
        A constant predictor has 0.

    Raises
    ------
    {{noise_raises}}

    See Also
    --------
    max_sensitivity : The relative change itself.
    make_interpretability_scorer : Use the gap in a search, as "neg_max_sensitivity".
    removal_curve : Its gap is about 0 for a model that was fitted to noise.

    Notes
    -----
    With attributions :math:`A` and noise :math:`I` as in :func:`max_sensitivity`, a random
    permutation :math:`\pi` of the cells of a noisy copy, and the total variation distance
    :math:`w(x) = \frac{1}{2} \sum_c |p_c(x) - \bar p_c|` of the probabilities from their mean
    over all samples (of regressors :math:`|f(x) - \bar f|` in standard deviations of y, mean over
    outputs), a sample has

    .. math:: w(x) \frac{\max_I \lVert A(x) - \pi A(x + I) \rVert
              - \max_I \lVert A(x) - A(x + I) \rVert}{\lVert A(x) \rVert}.

    An attribution that is the same for all cells or random scores 0 on average. Without
    :math:`w` the attributions of a model that hardly reacts to its input are as good as any:
    sensitivity is relative to their size, so that it says nothing about whether there is anything
    to explain.

    The gap grows with the confidence of the model, right or wrong: on 20 features of which 5 tell
    the class (250 rows, two seeds) it was .63 and .48 for a network of accuracy .88 and .73, .54
    and .51 for one trained for 200 epochs on permuted labels. So it compares models only among
    those that score as well; see :func:`~sgt_sklearn.model_selection.one_standard_error_refit`.

    References
    ----------
    .. [1] Yeh, Hsieh, Suggala, Inouye, Ravikumar, "On the (In)fidelity and Sensitivity of
       Explanations", NeurIPS 2019, https://arxiv.org/abs/1901.09392.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.metrics import max_sensitivity_gap
    >>> X, y = load_iris(return_X_y=True)
    >>> net = SaliencyGuidedClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> max_sensitivity_gap(net, X, random_state=0) > 0.05
    True
    """
    radius = check_level(radius, "radius")
    values = []
    with noisy_samples(
        estimator, X, y, target=target, n_draws=n_draws, random_state=random_state
    ) as noisy:
        distinction = noisy.distinction()
        for rows in noisy.parts():
            array = noisy.samples.array[rows]
            own = noisy.attributions(array, rows, method)
            places = np.repeat(np.arange(len(rows)), noisy.n_draws)
            copies = _uniform(noisy, rows, radius)(array[places], places)
            others = noisy.attributions(copies, rows[places], method)
            change, of_permuted = (
                _largest_change(own, each)
                for each in (others, noisy.permuted(others, rows[places]))
            )
            values.append(of_permuted - change)
    return float(np.mean(distinction * np.concatenate(values)))


def _uniform(noisy, rows, radius):
    def perturb(values, places):
        noise = noisy.rng.uniform(-radius, radius, size=values.shape)
        return noisy.noisy(values, noise)

    return perturb


def _largest_change(own, others):
    """Return the largest distance of the copies of each sample from it, over its norm."""
    n_samples = len(own)
    own, others = own.reshape(n_samples, 1, -1), others.reshape(n_samples, -1, own[0].size)
    norm = np.linalg.norm(own, axis=2)[:, 0]
    change = np.linalg.norm(others - own, axis=2).max(axis=1)
    return change / np.where(norm > 0, norm, 1.0)
