"""How far predictions move when the groups of lowest attribution are hidden."""

from dataclasses import replace

import numpy as np

from sgt_sklearn.metrics import _resolve
from sgt_sklearn.metrics._changes import FRACTIONS, flips, target_scale
from sgt_sklearn.metrics._checks import check_fractions, check_option
from sgt_sklearn.metrics._docs import with_shared_parameters
from sgt_sklearn.metrics._generators import with_generators_apart
from sgt_sklearn.metrics._perturbation import prepare


@with_generators_apart
@with_shared_parameters
def masking_consistency(
    estimator,
    X,
    y=None,
    *,
    attributions=None,
    method="auto",
    target="predicted",
    fractions=FRACTIONS,
    replacement="auto",
    n_draws=5,
    groups=None,
    outcome="divergence",
    random_state=None,
):
    r"""Divergence of the predictions when the groups with the lowest attribution are replaced.

    This is what saliency guided training makes small, measured on data of your choice. A model
    that hardly reacts to its input wins: read it beside a score, and compare models by
    :func:`sufficiency_gap`.

    Parameters
    ----------
    {{data}}

    {{y}}

    {{attribution}}

    fractions : sequence of float in (0, 1], default=(0.1, 0.2, 0.3, 0.4, 0.5)
        Shares of the groups to replace, those of lowest attribution; results are averaged. Of the
        G groups of a sample that are not padding, these are `max(1, floor(fraction * G))`.

    {{replacement}}

    outcome : {"divergence", "agreement"}, default="divergence"
        "divergence": of classes the Kullback-Leibler divergence from the prediction to the one for
        the masked sample, in nats (of several labels the mean of theirs); of regressors the
        squared difference over the variance of y in training. Lower is better. "agreement": the
        share of samples that keep their predicted class; higher is better, classifiers only.

    {{random_state}}

    Returns
    -------
    float
        Mean over fractions, samples and draws: a divergence of at least 0, or an agreement in
        [0, 1]. A constant predictor has 0, or 1.

    Raises
    ------
    {{raises}}

    See Also
    --------
    sufficiency_gap : Whether the other groups suffice, compared with a random order.

    Notes
    -----
    With the probabilities :math:`p(x)`, and :math:`\tilde x` in which the lowest groups of
    :math:`x` are replaced, the divergence is :math:`\sum_c p_c(x) \log (p_c(x) / p_c(\tilde x))`,
    the consistency term of the training loss without its weight. In training the attribution is
    that of the true class, and `mask_fraction`, `mask_fill` and `mask_order` of the estimator say
    what is hidden; here `target`, `fractions` and `replacement` do. Probabilities are clipped to
    the rounding of their type, as in :func:`sklearn.metrics.log_loss`.

    References
    ----------
    .. [1] Ismail, Corrada Bravo, Feizi, "Improving Deep Learning Interpretability by Saliency
       Guided Training", NeurIPS 2021, https://arxiv.org/abs/2111.14338.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sgt_sklearn.metrics import masking_consistency
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=500).fit(X, y)
    >>> attributions = model.coef_[model.predict(X)]
    >>> options = {"attributions": attributions, "random_state": 0}
    >>> round(masking_consistency(model, X, **options), 2)
    0.48
    >>> round(masking_consistency(model, X, outcome="agreement", **options), 2)
    0.79
    """
    fractions = check_fractions(fractions, zero_allowed=False)
    check_option(outcome, "outcome", ("divergence", "agreement"))
    experiment = prepare(
        estimator,
        X,
        attributions=attributions,
        method=method,
        target=target,
        replacement=replacement,
        n_draws=n_draws,
        groups=groups,
        random_state=random_state,
    )
    # the lowest groups are the first
    experiment = replace(experiment, scores=tuple(-scores for scores in experiment.scores))
    sizes = experiment.sizes(fractions, at_least=1)
    method, measure = _measure(experiment, y, outcome)
    values = [
        measure(experiment.respond(method, values, ranks, sizes)).mean()
        for values, ranks in experiment.draws(with_random=False)
    ]
    return float(np.mean(values))


def _measure(experiment, y, outcome):
    """Return the method to ask and a function from its outputs to values, one a sample."""
    net = experiment.net
    if outcome == "agreement":
        method, changed = flips(experiment, outcome, "divergence")
        return method, lambda outputs: 1.0 - changed(outputs)
    if not _resolve.has_classes(net):
        return "predict", _squared_differences(experiment, y)
    _resolve.check_has_probabilities(net, "agreement")
    several = np.ndim(experiment.predict("predict")) > 1
    clean = _clipped(experiment.predict("predict_proba"))

    def divergence(outputs):
        masked = _clipped(outputs)
        information = clean * np.log(clean / masked)
        if not several:
            return information.sum(axis=-1)
        rest = (1 - clean) * np.log((1 - clean) / (1 - masked))
        return (information + rest).mean(axis=-1)

    return "predict_proba", divergence


def _clipped(probabilities):
    eps = np.finfo(probabilities.dtype).eps
    return np.clip(probabilities.astype(np.float64), eps, 1 - eps)


def _squared_differences(experiment, y):
    n_samples = experiment.n_samples
    clean = experiment.predict("predict").astype(np.float64).reshape(n_samples, -1)
    scale = target_scale(experiment.net, y, n_samples, clean.shape[1])

    def difference(outputs):
        masked = outputs.reshape(*outputs.shape[:3], clean.shape[1])
        return (((masked - clean) / scale) ** 2).mean(axis=-1)

    return difference
