"""The arguments of an explanation, brought into one form."""

import operator
from collections import Counter
from itertools import count

import numpy as np

KINDS = ("tabular", "series", "image", "tokens", "other")
_AXES = {
    "tabular": ("n_samples", "n_features"),
    "series": ("n_samples", "n_timesteps", "n_features"),
    "image": ("n_samples", "n_channels", "height", "width"),
    "tokens": ("n_samples", "n_timesteps"),
}
# axis of the names
_NAMED_AXIS = {"tabular": 1, "series": 2, "image": 1}


def check_arguments(
    values,
    data,
    kind,
    method,
    output,
    target,
    explained_output,
    baseline_output,
    feature_names,
    lengths,
    classes,
    index,
):
    """Return the arrays of an explanation in its order of attributes, or raise."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}.")
    for name, value in {"method": method, "output": output}.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str, got {value!r}.")
    every = isinstance(target, str) and target == "all"
    if kind == "tabular":
        if not every:
            _check_labels(values, data)
        # of the data before those of the values
        for frame in (data, values):
            if hasattr(frame, "columns") and not (every and frame is values):
                index = getattr(frame, "index", None) if index is None else index
                feature_names = list(frame.columns) if feature_names is None else feature_names
    values, lengths_of_list = _padded(values, np.nan, every)
    values = _real(values)
    data, _ = _padded(data, _padding_of(data, kind), False)
    _check_shapes(values, data, kind, every)
    if lengths is None:
        lengths = lengths_of_list
    lengths = _check_lengths(lengths, values, kind, every)
    values = _check_finite(values, lengths, every)
    classes = _check_classes(classes, values, every)
    n_samples = len(values)
    outputs = (n_samples,) if not every else values.shape[:2]
    return (
        values,
        data,
        lengths,
        _check_target(target, n_samples, every),
        classes,
        _check_output("explained_output", explained_output, outputs),
        _check_output("baseline_output", baseline_output, outputs),
        _check_names(feature_names, data, kind),
        _check_sample_names(index, n_samples),
    )


def check_index(item, n_samples):
    """Return an index that keeps the axis of the samples."""
    if isinstance(item, slice):
        return item
    rows = np.asarray(item)
    if rows.ndim == 0 and rows.dtype.kind in "iu":
        i = operator.index(rows.item())
        if not -n_samples <= i < n_samples:
            raise IndexError(f"sample {i} is out of bounds: there are {n_samples} samples.")
        return np.array([i])
    if rows.ndim == 1 and (not rows.size or rows.dtype.kind in "iub"):
        if rows.dtype.kind == "b" and len(rows) != n_samples:
            raise IndexError(
                f"a mask of samples must have {n_samples} entries, one a sample, got {len(rows)}."
            )
        return rows if rows.size else np.zeros(0, dtype=int)
    raise TypeError(
        "an explanation is indexed by samples: an integer, a slice, a boolean mask or an array of "
        f"integers, got {item!r:.80}. For parts of samples index its `values`."
    )


def steps_inside(lengths, shape):
    """Which steps are no padding, shape (n_samples, n_timesteps)."""
    if lengths is None:
        return np.ones(shape, dtype=bool)
    return np.arange(shape[1]) < lengths[:, None]


def _check_labels(values, data):
    """Raise where two data frames name other columns or rows; arrays go by position."""
    for axis in ("columns", "index"):
        got, expected = (
            None if not hasattr(frame, "columns") else getattr(frame, axis, None)
            for frame in (values, data)
        )
        if got is None or expected is None or list(got) == list(expected):
            continue
        raise ValueError(
            f"values must have the {axis} of data in the same order where both are data frames, "
            f"got {list(got)[:5]} of values and {list(expected)[:5]} of data. Pass "
            "values.loc[data.index, data.columns] to go by name, values.to_numpy() to go by "
            "position."
        )


def check_no_row(estimator, X):
    """Raise where X is a Series of numbers, or a row of such data as the estimator knows."""
    if getattr(X, "ndim", 2) != 1 or not hasattr(X, "to_frame"):
        return
    names = getattr(estimator, "feature_names_in_", ())
    row = len(names) > 0 and set(names) <= set(getattr(X, "index", ()))
    if row or np.asarray(X).dtype.kind in "fiub":  # texts are samples
        raise ValueError(
            "X must have a row for each sample, shape (n_samples, n_features), got a Series of "
            f"{len(X)} values. A single row is data.iloc[[0]] and a single column data[['name']], "
            "both with two brackets."
        )


def check_distinct(names):
    """Raise where a name comes more than once."""
    again = [name for name, times in Counter(names).items() if times > 1]
    if again:
        raise ValueError(
            "feature_names must differ from each other, as results are given by name, got more "
            f"than once: {again[:5]}."
        )


def distinct(names):
    """Names of which those that come again have a number, such as "age" and "age (2)"."""
    if names is None:
        return None
    taken, found = set(names), {}
    for name in names:
        free = name
        if name in found:
            free = next(one for i in count(2) if (one := f"{name} ({i})") not in taken)
        taken.add(free)
        found[free] = None
    return list(found)


def _padded(values, fill, every):
    """One array, and the lengths if `values` was a list of arrays of several lengths."""
    if hasattr(values, "to_numpy"):
        return values.to_numpy(), None
    if isinstance(values, np.ndarray) and values.dtype == object and values.ndim == 1:
        values = list(values)
    if not isinstance(values, (list, tuple)) or not len(values):
        return _array(values), None
    parts = [_array(part) for part in values]
    if len({part.shape for part in parts}) == 1:
        return _array(values), None
    time = int(every)
    others = {part.shape[:time] + part.shape[time + 1 :] for part in parts}
    if min(part.ndim for part in parts) <= time or len(others) > 1:
        shapes = list(dict.fromkeys(part.shape for part in parts))
        raise ValueError(
            "values and data must be arrays, or lists of arrays that differ in their number of "
            f"steps only, got shapes {shapes[:3]}."
        )
    lengths = np.array([part.shape[time] for part in parts])
    shape = list(parts[0].shape)
    shape[time] = lengths.max()
    if not all(part.dtype.kind in "fiub" for part in parts):
        dtype = object
    elif isinstance(fill, float):  # NaN needs a floating-point type
        dtype = np.result_type(*parts, np.float32)
    else:
        dtype = np.result_type(*parts)
    padded = np.full((len(parts), *shape), fill, dtype=dtype)
    for row, part in zip(padded, parts, strict=True):
        row[(slice(None),) * time + (slice(part.shape[time]),)] = part
    return padded, lengths


def _array(values):
    """An array; mixed rows and strings as objects, which numpy would make strings of one kind."""
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "detach"):
        return values.detach().cpu().numpy()
    array = np.asarray(values)
    return array if array.dtype.kind in "fiub" else np.asarray(values, dtype=object)


def _padding_of(data, kind):
    if kind != "tokens":
        return np.nan
    words = any(isinstance(token, str) for row in data for token in row)
    return "" if words else 0


def _real(values):
    if values.dtype.kind not in "fiub":
        raise TypeError(f"values must be real numbers, got an array of {values.dtype}.")
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def _check_shapes(values, data, kind, every):
    must_be = ", ".join(_AXES.get(kind, ("n_samples", "...")))
    if kind in _AXES and data.ndim != len(_AXES[kind]):
        raise ValueError(
            f"data must have shape ({must_be}) where kind={kind!r}, got shape {data.shape}."
        )
    if data.ndim < 2 or 0 in data.shape[1:]:
        raise ValueError(f"data must have samples with at least one cell, got shape {data.shape}.")
    of_one = values.shape if not every else values.shape[:1] + values.shape[2:]
    if of_one != data.shape or values.ndim != data.ndim + every or (every and not values.shape[1]):
        expected = ", ".join(map(str, data.shape))
        if every:
            expected = expected.replace(", ", ", n_outputs, ", 1)
        raise ValueError(
            f"values must have {'the shape of data' if not every else 'shape'} ({expected})"
            f"{' with target=' + repr('all') if every else ''}, got shape {values.shape}."
        )


def _check_lengths(lengths, values, kind, every):
    if kind not in ("series", "tokens"):
        if lengths is not None:
            raise ValueError(f"lengths are for series and tokens, got them with kind={kind!r}.")
        return None
    time = 1 + every
    n_steps = values.shape[time]
    if lengths is None:
        others = tuple(i for i in range(1, values.ndim) if i != time)
        filled = ~np.isnan(values).all(axis=others)
        if not filled.any(axis=1).all():
            raise ValueError(
                "values must be finite inside each sample, got NaN only in sample "
                f"{np.flatnonzero(~filled.any(axis=1))[0]}."
            )
        lengths = n_steps - np.argmax(filled[:, ::-1], axis=1) if len(filled) else np.zeros(0, int)
    lengths = np.asarray(lengths)
    if lengths.shape != values.shape[:1] or (lengths.size and lengths.dtype.kind not in "iu"):
        raise ValueError(
            f"lengths must be one integer a sample, shape ({len(values)},), got {lengths.dtype} "
            f"of shape {lengths.shape}."
        )
    if lengths.size and not 1 <= lengths.min() <= lengths.max() <= n_steps:
        raise ValueError(
            f"lengths must be from 1 to {n_steps}, the steps of values, got {lengths.min()} to "
            f"{lengths.max()}."
        )
    return None if (lengths == n_steps).all() else lengths.astype(np.int64)


def _check_finite(values, lengths, every):
    """Values with NaN on padding, finite elsewhere."""
    inside = np.ones(values.shape, dtype=bool)
    if lengths is not None:
        time = 1 + every
        inside = np.moveaxis(inside, time, 1)
        inside[~steps_inside(lengths, inside.shape[:2])] = False
        inside = np.moveaxis(inside, 1, time)
    broken = inside & ~np.isfinite(values)
    if broken.any():
        raise ValueError(
            "values must be finite inside each sample, got NaN or infinity in sample "
            f"{np.nonzero(broken)[0][0]}: check the weights of the net and the scale of X."
        )
    if lengths is None or np.isnan(values[~inside]).all():
        return values
    return np.where(inside, values, values.dtype.type(np.nan))


def _check_classes(classes, values, every):
    if not every:
        if classes is not None:
            raise ValueError("classes name the outputs with target='all', got them without it.")
        return None
    n_outputs = values.shape[1]
    classes = list(range(n_outputs)) if classes is None else list(classes)
    if len(classes) != n_outputs:
        raise ValueError(
            f"classes must name the {n_outputs} outputs of values, got {len(classes)}: "
            f"{classes[:5]}."
        )
    return classes


def _check_target(target, n_samples, every):
    if target is None or every:
        return target
    target = np.asarray(target)
    if target.ndim == 0:
        target = np.repeat(target, n_samples)
    if target.shape != (n_samples,):
        raise ValueError(
            "target must be None, 'all', a label, or one label a sample, shape "
            f"({n_samples},), got shape {target.shape}."
        )
    return target


def _check_output(name, output, shape):
    if output is None:
        return None
    output = np.asarray(output)
    if output.shape != shape or output.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} must be numbers of shape {shape}, got {output.dtype} of shape {output.shape}."
        )
    return output


def _check_names(names, data, kind):
    if names is None:
        return None
    if kind not in _NAMED_AXIS:
        raise ValueError(
            f"feature_names are for tables, series and images, got them with kind={kind!r}."
        )
    if isinstance(names, str):
        raise TypeError(f"feature_names must be a list of str, got the str {names!r}.")
    names = [str(name) for name in names]
    expected = data.shape[_NAMED_AXIS[kind]]
    if len(names) != expected:
        what = {"tabular": "columns", "series": "features", "image": "channels"}[kind]
        raise ValueError(
            f"feature_names must have a name for each of the {expected} {what} of data, got "
            f"{len(names)}: {names[:5]}."
        )
    check_distinct(names)
    return names


def _check_sample_names(index, n_samples):
    if index is None:
        return None
    # an index of pandas goes by position, but a series by label
    index = index if hasattr(index, "get_indexer") else np.asarray(index)
    if index.ndim != 1:
        raise ValueError(
            f"index must be one name a sample, shape ({n_samples},), got shape {index.shape}."
        )
    if len(index) != n_samples:
        raise ValueError(
            f"index must name the {n_samples} samples of values, got {len(index)} names."
        )
    return index
