"""Explanations as data frames."""

import numpy as np

_LONG = {
    "series": ("sample", "step", "feature"),
    "image": ("sample", "channel", "row", "column"),
    "tokens": ("sample", "position"),
}
_DATUM = {"series": "datum", "image": "datum", "tokens": "token", "other": "datum"}


def as_frame(explanation):
    """Values of an explanation as a data frame, wide for tables and long for all else."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("to_frame needs pandas: pip install pandas.") from error
    if explanation.kind == "tabular":
        return _wide(explanation, pd)
    if explanation.classes is None:
        return _long(explanation, pd)
    frames = []
    for label in explanation.classes:
        frame = _long(explanation.for_target(label), pd)
        frame.insert(1, "target", [label] * len(frame))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _wide(explanation, pd):
    names, values = explanation._feature_names(), explanation.values
    columns = pd.Index(names)
    if explanation.classes is not None:
        columns = pd.MultiIndex.from_product(
            [explanation.classes, names], names=["target", "feature"]
        )
    cells = values.reshape(len(values), len(columns))
    return pd.DataFrame(cells, index=explanation.index, columns=columns)


def _long(explanation, pd):
    """A row a value, in the order of the array; padding left out."""
    values, kind = explanation.values, explanation.kind
    inside = np.ones(values.shape, dtype=bool)
    if kind in ("series", "tokens"):
        inside &= explanation._inside().reshape(values.shape[:2] + (1,) * (values.ndim - 2))
    places = np.nonzero(inside)
    axes = _LONG.get(kind, ("sample", *(f"axis_{i}" for i in range(1, values.ndim))))
    columns = dict(zip(axes, places, strict=True))
    if explanation.index is not None:
        columns["sample"] = np.asarray(explanation.index)[columns["sample"]]
    for name in ("feature", "channel"):
        if name in columns and explanation.feature_names is not None:
            columns[name] = np.array(explanation.feature_names, dtype=object)[columns[name]]
    columns[_DATUM[kind]] = explanation.data[places]
    return pd.DataFrame(columns | {"value": values[places]})
