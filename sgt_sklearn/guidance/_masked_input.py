"""The batch with its least salient features hidden."""

import math

import torch

from sgt_sklearn.attribution import (
    captured_embedding,
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
from sgt_sklearn.guidance._tokens import check_fill, replaced_tokens, token_values


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
    embedding=None,
    embedded=None,
    return_hidden=False,
):
    """Hide the least salient groups of features of each sample.

    Parameters
    ----------
    forward : callable
        Maps `x` to the output of the network (or a tuple whose element 0 it is).
    x : torch.Tensor of shape (n_samples, ...)
        The batch, floating point; with `embedding` tokens of shape (n_samples, n_tokens), int64,
        where 0 is padding and 1 the unknown token.
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
    embedding : torch.nn.Module, default=None
        For tokens: the module behind `forward` that embeds them, in one call. Saliency is taken at
        its output e: tokens are ranked by ``abs(sum_d g_d e_d)``, its logarithm plus Gumbel noise
        ("sampled"), or ``mean_d g_d`` ("signed").
    embedded : torch.Tensor of shape (n_samples, n_tokens, n_dimensions), default=None
        What `embedding` returned in the pass that made `output`, to share that pass; see
        :func:`sgt_sklearn.attribution.captured_embedding`. None: tokens get a pass of their own.
    return_hidden : bool, default=False
        Whether to return too what was hidden.

    Returns
    -------
    masked_x : torch.Tensor of the shape of `x`
        The masked batch, without a graph.
    hidden : torch.Tensor of bool, shape of `x`
        Where `masked_x` is a replacement, which may equal what it replaced; only for
        ``return_hidden=True``.

    Raises
    ------
    TypeError
        If `x` is neither floating point nor tokens with an embedding, or the output has no
        gradient path to it.
    ValueError
        If groups, lengths or the fill do not fit `x`, the embedding is not called once on all
        tokens, or the order "signed" finds all tokens tied.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.guidance import Masking, masked_input
    >>> masking = Masking(fraction=0.5, fill="constant", likelihood="gaussian")
    >>> weights = torch.tensor([[1.0, 9.0, 2.0, 8.0]])
    >>> masked_input(lambda x: x * weights, torch.ones(1, 4), None, masking)
    tensor([[0., 1., 0., 1.]])
    """
    check_differentiable(x, embedding)
    check_fill(masking.fill, tokens=embedding is not None)
    clean = x.detach()
    if masking.groups is not None and masking.groups.shape != x.shape[1:]:
        raise ValueError(
            f"groups must have the shape of one sample, {tuple(x.shape[1:])}, got "
            f"{tuple(masking.groups.shape)}."
        )
    lengths = without_full(lengths, x)
    valid = valid_cells(x, lengths, tokens=embedding is not None)
    k = masking.n_hidden(math.prod(x.shape[1:]), valid)
    if not anything(k):
        return (clean, torch.zeros_like(clean, dtype=torch.bool)) if return_hidden else clean
    gradient = None
    if masking.order != "random":
        if embedding is None:
            gradient = _saliency(forward, x, y, masking, output, modules)
        else:
            gradient, embedded = _token_saliency(
                forward, x, y, masking, output, modules, embedding, embedded
            )
            gradient = token_values(gradient, embedded, x, valid, masking.order)
    scores = _scores(gradient, clean, masking, valid, generator)
    if embedding is not None:
        hidden = _hidden(scores, k, masking, valid, generator)
        masked = replaced_tokens(
            clean,
            hidden,
            masking.fill,
            valid=valid,
            value=masking.fill_value,
            weight=weight,
            generator=generator,
            n_tokens=getattr(embedding, "num_embeddings", None),
        )
    else:
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
        hidden = _hidden(scores, k, masking, valid, generator).reshape(clean.shape)
        masked = _select(hidden, values, clean)
    return (masked, hidden) if return_hidden else masked


def anything(k):
    """Whether a number of hidden groups, or that of any sample, is not 0."""
    return bool(k.any()) if isinstance(k, torch.Tensor) else k > 0


def _scores(gradient, clean, masking, valid, generator):
    """Scores of the groups; of groups and cells, where cells are nested in groups."""
    scale = masking.scale
    if not clean.is_floating_point():
        # statistics of ids mean nothing; without a gradient the noise needs a type
        scale, clean = None, torch.zeros_like(clean, dtype=torch.float32)
    levels = [(masking.groups, masking.n_groups)]
    if masking.nested:
        levels.append((None, None))
    return [
        ranking_scores(
            gradient,
            order=masking.order,
            scale=scale,
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


def check_differentiable(x, embedding=None):
    """Refuse an input that guidance cannot differentiate by.

    Parameters
    ----------
    x : torch.Tensor
        Input of a network.
    embedding : torch.nn.Module, default=None
        Submodule that embeds `x`, where `x` holds tokens.

    Raises
    ------
    TypeError
        If it is not floating point; with an embedding, if it is not of integers.
    ValueError
        If tokens are not of shape (n_samples, n_tokens).

    Examples
    --------
    >>> import torch
    >>> check_differentiable(torch.ones(2, 3))
    """
    if embedding is None:
        if not x.is_floating_point():
            raise TypeError(
                f"Guidance needs a floating-point input to differentiate by, got {x.dtype}. For "
                "tokens, name the submodule that embeds them, as in embedding='embedding'; "
                "convert other integers (X.astype('float32')); or set consistency_weight=0 to "
                "train without guidance."
            )
        return
    if x.dtype not in (torch.int64, torch.int32):
        raise TypeError(
            f"embedding is for tokens, integers, but the input is of {x.dtype}: leave embedding "
            "out, or convert tokens (X.astype('int64'))."
        )
    if x.ndim != 2:
        raise ValueError(f"Tokens must have shape (n_samples, n_tokens), got {tuple(x.shape)}.")


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
    if output is not None:
        return _gradient(output, x, y, masking, retain_graph=True)
    modules = parent_modules(forward) if modules is None else modules
    with evaluation_mode(modules), torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        return _gradient(forward(leaf), leaf, y, masking)


def _token_saliency(forward, x, y, masking, output, modules, embedding, embedded):
    """Gradient at the embedding, and what the embedding returned."""
    if embedded is not None:
        if output is None or embedded.ndim != 3 or embedded.shape[:2] != x.shape:
            raise ValueError(
                "embedded must come with the output that was made from it, and be of shape "
                f"({x.shape[0]}, {x.shape[1]}, n_dimensions), got {tuple(embedded.shape)}"
                f"{' without output' if output is None else ''}."
            )
        return _gradient(output, embedded, y, masking, retain_graph=True), embedded
    modules = parent_modules(forward) if modules is None else modules
    with evaluation_mode(modules), torch.enable_grad():
        with captured_embedding(embedding, x) as captured:
            output = forward(x)
        return _gradient(output, captured.output, y, masking), captured.output


def _gradient(output, x, y, masking, retain_graph=False):
    logits = output_logits(output, masking)
    start = output_gradient(logits, y, kind=masking.output, likelihood=masking.likelihood)
    return gradient_with_respect_to(logits, x, output_gradient=start, retain_graph=retain_graph)
