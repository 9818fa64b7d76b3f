"""Whether attributions depend on what the network has learned."""

import copy

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.utils import Bunch

from sgt_sklearn._random import isolated_generators
from sgt_sklearn.inspection._unwrap import unwrap
from sgt_sklearn.metrics import _resolve
from sgt_sklearn.metrics._checks import check_flag, check_generator, check_n_draws
from sgt_sklearn.metrics._samples import read_attributions, read_samples


def parameter_randomization(
    estimator,
    X,
    y=None,
    *,
    method="auto",
    target="predicted",
    signed=False,
    n_draws=3,
    random_state=None,
):
    r"""Rank correlation of the attributions while the layers of the network are randomised.

    Layers get new weights one after the other, from the output down. An attribution that stays
    the same does not explain what the network has learned, however good it looks.

    Parameters
    ----------
    estimator : fitted skorch net, pipeline or search
        The model to measure; it is left as it is. A search stands for its `best_estimator_`. In a
        pipeline attribution happens in the space that the last step sees.

    X : array-like of shape (n_samples, n_features) or (n_samples, ...), list or dict
        Samples, as for :func:`comprehensiveness`.

    y : None
        Ignored; so that metrics have one signature.

    method : str or callable, default="auto"
        Attribution method, "auto" as for :func:`comprehensiveness`; or a function `(net, X)` that
        returns attributions of the shape of X as the net sees it.

    target : "predicted", label or array-like of shape (n_samples,), default="predicted"
        Output that is explained: the class that the trained network predicts, also of networks
        whose layers are randomised, one label for all samples or one for each. For regressors an
        index of the output.

    signed : bool, default=False
        Whether attributions are ranked by their values; else by their absolute values.

    n_draws : int, default=3
        How many times weights are drawn; correlations are averaged.

    random_state : int, RandomState instance or None, default=None
        Draws the weights, and the noise of attribution methods that use any. An int gives the same
        result at each call; global generators are left as they are.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        Dictionary-like, with attributes

        layers : list of str
            Names of the randomised layers, the output first. Result j is with all layers up to j
            randomised.
        correlations : ndarray of shape (n_layers,)
            Spearman correlation with the attributions of the trained network, mean over samples
            and draws. 1 is the same order, 0 no relation.
        sd : ndarray of shape (n_layers,)
            Standard deviation over draws.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If `estimator` is not fitted.
    ValueError
        If an argument has an unknown value, the module has no parameters, or attributions are not
        of the shape of X.
    TypeError
        If an argument has the wrong type, or `estimator` does not end in a skorch net.

    See Also
    --------
    remove_and_retrain : Whether the attributions name what can be learned from.

    Notes
    -----
    Layers are the submodules with parameters of their own, in the order in which a forward pass
    reaches them; one that is used without being called counts where it is defined. They get
    weights by their method `reset_parameters`, as in a fresh network; those of a layer without
    one, and those that it leaves as they are, are put in random order. Padding is left out of the
    correlations. Where all attributions of a sample are equal, before and after, the
    correlation is 1; where only before or after, it is 0.

    Parts of the gradient do not depend on the weights: zeros of the input stay zeros in
    "input_x_gradient", so its correlation stays above 0.

    References
    ----------
    .. [1] Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim, "Sanity Checks for Saliency Maps",
       NeurIPS 2018, https://arxiv.org/abs/1810.03292.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sgt_sklearn import SaliencyGuidedClassifier
    >>> from sgt_sklearn.metrics import parameter_randomization
    >>> X, y = load_iris(return_X_y=True)
    >>> net = SaliencyGuidedClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> result = parameter_randomization(net, X, random_state=0)
    >>> len(result.layers) == len(result.correlations)
    True
    >>> same = parameter_randomization(net, X, method=lambda net, X: X, random_state=0)
    >>> same.correlations.round(6).tolist()
    [1.0, 1.0]
    """
    n_draws = check_n_draws(n_draws)
    check_flag(signed, "signed")
    rng = check_generator(random_state)
    final = unwrap(estimator, X)
    net = final.estimator
    names = _module_names(net)
    samples = read_samples(final.X, are_tokens=lambda: _resolve.takes_tokens(net))
    _resolve.check_target(net, target, len(samples))
    seeds = rng.randint(2**31 - 1, size=n_draws + 1).tolist()
    with isolated_generators(seed=seeds[-1]):
        target = _settled(net, samples, target)
        before = _ranks(_values(net, samples, method, target, seeds[-1]), samples, signed)
        layers = _layers(net, names, samples)
        found = []
        for seed in seeds[:-1]:
            torch.manual_seed(seed)
            randomised = copy.deepcopy(net)
            of_draw = []
            for _, path in layers:
                with torch.no_grad():
                    _randomise(_submodule(randomised, path))
                after = _values(randomised, samples, method, target, seeds[-1])
                of_draw.append(_correlation(before, _ranks(after, samples, signed)))
            found.append(of_draw)
    return Bunch(
        layers=[name for name, _ in layers],
        correlations=np.mean(found, axis=0),
        sd=np.std(found, axis=0),
    )


