"""Methods of captum that compare predictions of changed samples."""

import numpy as np
import torch
from captum import attr as captum
from captum._utils.models.linear_model import SkLearnLasso

_LARGEST_WINDOW = 3  # pixels


def perturbed(method, evaluate, x, baseline, *, mask, valid, options, n_rows):
    """Attributions of samples by a method that changes them.

    Parameters
    ----------
    method : str
        Name of the method.
    evaluate : callable
        Maps samples of shape (n, ...) and the rows of `x` that they belong to, to shape (n,).
    x : torch.Tensor of shape (n_samples, ...)
        The samples.
    baseline : torch.Tensor that broadcasts to `x`
        What takes the place of hidden cells.
    mask : ndarray of int, shape ``x.shape[1:]``, or None
        Cells of one label are hidden together.
    valid : torch.Tensor of bool, shape of `x`, or None
        Cells that are no padding; others are never changed.
    options : dict
        Options of the method.
    n_rows : int
        Number of rows that are evaluated at once, where there are not more samples.

    Returns
    -------
    torch.Tensor of the shape of `x`
        Attributions.
    """
    baseline = baseline.to(x.dtype).expand_as(x)
    if valid is not None:
        baseline = torch.where(valid, baseline, x)
    if mask is not None:
        mask = torch.as_tensor(labels_of_cells(mask, tuple(x.shape[1:]))).to(x.device)[None]
    run = _RUN[method]
    rows = torch.arange(len(x), device=x.device)
    at_once = max(1, n_rows // len(x))
    settings = {"additional_forward_args": (rows,), "perturbations_per_eval": at_once}
    return run(evaluate, x, baseline, mask, valid, options, settings, n_rows)


def labels_of_cells(mask, shape):
    """Labels of all cells of a sample; those of columns differ from step to step."""
    mask = np.asarray(mask)
    if mask.ndim == 1 and len(shape) == 2:
        mask = np.arange(shape[0])[:, None] * (mask.max() + 1) + mask
    try:
        return np.broadcast_to(mask, shape).copy()
    except ValueError:
        raise ValueError(
            f"groups must hold a label for each cell of a sample, shape {shape}, got shape "
            f"{mask.shape}."
        ) from None


def _feature_ablation(evaluate, x, baseline, mask, valid, options, settings, n_rows):
    method = captum.FeatureAblation(evaluate)
    return method.attribute(x, baseline, feature_mask=mask, **settings)


def _occlusion(evaluate, x, baseline, mask, valid, options, settings, n_rows):
    shape = tuple(x.shape[1:])
    window, strides = options["sliding_window_shapes"], options["strides"]
    if mask is not None and window is None:
        # columns that belong together have no neighbours that a window could slide over
        return _feature_ablation(evaluate, x, baseline, mask, valid, options, settings, n_rows)
    window = _default_window(shape) if window is None else _check_window(window, shape)
    strides = (1,) * len(shape) if strides is None else _check_strides(strides, window, shape)
    return captum.Occlusion(evaluate).attribute(
        x, sliding_window_shapes=window, strides=strides, baselines=baseline, **settings
    )


def _default_window(shape):
    if len(shape) == 2:  # a step of a series
        return (1, shape[1])
    if len(shape) == 3:  # a patch of an image
        return (shape[0], *(min(_LARGEST_WINDOW, size) for size in shape[1:]))
    return (1,) * len(shape)


def _check_window(window, shape):
    must_be = (
        "sliding_window_shapes must be None or a tuple of integers, one for each axis of a sample "
        f"of shape {shape} and from 1 to its size"
    )
    return _check_sizes(window, shape, shape, must_be)


def _check_strides(strides, window, shape):
    if isinstance(strides, (int, np.integer)):
        strides = (strides,) * len(shape)
    must_be = (
        "strides must be None, an integer, or a tuple of integers, one for each axis of a sample "
        f"of shape {shape} and from 1 to the size of the window, {window}"
    )
    # a step along an axis that the window covers is never made
    largest = [of if size == of else size for size, of in zip(window, shape, strict=True)]
    return _check_sizes(strides, shape, largest, must_be)


def _check_sizes(sizes, shape, largest, must_be):
    is_tuple = isinstance(sizes, (tuple, list)) and all(
        isinstance(size, (int, np.integer)) and not isinstance(size, bool) for size in sizes
    )
    if not is_tuple:
        raise TypeError(f"{must_be}, got {sizes!r}.")
    if len(sizes) != len(shape) or not all(
        1 <= size <= most for size, most in zip(sizes, largest, strict=True)
    ):
        raise ValueError(f"{must_be}, got {sizes!r}.")
    return tuple(int(size) for size in sizes)


def _feature_permutation(evaluate, x, baseline, mask, valid, options, settings, n_rows):
    if len(x) < 2:
        raise ValueError(
            "X must have at least two rows for method='feature_permutation', which exchanges "
            "values among them, got 1. Use method='feature_ablation'."
        )

    def exchange(data, cells):
        order = torch.randperm(len(data))
        while (order == torch.arange(len(data))).all():
            order = torch.randperm(len(data))
        order = order.to(data.device)
        if valid is not None:  # padding takes part in no exchange
            cells = cells & valid & valid[order]
        return torch.where(cells, data[order], data)

    method = captum.FeaturePermutation(evaluate, perm_func=exchange)
    return method.attribute(x, feature_mask=mask, **settings)


def _shapley_value_sampling(evaluate, x, baseline, mask, valid, options, settings, n_rows):
    method = captum.ShapleyValueSampling(evaluate)
    n_samples = options["n_samples"]
    return method.attribute(x, baseline, feature_mask=mask, n_samples=n_samples, **settings)


def _kernel_shap(evaluate, x, baseline, mask, valid, options, *args):
    if options["n_samples"] == 1:  # the first two are all features and none
        raise ValueError("n_samples must be at least 2 for method='kernel_shap', got 1.")
    return _linear_models(captum.KernelShap, evaluate, x, baseline, mask, valid, options, *args)


def _lime(evaluate, x, baseline, mask, valid, options, *args):
    def of(evaluate):
        return captum.Lime(evaluate, interpretable_model=SkLearnLasso(alpha=options["alpha"]))

    return _linear_models(of, evaluate, x, baseline, mask, valid, options, *args)


def _linear_models(kind, evaluate, x, baseline, mask, valid, options, settings, n_rows):
    """One linear model a sample, which is fitted to random subsets of its features."""
    (rows,), values = settings["additional_forward_args"], []
    for i in range(len(x)):
        sample, start, of_row, labels = x[i : i + 1], baseline[i : i + 1], evaluate, mask
        inside = None if valid is None or valid[i].all() else valid[i]
        if inside is not None:  # padding is no feature
            sample, start, of_row = (
                sample[:, inside],
                start[:, inside],
                _filled_in(evaluate, x, i, inside),
            )
            if mask is not None:
                labels = torch.unique(mask[:, inside], return_inverse=True)[1]
        row = rows[i : i + 1]
        n_features = sample.numel() if labels is None else int(labels.max()) + 1
        if n_features == 1 and kind is captum.KernelShap:
            # all of the change, which captum cannot draw subsets for
            change = of_row(sample, row) - of_row(start, row)
            found = change.reshape(1, *(1,) * (sample.ndim - 1)).expand_as(sample)
        else:
            found = kind(of_row).attribute(
                sample,
                start,
                additional_forward_args=(row,),
                feature_mask=labels,
                n_samples=options["n_samples"] or 2 * n_features + 50,
                perturbations_per_eval=n_rows,
            )
        if inside is not None:
            whole = found.new_zeros(x[i : i + 1].shape)
            whole[:, inside] = found
            found = whole
        values.append(found)
    return torch.cat(values)


def _filled_in(evaluate, x, i, inside):
    """Evaluate the cells of a sample that are no padding, in their places."""

    def of_cells(data, rows):
        whole = x[i : i + 1].repeat(len(data), *(1,) * (x.ndim - 1))
        whole[:, inside] = data
        return evaluate(whole, rows)

    return of_cells


_RUN = {
    "feature_ablation": _feature_ablation,
    "feature_permutation": _feature_permutation,
    "kernel_shap": _kernel_shap,
    "lime": _lime,
    "occlusion": _occlusion,
    "shapley_value_sampling": _shapley_value_sampling,
}
