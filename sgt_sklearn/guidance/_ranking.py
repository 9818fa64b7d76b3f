"""From input gradients to the groups of features that are hidden."""

import math

import numpy as np
import torch

from sgt_sklearn.guidance._padding import shares, valid_members

MASK_ORDERS = ("signed", "absolute", "sampled", "random")


def group_scores(values, groups=None, n_groups=None, valid=None):
    """Average per-cell values over groups of cells.

    Parameters
    ----------
    values : torch.Tensor of shape (n_samples, ...)
        One value a cell.
    groups : torch.Tensor of int64, shape ``values.shape[1:]``, or None
        Label of each cell's group, 0 to `n_groups` - 1; None makes every cell its own group.
    n_groups : int or None
        Number of groups; needed with `groups`.
    valid : torch.Tensor of bool, shape of `values`, default=None
        Cells that count; None is all of them.

    Returns
    -------
    torch.Tensor of shape (n_samples, n_groups)
        Mean over the valid members of each group; 0 where a group of several cells has none.

    Examples
    --------
    >>> import torch
    >>> group_scores(torch.tensor([[1.0, 3.0, 7.0]]), torch.tensor([0, 0, 1]), 2)
    tensor([[2., 7.]])
    """
    values = values.flatten(1)
    if groups is None:
        return values
    labels = groups.flatten()
    if valid is not None:
        values = torch.where(valid.flatten(1), values, 0)
        sizes = valid_members(valid, groups, n_groups).clamp_min(1).to(values)
        return values.new_zeros(sizes.shape).index_add_(1, labels, values) / sizes
    total = values.new_zeros(len(values), n_groups).index_add_(1, labels, values)
    sizes = values.new_zeros(n_groups).index_add_(0, labels, values.new_ones(len(labels)))
    return total / sizes


def ranking_scores(
    gradient,
    *,
    order,
    scale=None,
    groups=None,
    n_groups=None,
    generator=None,
    like=None,
    valid=None,
):
    """Score the groups of each sample; the lowest scores are hidden first.

    Parameters
    ----------
    gradient : torch.Tensor of shape (n_samples, ...) or None
        Input gradients; may be None for "random".
    order : {"signed", "absolute", "sampled", "random"}
        Mean of g; mean of ``abs(g) * scale``; the logarithm of that plus standard Gumbel noise, so
        that the kept groups are a weighted draw without replacement; uniform noise.
    scale : torch.Tensor that broadcasts to one sample, or None
        Standard deviation of each feature, to compare features in different units.
    groups, n_groups : see :func:`group_scores`
        The groups.
    generator : torch.Generator, default=None
        Source of the noise, of shape (n_samples, n_groups).
    like : torch.Tensor of shape (n_samples, ...), default=None
        Gives shape, dtype and device when there is no gradient.
    valid : torch.Tensor of bool, shape (n_samples, ...), default=None
        Cells that are not padding; None is all of them. What groups of padding score is
        undefined.

    Returns
    -------
    torch.Tensor of shape (n_samples, n_groups)
        The scores.

    References
    ----------
    Kool, van Hoof, Welling. "Stochastic beams and where to find them: the Gumbel-top-k trick for
    sampling sequences without replacement". ICML 2019. arXiv 1903.06059.

    Examples
    --------
    >>> import torch
    >>> ranking_scores(torch.tensor([[-3.0, 1.0]]), order="absolute")
    tensor([[3., 1.]])
    """
    if order not in MASK_ORDERS:
        raise ValueError(f"order must be one of {MASK_ORDERS}, got {order!r}.")
    if order == "random":
        like = gradient if like is None else like
        size = (len(like), like[0].numel() if groups is None else n_groups)
        return torch.rand(size, dtype=like.dtype, device=like.device, generator=generator)
    if order == "signed":
        return group_scores(gradient, groups, n_groups, valid)
    magnitude = gradient.abs()
    if scale is not None:
        magnitude = magnitude * scale
    scores = group_scores(magnitude, groups, n_groups, valid)
    if order == "absolute":
        return scores
    noise = torch.rand(scores.shape, dtype=scores.dtype, device=scores.device, generator=generator)
    # u = 0 would give -log(0) = inf and a noise of -inf
    noise = noise.clamp_min(torch.finfo(noise.dtype).tiny)
    return scores.log() - torch.log(-torch.log(noise))


