"""Which inputs of a fitted transformer each of its outputs depends on."""

import copy
import re

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.utils.validation import check_is_fitted


def output_sources(transformer, n_inputs, n_outputs=None):
    """Positions of the inputs that each output depends on.

    Parameters
    ----------
    transformer : fitted transformer, or "passthrough"
        What is looked into, recursively.
    n_inputs : int
        Number of columns that it gets.
    n_outputs : int, default=None
        Number of columns that it returns, where whoever holds it knows.

    Returns
    -------
    list of frozenset of int
        One set an output; all inputs where nothing more is known.

    Raises
    ------
    ValueError
        If the structure leaves the sources of outputs open.
    """
    if isinstance(transformer, FrozenEstimator):
        transformer = transformer.estimator
    if transformer is None or (isinstance(transformer, str) and transformer == "passthrough"):
        return _each(range(n_inputs))
    known = fitted_input(transformer, "n_features_in_")
    if known is not None and known != n_inputs:
        raise ValueError(
            f"{type(transformer).__name__} was fitted on {known} columns, but {n_inputs} reach it "
            "according to the steps before it: their get_feature_names_out does not tell the "
            "number of their outputs. Write the labels by hand."
        )
    for kind, read in _READERS.items():
        if isinstance(transformer, kind):
            return read(transformer, n_inputs, n_outputs)
    return _other(transformer, n_inputs, n_outputs)


def fitted_input(transformer, attribute):
    """``n_features_in_`` or ``feature_names_in_`` of a transformer, or None if it has none."""
    parts = None
    if isinstance(transformer, Pipeline):
        # steps that pass everything through know nothing about it
        parts = [step for _, step in transformer.steps if not _passes(step)][:1]
    elif isinstance(transformer, FeatureUnion):
        parts = [part for _, part in transformer.transformer_list if not isinstance(part, str)]
    if parts is None:
        return getattr(transformer, attribute, None)
    known = (fitted_input(part, attribute) for part in parts)
    return next((value for value in known if value is not None), None)


def _passes(step):
    return step is None or (isinstance(step, str) and step == "passthrough")


def _each(positions):
    return [frozenset([i]) for i in positions]


def _through(outer, inner):
    """Sources of `outer`, whose inputs are the outputs of `inner`, in terms of inner's inputs."""
    return [frozenset().union(*(inner[i] for i in source)) for source in outer]


def _pipeline(pipeline, n_inputs, n_outputs):
    steps = [step for _, step in pipeline.steps if not _passes(step)]
    sources = _each(range(n_inputs))
    for i, step in enumerate(steps):
        last = i == len(steps) - 1
        width = n_outputs if last else fitted_input(steps[i + 1], "n_features_in_")
        sources = _through(output_sources(step, len(sources), width), sources)
    return sources


def _column_transformer(transformer, n_inputs, n_outputs):
    names = getattr(transformer, "feature_names_in_", None)
    # absent where everything is dropped
    places = getattr(transformer, "output_indices_", {})
    n_columns = max((place.stop for place in places.values()), default=0)
    sources = [None] * n_columns
    seen = set()
    for name, part, columns in transformer.transformers_:
        if name == "remainder":
            positions = [i for i in range(n_inputs) if i not in seen]
        else:
            positions = _positions(columns, n_inputs, names)
            seen.update(positions)
        outputs = places.get(name, slice(0, 0))
        width = outputs.stop - outputs.start
        # a part without columns was never fitted
        if width == 0:
            continue
        inner = output_sources(part, len(positions), width)
        if len(inner) != width:
            raise ValueError(
                f"{type(part).__name__} {name!r} returned {width} columns, but its "
                f"get_feature_names_out gives {len(inner)} names. Write the labels by hand: one "
                "for each column of transform(X)."
            )
        sources[outputs] = _through(inner, _each(positions))
    return sources


def _positions(columns, n_inputs, names):
    """Positions of a column selection of a ``ColumnTransformer``."""
    if isinstance(columns, slice):
        start, stop = columns.start, columns.stop
        if isinstance(start, str) or isinstance(stop, str):
            names = list(names)
            start = names.index(start) if start is not None else None
            # a slice of names includes its end
            stop = names.index(stop) + 1 if stop is not None else None
        return list(range(n_inputs))[start : stop : columns.step]
    if isinstance(columns, str):
        return [list(names).index(columns)]
    chosen = np.asarray(columns)
    if chosen.dtype == bool:
        return np.flatnonzero(chosen).tolist()
    chosen = np.atleast_1d(chosen).tolist()
    if any(isinstance(column, str) for column in chosen):
        place = {name: i for i, name in enumerate(names)}
        return [place[column] for column in chosen]
    return [range(n_inputs)[int(i)] for i in chosen]


