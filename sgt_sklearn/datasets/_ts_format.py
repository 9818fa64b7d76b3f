"""Reader of the text format of the time series archives, ``.ts``.

Comments (``#`` or ``%``), then tags, ``@name value``, then ``@data`` and one case a line: its
dimensions between colons, the values of each between commas, "?" for a missing one, and last the
label, if the tags announce one.
"""

from typing import NamedTuple

import numpy as np

# "classlabel" is followed by true and the labels
_FLAGS = ("timestamps", "missing", "univariate", "equallength", "classlabel", "targetlabel")
_NUMBERS = ("dimensions", "serieslength")


class TSFile(NamedTuple):
    """What a ``.ts`` file holds.

    `series` are float32 arrays of shape (n_timesteps_i, n_features), missing values NaN. `target`
    is an array of positions in the list `labels` (int64), or with `labels` None of numbers
    (float64), or None where the file has none. `description` are the comments at the head.
    """

    series: list
    target: np.ndarray | None
    labels: list | None
    description: str


def read_ts(path):
    """Read a ``.ts`` file and check that it holds what its tags announce.

    Parameters
    ----------
    path : pathlib.Path
        The file, in UTF-8.

    Returns
    -------
    TSFile
        Its cases, in the order of the file.

    Raises
    ------
    ValueError
        If the file is not in the format, contradicts itself, or has time stamps. It names the
        file and, where there is one, the line.
    """
    comments, header, tags, cases = [], {}, None, []
    # names in comments are not always in UTF-8; in numbers any other byte is an error below
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            try:
                if line == "":
                    continue
                if line[0] in "#%":
                    comments += [] if tags else [line.lstrip("#%").strip()]
                elif tags:
                    cases.append(_case(line, tags))
                    _check_alike(cases[0][0], cases[-1][0], tags)
                elif line.lower() == "@data":
                    tags = _checked_tags(header)
                elif line[0] == "@":
                    name, *values = line[1:].split() or [""]
                    header[name.lower()] = values
                else:
                    raise ValueError("a case before the tag @data")
            except ValueError as error:
                raise ValueError(f"{path.name}, line {number}: {error}.") from error
    if not cases:
        raise ValueError(f"{path.name} holds no cases: it is empty or cut short.")
    series, targets = zip(*cases, strict=True)
    labels = tags["classlabel"] or None
    target = None if targets[0] is None else np.array(targets, np.int64 if labels else np.float64)
    return TSFile(list(series), target, labels, "\n".join(comments).strip())


def _checked_tags(header):
    """Bring tags into bool, int and list of str; what is not said is None."""
    unknown = set(header) - {*_FLAGS, *_NUMBERS, "problemname"}
    if unknown:
        raise ValueError(f"unknown tags {sorted(unknown)}")
    tags = dict.fromkeys((*_FLAGS, *_NUMBERS))
    for name in _FLAGS:
        if name in header:
            word = "".join(header[name][:1]).lower()
            if word not in ("true", "false"):
                raise ValueError(f"the tag {name} must be true or false, got {word!r}")
            tags[name] = word == "true"
    for name in _NUMBERS:
        if name in header:
            if len(header[name]) != 1 or not header[name][0].isdecimal():
                raise ValueError(f"the tag {name} must be a number, got {' '.join(header[name])}")
            tags[name] = int(header[name][0])
    if tags["timestamps"]:
        raise ValueError("series with time stamps cannot be read")
    if tags["classlabel"] and tags["targetlabel"]:
        raise ValueError("either classlabel or targetlabel can be true, not both")
    if tags["classlabel"]:
        tags["classlabel"] = header["classlabel"][1:]
        if len(set(tags["classlabel"])) < max(1, len(tags["classlabel"])):
            raise ValueError("the tag classlabel must list the labels, each once")
    return tags


def _case(line, tags):
    """Read one case: array of shape (n_timesteps, n_features), and what to predict."""
    dimensions, target = line.split(":"), None
    if tags["classlabel"] or tags["targetlabel"]:
        target = _target(dimensions.pop().strip(), tags["classlabel"])
    if not dimensions:
        raise ValueError("a case must be values, a colon and the label")
    announced = 1 if tags["univariate"] else tags["dimensions"]
    if announced not in (None, len(dimensions)):
        raise ValueError(f"the tags announce {announced} dimensions, got {len(dimensions)}")
    columns = [_values(values) for values in dimensions]
    lengths = sorted({len(column) for column in columns})
    if len(lengths) > 1:
        raise ValueError(f"the dimensions of a case must have one length, got {lengths}")
    series = np.stack(columns, axis=1)
    if tags["serieslength"] not in (None, len(series)):
        raise ValueError(f"the tags announce {tags['serieslength']} steps, got {len(series)}")
    if tags["missing"] is False and np.isnan(series).any():
        raise ValueError("a value is missing, and the tag missing is false")
    return series, target


def _target(word, labels):
    if labels:
        if word not in labels:
            raise ValueError(f"the label must be one of {labels}, got {word!r}")
        return labels.index(word)
    number = float(word)
    if not np.isfinite(number):
        raise ValueError(f"the target must be a finite number, got {word!r}")
    return number


def _values(text):
    words = ["nan" if word.strip() == "?" else word for word in text.split(",")]
    with np.errstate(over="ignore"):
        values = np.array(words, dtype=np.float64).astype(np.float32)
    if np.isinf(values).any():
        raise ValueError("values must be finite in single precision, or ?")
    return values


def _check_alike(first, case, tags):
    if case.shape[1] != first.shape[1]:
        raise ValueError(f"{first.shape[1]} dimensions in the first case, got {case.shape[1]}")
    if tags["equallength"] and len(case) != len(first):
        raise ValueError(
            f"{len(first)} steps in the first case, and the tag equallength is true, got "
            f"{len(case)}"
        )
