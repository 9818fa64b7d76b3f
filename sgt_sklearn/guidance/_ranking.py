"""From input gradients to the groups of features that are hidden."""

import numpy as np
import torch

MASK_ORDERS = ("signed", "absolute", "sampled", "random")


def group_scores(values, groups=None, n_groups=None):
    """Average per-cell values over groups of cells.

    Parameters
    ----------
    values : torch.Tensor of shape (n_samples, ...)
        One value a cell.
    groups : torch.Tensor of int64, shape ``values.shape[1:]``, or None
        Label of each cell's group, 0 to `n_groups` - 1; None makes every cell its own group.
    n_groups : int or None
        Number of groups; needed with `groups`.

    Returns
    -------
    torch.Tensor of shape (n_samples, n_groups)
        Mean over the members of each group.

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
    total = values.new_zeros(len(values), n_groups).index_add_(1, labels, values)
    sizes = values.new_zeros(n_groups).index_add_(0, labels, values.new_ones(len(labels)))
    return total / sizes


def ranking_scores(
    gradient, *, order, scale=None, groups=None, n_groups=None, generator=None, like=None
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
        return group_scores(gradient, groups, n_groups)
    magnitude = gradient.abs()
    if scale is not None:
        magnitude = magnitude * scale
    scores = group_scores(magnitude, groups, n_groups)
    if order == "absolute":
        return scores
    noise = torch.rand(scores.shape, dtype=scores.dtype, device=scores.device, generator=generator)
    # u = 0 would give -log(0) = inf and a noise of -inf
    noise = noise.clamp_min(torch.finfo(noise.dtype).tiny)
    return scores.log() - torch.log(-torch.log(noise))


def lowest_groups(scores, k, *, generator=None):
    """Mark the k lowest scores of each row, exactly k also under ties.

    Parameters
    ----------
    scores : torch.Tensor of shape (n_samples, n_groups)
        Scores.
    k : int
        Number to mark, 0 to n_groups.
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
    n_groups = scores.shape[1]
    if k == 0 or k == n_groups:
        return torch.full(scores.shape, k > 0, dtype=torch.bool, device=scores.device)
    # drawn whether there are ties or not, so that the generator's stream does not depend on the
    # data or the device
    order = torch.randperm(n_groups, device=scores.device, generator=generator)
    on_cpu = scores.device.type == "cpu" and scores.dtype in (torch.float32, torch.float64)
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