def _module_names(net):
    """Return the names of the attributes of a skorch net that hold its modules."""
    names = [f"{name}_" for name in getattr(net, "_modules", ())]
    if not names or not all(isinstance(getattr(net, n, None), torch.nn.Module) for n in names):
        raise TypeError(
            "estimator must be a fitted skorch net, or a pipeline or search that ends in one, so "
            f"that its layers can be randomised, got {type(net).__name__}."
        )
    return names


def _settled(net, samples, target):
    """Return the labels that the trained network predicts, where it predicts labels."""
    if not (isinstance(target, str) and target == "predicted" and _resolve.has_classes(net)):
        return target
    labels = np.asarray(net.predict(samples.whole()))
    return labels if labels.ndim == 1 else target


def _values(net, samples, method, target, seed):
    if callable(method):
        found = method(net, samples.whole())
    else:
        found = _resolve.compute_attributions(net, samples, method, target, seed)
    return read_attributions(found, samples, type(net).__name__).reshape(len(samples), -1)


def _layers(net, names, samples):
    """Return (name, (attribute, path)) of the layers, the one next to the output first."""
    reached = {}

    def reaches(module, args):
        reached.setdefault(module, len(reached))

    everything = [
        (name, path, module)
        for name in names
        for path, module in getattr(net, name).named_modules()
    ]
    hooks = [module.register_forward_pre_hook(reaches) for _, _, module in everything]
    try:
        net.predict(samples.restore(samples.array[:1], np.arange(1)))
    finally:
        for hook in hooks:
            hook.remove()
    found, last = [], -1
    for number, (name, path, module) in enumerate(everything):
        # what is used without a call is next to the module before it
        last = reached.get(module, last)
        if any(True for _ in module.parameters(recurse=False)):
            found.append((last, number, name, path))
    if not found:
        raise ValueError(
            f"estimator must have a module with parameters, got {type(net).__name__} without any: "
            "there is nothing to randomise."
        )
    found.sort(reverse=True)
    several = len(names) > 1
    return [
        (f"{name[:-1]}.{path}" if several else path or name[:-1], (name, path))
        for _, _, name, path in found
    ]


def _submodule(net, path):
    name, path = path
    return getattr(net, name).get_submodule(path)


def _randomise(layer):
    before = [parameter.clone() for parameter in layer.parameters(recurse=False)]
    if hasattr(layer, "reset_parameters"):
        layer.reset_parameters()
    for parameter, old in zip(layer.parameters(recurse=False), before, strict=True):
        if torch.equal(parameter, old):
            order = torch.randperm(parameter.numel()).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))


def _ranks(values, samples, signed):
    """Return centred ranks of the cells of each sample, 0 on padding."""
    values = values if signed else np.abs(values)
    if samples.valid is None:
        ranks = rankdata(values, axis=1)
        return ranks - ranks.mean(axis=1, keepdims=True)
    ranks = np.zeros(values.shape)
    valid = samples.valid.reshape(values.shape)
    for row, inside, own in zip(ranks, valid, values, strict=True):
        found = rankdata(own[inside])
        row[inside] = found - found.mean()
    return ranks


def _correlation(before, after):
    """Return the mean over samples of the correlation of centred ranks."""
    size = np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1)
    both = size[0] * size[1]
    correlation = (before * after).sum(axis=1) / np.where(both > 0, both, 1.0)
    equal = (size[0] == 0) & (size[1] == 0)
    return float(np.mean(np.where(equal, 1.0, correlation)))