def _feature_union(union, n_inputs, n_outputs):
    parts = [p for _, p in union.transformer_list if not (isinstance(p, str) and p == "drop")]
    width = n_outputs if len(parts) == 1 else None
    return [source for part in parts for source in output_sources(part, n_inputs, width)]


def _one_hot_encoder(encoder, n_inputs, n_outputs):
    check_is_fitted(encoder)
    # feature_name_combiner may make names that do not hold the name of the column
    infrequent = getattr(encoder, "infrequent_categories_", [None] * n_inputs)
    dropped = [None] * n_inputs if encoder.drop_idx_ is None else encoder.drop_idx_
    sources = []
    for i, (categories, rare, drop) in enumerate(
        zip(encoder.categories_, infrequent, dropped, strict=True)
    ):
        n_columns = len(categories) - (drop is not None)
        if rare is not None:
            n_columns -= len(rare) - 1
        sources += _each([i] * n_columns)
    return sources


def _function_transformer(transformer, n_inputs, n_outputs):
    if transformer.func is None:
        return _each(range(n_inputs))
    return _other(transformer, n_inputs, n_outputs)


def _combined(transformer, n_inputs, n_outputs):
    # numbered outputs (pca0, pca1, ...), each made of all inputs
    return [frozenset(range(n_inputs)) for _ in names_out(transformer)]


_READERS = {
    Pipeline: _pipeline,
    ColumnTransformer: _column_transformer,
    FeatureUnion: _feature_union,
    OneHotEncoder: _one_hot_encoder,
    FunctionTransformer: _function_transformer,
    ClassNamePrefixFeaturesOutMixin: _combined,
}


def _other(transformer, n_inputs, n_outputs):
    """Sources by the names of the outputs, where there is no structure to read."""
    names = names_out(transformer)
    if n_inputs == 1 and (n_outputs is not None or names is not None):
        return _each([0] * (len(names) if n_outputs is None else n_outputs))
    if names is None:
        raise ValueError(
            f"{type(transformer).__name__} has no get_feature_names_out for its {n_inputs} input "
            "columns, so it does not say where its outputs come from. Give it one "
            "(FunctionTransformer(..., feature_names_out='one-to-one')), apply it to one column "
            "at a time in a ColumnTransformer, or write the labels by hand."
        )
    found = _marked(transformer, names, n_inputs)
    if found is None:
        found = _named(transformer, names, n_inputs)
    everything = frozenset(range(n_inputs))
    return [source or everything for source in found]


def names_out(transformer, input_features=None):
    """Names of the outputs, or None where the transformer has none."""
    try:
        names = transformer.get_feature_names_out(input_features)
    except NotFittedError:  # an AttributeError too
        raise
    except (AttributeError, NotImplementedError):
        return None
    return [str(name) for name in names]


def _marked(transformer, names, n_inputs):
    """Look for unmistakable names of the inputs in the names of the outputs.

    None if the transformer does not take other names than its own.
    """
    mark = "sgtinput"
    text = " ".join(names).lower()
    while mark in text:
        mark += "t"
    anonymous = copy.copy(transformer)
    # with names of its own it would refuse others
    vars(anonymous).pop("feature_names_in_", None)
    inputs = np.array([f"{mark}{i}end" for i in range(n_inputs)], dtype=object)
    try:
        marked = names_out(anonymous, inputs)
    except (ValueError, TypeError):
        return None
    if marked is None or len(marked) != len(names):
        return None
    pattern = re.compile(rf"{mark}(\d+)end", re.IGNORECASE)
    found = [frozenset(int(i) for i in pattern.findall(name)) for name in marked]
    return found if any(found) else None


def _named(transformer, names, n_inputs):
    """Look for the names of the inputs as whole words in the names of the outputs."""
    inputs = [str(n) for n in getattr(transformer, "feature_names_in_", ())]
    inputs = inputs or [f"x{i}" for i in range(n_inputs)]
    if names == inputs:
        return _each(range(n_inputs))
    words = [re.compile(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])") for name in inputs]
    sources = []
    for name in names:
        found = [i for i, word in enumerate(words) if word.search(name)]
        if len(found) > 1:
            raise ValueError(
                f"{type(transformer).__name__} names an output {name!r}, which may come from "
                f"{' or '.join(repr(inputs[i]) for i in found)}. Rename these columns, apply it "
                "to one column at a time in a ColumnTransformer, or write the labels by hand."
            )
        sources.append(frozenset(found))
    return sources
