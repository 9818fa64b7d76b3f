"""What guidance hides of given samples, looked at without training on them."""

import math

import numpy as np
import torch
from sklearn.utils import Bunch
from skorch.utils import to_numpy, to_tensor

from sgt_sklearn._random import isolated_generators, seed_from
from sgt_sklearn.attribution import parent_modules
from sgt_sklearn.estimators._inputs import lengths_of, split_input
from sgt_sklearn.estimators._masking import make_masking
from sgt_sklearn.estimators._parameters import kind_of_tensor, resolve_auto, scheduled_fraction
from sgt_sklearn.estimators._tokens import embedding_of, token_counts
from sgt_sklearn.guidance import PADDING_TOKEN, check_differentiable, masked_input


class MaskingMixin:
    """Adds ``mask`` to a skorch net."""

    def mask(self, X, y=None, *, random_state=None):
        """Hide of samples what guidance would hide of them now.

        The net ranks the features of each sample by the saliency that it has now, in evaluation
        mode, and hides the share that belongs to its last epoch. Neither the net nor any generator
        that training draws from is changed, so that a callback may ask between two epochs.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as for `predict`. They are one batch, of whose other rows the fill "marginal"
            takes its values: a row alone is then left unchanged.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets, as for `fit`. Regressors need none.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws: of fills, of the orders "sampled" and "random", and of ties.

        Returns
        -------
        result : :class:`~sklearn.utils.Bunch`
            inputs : ndarray of shape (n_samples, ...)
                The guided part of X; NaN where series are padded, token 0 where texts are.
            masked : ndarray of the same shape
                What it becomes.
            hidden : ndarray of bool, the same shape
                Where `masked` is a replacement, which may equal what it replaced.
            mask_fraction : float
                Share of the groups that is hidden.
            n_hidden, n_groups : ndarray of int, shape (n_samples,)
                k of each sample, and the number of its groups (cells for "time_then_feature").
            kind : {"tabular", "series", "image", "tokens"} or None
                Kind of the input.
            lengths : ndarray of int, shape (n_samples,), or None
                Steps or tokens of each sample, where some are padded.

        Raises
        ------
        NotFittedError
            If the net is not fitted.
        ValueError
            If guidance is off, or y is missing or of another length.
        TypeError
            If X cannot be guided.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sgt_sklearn import SaliencyGuidedClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> net = SaliencyGuidedClassifier(max_epochs=2, random_state=0).fit(X, y)
        >>> net.mask(X[:3], y[:3], random_state=0).hidden.sum(axis=1)
        array([2, 2, 2])
        """
        self.check_is_fitted()
        if self.consistency_weight == 0:
            raise ValueError(
                "consistency_weight must be above 0, as a net that is trained without guidance "
                "hides nothing, got 0."
            )
        before = dict(vars(self))
        try:
            inputs, y = self._attribution_input(X), self._mask_targets(X, y)
        finally:
            # looking at targets settles what they are for the fits to come
            vars(self).clear()
            vars(self).update(before)
        seed = None if random_state is None else seed_from(random_state)
        with isolated_generators(seed=0), self._unguided():
            return _masked_samples(self, inputs, y, seed)

    def _mask_targets(self, X, y):
        encode = getattr(self, "_encode_targets", None)
        if y is None or encode is None or getattr(self, "_encoded_", False):
            return y
        return encode(X, y, fresh=False, classes=None)


def _masked_samples(net, inputs, y, seed):
    modules = [getattr(net, name + "_") for name in net._modules]
    devices = (p.device for module in modules for p in module.parameters())
    device = net.device or next(devices, "cpu")
    inputs = to_tensor(inputs, device)
    x, rebuild = split_input(inputs, net.guided_input)
    embedding = embedding_of(net, x)
    check_differentiable(x, embedding)
    kind = kind_of_tensor(x.ndim, tokens=embedding is not None)
    settings = resolve_auto(net.get_guidance_params(), kind)
    fraction = scheduled_fraction(
        settings["mask_fraction"],
        settings["mask_schedule"],
        max(0, len(net.history) - 1),
        net.max_epochs,
    )
    masking = make_masking(net, x, settings, kind, lambda: net._statistics_)
    masking = masking.with_fraction(fraction)
    lengths = lengths_of(inputs, x)
    if lengths is None and embedding is not None:
        lengths = token_counts(x, embedding)
        lengths = None if lengths is None else lengths.clamp_min(1)
    generator = torch.Generator(device=x.device)
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    masked, hidden = masked_input(
        lambda data: net.infer(rebuild(data)),
        x,
        _targets(y, x, masking),
        masking,
        generator=generator,
        modules=[part for module in modules for part in parent_modules(module)],
        lengths=lengths,
        embedding=embedding,
        return_hidden=True,
    )
    return _result(x, masked, hidden, masking, kind, lengths)


def _targets(y, x, masking):
    if y is None:
        if masking.likelihood != "gaussian" and masking.order != "random":
            raise ValueError(
                "y must be the targets of the samples, whose output ranks the features, got None."
            )
        return None
    y = to_tensor(np.asarray(y) if not isinstance(y, torch.Tensor) else y, x.device)
    if len(y) != len(x):
        raise ValueError(f"y must hold a target for each of {len(x)} samples, got {len(y)}.")
    return y


def _result(x, masked, hidden, masking, kind, lengths):
    steps, valid = torch.arange(1, x.shape[1] + 1, device=x.device), None
    if lengths is not None:
        valid = steps <= lengths[:, None]
        valid = valid.reshape(*valid.shape, *(1,) * (x.ndim - 2)).expand_as(x)
    if kind == "tokens":
        valid = (x != PADDING_TOKEN) & (True if valid is None else valid)
        lengths = (valid * steps).amax(dim=1)
    counts = {
        name: np.broadcast_to(
            to_numpy(torch.as_tensor(masking.with_fraction(share).n_hidden(x[0].numel(), valid))),
            len(x),
        ).copy()
        for name, share in (("n_hidden", masking.fraction), ("n_groups", 1.0))
    }
    inputs, masked = (to_numpy(values).copy() for values in (x, masked))
    if valid is not None and x.is_floating_point():
        padding = ~to_numpy(valid)
        inputs[padding] = masked[padding] = math.nan
    return Bunch(
        inputs=inputs,
        masked=masked,
        hidden=to_numpy(hidden),
        mask_fraction=float(masking.fraction),
        **counts,
        kind=kind,
        lengths=None if lengths is None else to_numpy(lengths),
    )
