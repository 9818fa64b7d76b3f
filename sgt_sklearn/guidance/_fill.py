"""Values that replace hidden features."""

import torch

from sgt_sklearn.guidance._padding import valid_cells

FILLS = ("sample_uniform", "feature_uniform", "marginal", "mean", "constant")


def fill_values(
    x,
    fill,
    *,
    statistics=None,
    value=0.0,
    groups=None,
    weight=None,
    generator=None,
    lengths=None,
):
    """Replacement values for every cell of a batch.

    Every random fill makes one draw of the full shape of `x`, so that the draws do not depend on
    what is hidden.

    Parameters
    ----------
    x : torch.Tensor of shape (n_samples, ...)
        The batch.
    fill : str or callable
        - "sample_uniform": uniform between the minimum and maximum of the sample: over all
          columns of a row of a table, per feature over time of a series, per channel of an image;
        - "feature_uniform": uniform between the training minimum and maximum of the feature;
        - "marginal": the same cells of another row of the batch, one donor row for a whole group
          and never the sample itself, drawn by `weight`; a batch of one is left unchanged. With
          `lengths` a donor is a series that is long enough: as long as the sample's part of the
          group lasts; where there is none, the cells are left unchanged;
        - "mean": the training mean of the feature;
        - "constant": `value`;
        - a callable ``(x, generator) -> tensor of the shape of x``.
    statistics : mapping of str to torch.Tensor that broadcasts to one sample, default=None
        "minimum", "maximum" and "mean" of the training data, where the fill needs them.
    value : float, default=0.0
        For "constant".
    groups : torch.Tensor of int64, shape ``x.shape[1:]``, default=None
        Labels of groups hidden as one, for "marginal"; None makes every cell its own group.
    weight : torch.Tensor of shape (n_samples,), default=None
        Sample weights, for "marginal"; None makes every other row as likely.
    generator : torch.Generator, default=None
        Source of the draw.
    lengths : torch.Tensor of int64, shape (n_samples,), default=None
        Number of steps (axis 1) of each series, 1 or more; what follows is padding, which
        replaces nothing and whose own replacement is undefined. None: there is none.

    Returns
    -------
    torch.Tensor of the shape of `x`
        The replacement values.

    Raises
    ------
    ValueError
        If the fill is unknown, lacks its statistics, or a callable returns another shape.

    Examples
    --------
    >>> import torch
    >>> fill_values(torch.ones(2, 2), "constant", value=-1.0)
    tensor([[-1., -1.],
            [-1., -1.]])
    """
    if callable(fill):
        values = fill(x, generator)
        if not isinstance(values, torch.Tensor) or values.shape != x.shape:
            raise ValueError(
                f"mask_fill must return a tensor of the shape of its input {tuple(x.shape)}, got "
                f"{tuple(values.shape) if hasattr(values, 'shape') else type(values).__name__}."
            )
        return values.to(device=x.device, dtype=x.dtype)
    if fill == "constant":
        return torch.full_like(x, value)
    if fill == "mean":
        return _statistic(statistics, "mean", fill).expand_as(x)
    if fill not in FILLS:
        raise ValueError(f"mask_fill must be one of {FILLS} or a callable, got {fill!r}.")
    uniform = torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=generator)
    if fill == "marginal":
        return _donor_values(x, uniform, groups, weight, lengths)
    if fill == "sample_uniform":
        low, high = _sample_range(x, valid_cells(x, lengths))
    else:
        low = _statistic(statistics, "minimum", fill)
        high = _statistic(statistics, "maximum", fill)
    return low + uniform * (high - low)


def _statistic(statistics, name, fill):
    value = None if statistics is None else statistics.get(name)
    if value is None:
        raise ValueError(
            f"mask_fill={fill!r} needs the training {name} of each feature: pass it in "
            "`statistics`, or choose 'sample_uniform', 'marginal' or 'constant'."
        )
    return value


def _sample_range(x, valid):
    axes = tuple(range(2, x.ndim)) if x.ndim > 3 else 1
    if valid is None:
        return x.amin(axes, keepdim=True), x.amax(axes, keepdim=True)
    low = torch.where(valid, x, torch.inf).amin(axes, keepdim=True)
    return low, torch.where(valid, x, -torch.inf).amax(axes, keepdim=True)


def _donor_values(x, uniform, groups, weight, lengths):
    n = len(x)
    if n < 2:
        return x
    cells, uniform = x.flatten(1), uniform.flatten(1)
    if groups is not None:
        uniform = uniform[:, _first_members(groups.flatten())]
    # the first `n_able` of the rows, from the longest to the shortest, can be donors
    rows, n_able, by_length = torch.arange(n, device=x.device).unsqueeze(1), n, None
    if lengths is not None:
        by_length = lengths.argsort(descending=True, stable=True)
        rows = by_length.argsort().unsqueeze(1)
        n_able = _n_long_enough(x, groups, lengths)
    if weight is None:
        # an offset of 1 .. n_able - 1 rows never lands on the sample itself
        offsets = 1 + (uniform * (n_able - 1)).long().clamp_max(n_able - 2)
        donors = (rows + offsets) % n_able
    else:
        weight = weight.to(uniform)
        weight = weight if by_length is None else weight[by_length]
        donors = _weighted_donors(uniform, weight, rows, n_able)
    donors = donors if by_length is None else by_length[donors]
    return cells.gather(0, donors).reshape(x.shape)


def _weighted_donors(uniform, weight, rows, n_able):
    """Rows laid around a circle, as long as they weigh; each draws from the circle behind it."""
    ends = weight.cumsum(0)
    total = ends[n_able - 1]
    position = ends[rows] + uniform * (total - weight[rows])
    position = torch.where(position >= total, position - total, position)
    donors = torch.searchsorted(ends, position.contiguous(), right=True).clamp_max(n_able - 1)
    # rounding at the end of the way round
    return torch.where(donors == rows, (rows - 1) % n_able, donors)


def _n_long_enough(x, groups, lengths):
    """Number of series that reach the last step of each sample's part of each cell's group."""
    steps = torch.arange(x.shape[1], device=x.device)
    reach = (lengths.unsqueeze(1) > steps).sum(0).clamp_min(1)
    steps = steps.repeat_interleave(x[0, 0].numel())
    if groups is None:
        return reach[steps].unsqueeze(0)
    labels = groups.flatten()
    # of each group, the last step that it has at or before each step
    last = labels.new_zeros(int(labels.max()) + 1, x.shape[1])
    last[labels, steps] = steps
    last = last.cummax(1).values[:, lengths - 1]
    return reach[last.T[:, labels]]


def _first_members(labels):
    """Position of the first cell of each cell's group."""
    order = torch.argsort(labels, stable=True)
    starts = torch.ones_like(labels, dtype=torch.bool)
    starts[1:] = labels[order][1:] != labels[order][:-1]
    return order[starts][labels]
