"""The batch with its least salient features hidden."""

import math

import torch

from sgt_sklearn.attribution import (
    evaluation_mode,
    first_output,
    gradient_with_respect_to,
    logits_from,
    output_gradient,
    parent_modules,
)
from sgt_sklearn.guidance._fill import fill_values
from sgt_sklearn.guidance._padding import valid_cells, valid_members, without_full
from sgt_sklearn.guidance._ranking import lowest_groups, nested_lowest, ranking_scores


def masked_input(
    forward,
    x,
    y,
    masking,
    *,
    weight=None,
    generator=None,
    output=None,
    modules=None,
    lengths=None,
):
    """Hide the least salient groups of features of each sample.

    Parameters
    ----------
    forward : callable
        Maps `x` to the output of the network (or a tuple whose element 0 it is).
    x : torch.Tensor of shape (n_samples, ...)
        The batch, floating point.
    y : torch.Tensor
        Targets, see :func:`sgt_sklearn.attribution.output_scalar`.
    masking : Masking
        What is hidden.
    weight : torch.Tensor of shape (n_samples,), default=None
        Sample weights, by which the fill "marginal" draws its donors.
    generator : torch.Generator, default=None
        Source of every random draw, on the device of `x`.
    output : torch.Tensor, default=None
        ``forward(x)`` with a graph to an `x` that requires gradients, to share that pass; None
        runs the network in evaluation mode.
    modules : iterable of torch.nn.Module, default=None
        Modules behind `forward`, if it is not a module itself.
    lengths : torch.Tensor of int64, shape (n_samples,), default=None
        Number of steps (axis 1 of `x`) of each series, 1 or more. What follows is padding: it is
        not counted, ranked, hidden or drawn from. None: there is none.

    Returns
    -------
    torch.Tensor of the shape of `x`
        The masked batch, without a graph.

    Raises
    ------
    TypeError
        If `x` is not floating point, or the output has no gradient path to it.
    ValueError
        If groups or lengths do not fit `x`.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.guidance import Masking, masked_input
    >>> masking = Masking(fraction=0.5, fill="constant", likelihood="gaussian")
    >>> weights = torch.tensor([[1.0, 9.0, 2.0, 8.0]])
    >>> masked_input(lambda x: x * weights, torch.ones(1, 4), None, masking)
    tensor([[0., 1., 0., 1.]])
    """
    check_differentiable(x)
    clean = x.detach()
    if masking.groups is not None and masking.groups.shape != x.shape[1:]:
        raise ValueError(
            f"groups must have the shape of one sample, {tuple(x.shape[1:])}, got "
            f"{tuple(masking.groups.shape)}."
        )
    lengths = without_full(lengths, x)
    valid = valid_cells(x, lengths)
    k = masking.n_hidden(math.prod(x.shape[1:]), valid)
    if not anything(k):
        return clean
    gradient = None
    if masking.order != "random":
        gradient = _saliency(forward, x, y, masking, output, modules)
    scores = _scores(gradient, clean, masking, valid, generator)
    values = fill_values(
        clean,
        masking.fill,
        statistics=masking.statistics,
        value=masking.fill_value,
        groups=masking.ranked_groups,
        weight=weight,
        generator=generator,
        lengths=lengths,
    )
    hidden = _hidden(scores, k, masking, valid, generator)
    return _select(hidden.reshape(clean.shape), values, clean)


def anything(k):
    """Whether a number of hidden groups, or that of any sample, is not 0."""
    return bool(k.any()) if isinstance(k, torch.Tensor) else k > 0


def _scores(gradient, clean, masking, valid, generator):
    """Scores of the groups; of groups and cells, where cells are nested in groups."""
    levels = [(masking.groups, masking.n_groups)]
    if masking.nested:
        levels.append((None, None))
    return [
        ranking_scores(
            gradient,
            order=masking.order,
            scale=masking.scale,
            groups=groups,
            n_groups=n_groups,
            generator=generator,
            like=clean,
            valid=valid,
        )
        for groups, n_groups in levels
    ]


def _hidden(scores, k, masking, valid, generator):
    """Mark the hidden cells, shape (n_samples, n_cells)."""
    if masking.nested:
        return nested_lowest(
            *scores,
            fraction=masking.fraction,
            groups=masking.groups,
            n_groups=masking.n_groups,
            valid=None if valid is None else valid.flatten(1),
            generator=generator,
        )
    groups, able = masking.groups, None
    if valid is not None:
        able = valid_members(valid, groups, masking.n_groups) > 0
    hidden = lowest_groups(scores[0], k, valid=able, generator=generator)
    if groups is not None:
        hidden = hidden[:, groups.flatten()]
    # a group may hold padding too
    return hidden if valid is None or groups is None else hidden & valid.flatten(1)


def check_differentiable(x):
    """Refuse an input that guidance cannot differentiate by.

    Parameters
    ----------
    x : torch.Tensor
        Input of a network.

    Raises
    ------
    TypeError
        If it is not floating point.

    Examples
    --------
    >>> import torch
    >>> check_differentiable(torch.ones(2, 3))
    """
    if not x.is_floating_point():
        raise TypeError(
            f"Guidance needs a floating-point input to differentiate by, got {x.dtype}. Convert "
            "it (X.astype('float32')), or set consistency_weight=0 to train without guidance."
        )


def _select(mask, values, others):
    # torch.where mispredicts a branch for every other cell of such a mask; bits have no branches,
    # and unlike arithmetic they also replace NaN and infinity
    bits = _BITS[others.element_size()]
    others_bits = others.view(bits)
    chosen = others_bits ^ ((others_bits ^ values.view(bits)) & -mask.to(bits))
    return chosen.view(others.dtype)


_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def output_logits(output, masking):
    """Logits of what a module returned."""
    return logits_from(
        first_output(output),
        likelihood=masking.likelihood,
        probabilities=masking.probabilities,
    )


def _saliency(forward, x, y, masking, output, modules):
    def gradient(out, data, retain_graph=False):
        logits = output_logits(out, masking)
        start = output_gradient(logits, y, kind=masking.output, likelihood=masking.likelihood)
        return gradient_with_respect_to(
            logits, data, output_gradient=start, retain_graph=retain_graph
        )

    if output is not None:
        return gradient(output, x, retain_graph=True)
    modules = parent_modules(forward) if modules is None else modules
    with evaluation_mode(modules), torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        return gradient(forward(leaf), leaf)
