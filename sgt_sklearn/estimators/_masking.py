"""What a net's parameters hide of inputs of one shape."""

import torch
from skorch import NeuralNetClassifier

from sgt_sklearn.estimators._parameters import (
    DIVERGENCE_OF,
    group_labels,
    infer_likelihood,
    is_nested,
    unwrap,
)
from sgt_sklearn.guidance import Masking

_LIKELIHOOD_OF = {name: likelihood for likelihood, name in DIVERGENCE_OF.items()}


def make_masking(net, x, settings, kind, statistics):
    """Settings of the masked input, with the final share of what is hidden.

    Parameters
    ----------
    net : SaliencyGuidedMixin
        The net, initialised.
    x : torch.Tensor of shape (n_samples, ...)
        The guided part of a batch.
    settings : dict
        The parameters of the auto table, none of them "auto".
    kind : str or None
        Kind of the input.
    statistics : callable
        Returns the :class:`FeatureStatistics` of the training data, or None where there are none.

    Returns
    -------
    Masking
        On the device of `x`, in its dtype.
    """
    likelihood, probabilities = infer_likelihood(
        unwrap(net.criterion_), nll_of_probabilities=isinstance(net, NeuralNetClassifier)
    )
    if likelihood is None:
        likelihood = _LIKELIHOOD_OF.get(net.consistency, "gaussian")
    labels = group_labels(settings["feature_groups"], x.shape[1:])
    masking = Masking(
        fraction=settings["mask_fraction"],
        order=settings["mask_order"],
        output=settings["saliency_output"],
        fill=settings["mask_fill"],
        fill_value=net.mask_value,
        groups=None if labels is None else torch.from_numpy(labels),
        nested=labels is not None and is_nested(settings["feature_groups"]),
        likelihood=likelihood,
        probabilities=probabilities,
        **_statistics_tensors(settings, kind, statistics),
    )
    return masking.to(x.device, x.dtype)


def _statistics_tensors(settings, kind, statistics):
    if kind == "tokens":
        return {}
    needed = settings["mask_order"] in ("absolute", "sampled")
    needed |= settings["mask_fill"] in ("feature_uniform", "mean")
    found = statistics() if needed else None
    if found is None:
        return {}
    names = ("scale", "minimum", "maximum", "mean")
    return {name: torch.as_tensor(getattr(found, name)) for name in names}