def lowest_groups(scores, k, *, valid=None, generator=None):
    """Mark the k lowest scores of each row, exactly k also under ties.

    Parameters
    ----------
    scores : torch.Tensor of shape (n_samples, n_groups)
        Scores.
    k : int, or torch.Tensor of int64, shape (n_samples,)
        Number to mark, 0 to n_groups; one number a row where rows differ.
    valid : torch.Tensor of bool, shape (n_samples, n_groups), default=None
        With a tensor `k`: groups that may be marked, at least `k` in each row; None is all.
    generator : torch.Generator, default=None
        Breaks ties: which of several equal scores at the threshold are marked follows a random
        permutation of the groups. Positions would favour some of them in every batch, and many
        gradients are equal (exactly 0 behind a ReLU).

    Returns
    -------
    torch.Tensor of bool, shape (n_samples, n_groups)
        True for the marked groups.

    Examples
    --------
    >>> import torch
    >>> lowest_groups(torch.tensor([[0.0, 0.0, 0.0, 1.0]]), 2).sum()
    tensor(2)
    """
    on_cpu = scores.device.type == "cpu" and scores.dtype in (torch.float32, torch.float64)
    if isinstance(k, torch.Tensor):
        if on_cpu:
            return _lowest_by_row(scores, k, valid, generator)
        order = ascending_groups(scores, valid=valid, generator=generator)
        marked = torch.arange(scores.shape[1], device=scores.device) < k.unsqueeze(1)
        return torch.zeros_like(marked).scatter_(1, order, marked)
    n_groups = scores.shape[1]
    if k == 0 or k == n_groups:
        return torch.full(scores.shape, k > 0, dtype=torch.bool, device=scores.device)
    # drawn whether there are ties or not, so that the generator's stream does not depend on the
    # data or the device
    order = torch.randperm(n_groups, device=scores.device, generator=generator)
    if on_cpu:
        # numpy's vectorised partition takes a seventh of the time of torch.topk on a CPU
        values = scores.detach().numpy()
        threshold = np.partition(values, k - 1, axis=1)[:, k - 1 : k]
        mask = values <= threshold
        if np.count_nonzero(mask) == k * len(mask) and not np.isnan(threshold).any():
            return torch.from_numpy(mask)
    scores = scores.index_select(1, order)
    if on_cpu:
        lowest = np.argpartition(scores.detach().numpy(), k - 1, axis=1)[:, :k]
        lowest = torch.from_numpy(lowest)
    else:
        lowest = torch.topk(scores, k, dim=1, largest=False, sorted=False).indices
    mask = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    return mask.scatter_(1, order[lowest], True)


def _lowest_by_row(scores, k, valid, generator):
    # rows differ in k, so that one partition cannot serve them; a sort takes ten times as long
    n_groups = scores.shape[1]
    order = torch.randperm(n_groups, device=scores.device, generator=generator).numpy()
    scores, mask = scores.detach().numpy(), np.zeros(scores.shape, dtype=bool)
    every, valid = np.arange(n_groups), None if valid is None else valid.numpy()
    for i, count in enumerate(k.tolist()):
        able = every if valid is None else np.flatnonzero(valid[i])
        values = scores[i, able]
        if count == 0 or count == len(able):
            mask[i, able] = count > 0
            continue
        lowest = values <= np.partition(values, count - 1)[count - 1]
        if np.count_nonzero(lowest) == count:
            mask[i, able] = lowest
            continue
        # ties, or NaN
        able = order if valid is None else order[valid[i][order]]
        mask[i, able[np.argpartition(scores[i, able], count - 1)[:count]]] = True
    return torch.from_numpy(mask)


def ascending_groups(scores, *, valid=None, generator=None):
    """Sort the groups of each row by their scores, ties at random, those of padding last.

    Parameters
    ----------
    scores : torch.Tensor of shape (n_samples, n_groups)
        Scores.
    valid : torch.Tensor of bool, shape (n_samples, n_groups), default=None
        Groups that are not padding; None is all.
    generator : torch.Generator, default=None
        Source of the permutation of the groups that breaks ties, one for all rows.

    Returns
    -------
    torch.Tensor of int64, shape (n_samples, n_groups)
        Positions of the groups.
    """
    order = torch.randperm(scores.shape[1], device=scores.device, generator=generator)
    if valid is not None:
        # NaN is sorted behind infinity
        scores = torch.where(valid, scores.nan_to_num(torch.inf, torch.inf, -torch.inf), torch.nan)
    scores = scores.index_select(1, order)
    if scores.device.type == "cpu" and scores.dtype in (torch.float32, torch.float64):
        ranks = torch.from_numpy(np.argsort(scores.detach().numpy(), axis=1))
    else:
        ranks = torch.argsort(scores, dim=1)
    return order[ranks]


def nested_lowest(outer, inner, *, fraction, groups, n_groups, valid=None, generator=None):
    """Mark whole groups first, then single cells of the others.

    Of the ``K = floor(fraction * cells + 1e-9)`` cells of a sample, the
    ``floor((1 - sqrt(1 - fraction)) * groups + 1e-9)`` lowest groups come first (as many of them
    as K has room for), then the lowest of the remaining cells, so that about the same share of
    what is left is hidden at both levels.

    Parameters
    ----------
    outer : torch.Tensor of shape (n_samples, n_groups)
        Scores of the groups.
    inner : torch.Tensor of shape (n_samples, n_cells)
        Scores of the cells.
    fraction : float
        Share of the cells that is marked, in [0, 1].
    groups : torch.Tensor of int64 with n_cells elements
        Labels 0 .. n_groups - 1 of the cells.
    n_groups : int
        Number of groups.
    valid : torch.Tensor of bool, shape (n_samples, n_cells), default=None
        Cells that are not padding; None is all.
    generator : torch.Generator, default=None
        Breaks ties.

    Returns
    -------
    torch.Tensor of bool, shape (n_samples, n_cells)
        True for the marked cells.
    """
    if valid is None:
        valid = torch.ones_like(inner, dtype=torch.bool)
    sizes = valid_members(valid, groups, n_groups)
    k = shares(fraction, sizes.sum(1))
    n_whole = shares(1 - math.sqrt(1 - fraction), (sizes > 0).sum(1))
    order = ascending_groups(outer, valid=sizes > 0, generator=generator)
    marked = torch.arange(n_groups, device=outer.device) < n_whole.unsqueeze(1)
    marked &= sizes.gather(1, order).cumsum(1) <= k.unsqueeze(1)
    whole = torch.zeros_like(marked).scatter_(1, order, marked)[:, groups.flatten()] & valid
    left = k - whole.sum(1)
    return whole | lowest_groups(inner, left, valid=valid & ~whole, generator=generator)
