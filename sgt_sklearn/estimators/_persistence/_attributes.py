"""Whether saved attributes are what an estimator computes with."""

from numbers import Integral

import numpy as np
import torch

from sgt_sklearn._statistics import FeatureStatistics
from sgt_sklearn.estimators._parameters import AUTO
from sgt_sklearn.estimators._persistence._codec import checked_mt19937, require


def check_attributes(net, attributes, moved):
    """Refuse attributes of a wrong type or shape, or that lack what others need.

    Parameters
    ----------
    net : SaliencyGuidedEstimator
        The estimator, initialised.
    attributes : dict
        Values by name; those that only a subclass knows pass.
    moved : bool
        Whether the estimator was saved on another kind of device.

    Raises
    ------
    PersistenceError
        Naming the attribute.
    """
    shape = attributes.get("_input_shape_")
    for name, (is_valid, must_be) in _CHECKS.items():
        value = attributes.get(name)
        if name in attributes:
            require(is_valid(value), f"attributes.{name}", must_be, value)
    if shape is not None:
        _check_shapes(attributes, shape)
    for name in _needed(net, attributes):
        require(attributes.get(name) is not None, f"attributes.{name}", "there", None)
    classes, sizes = attributes.get("classes_inferred_"), attributes.get("_sizes_")
    if isinstance(net.module, str) and classes is not None:
        outputs = sizes.get("n_outputs")
        fits = outputs == len(classes) or (outputs, len(classes)) == (1, 2)
        require(fits, "attributes.classes_inferred_", f"labels of {outputs} outputs", classes)
    states = attributes.get("_generator_states_")
    if states is not None:
        _check_generator_states(states, None if moved else net.device)


def _is_count(value):
    return type(value) is int and value > 0


def _is_bool(value):
    return type(value) is bool


def _is_vector(value, kinds="OUbiufM"):
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in kinds


def _is_real(value):
    return isinstance(value, np.ndarray) and value.dtype == np.float64


def _is_sizes(value):
    return value is None or (
        isinstance(value, dict) and all(isinstance(n, Integral) and n > 0 for n in value.values())
    )


def _is_kind(value):
    return value is None or (isinstance(value, str) and value in AUTO)


def _is_shape(value):
    return value is None or (isinstance(value, tuple) and all(map(_is_count, value)))


_CHECKS = {
    "n_features_in_": (_is_count, "an int of at least 1"),
    "feature_names_in_": (lambda v: _is_vector(v, "O"), "an array of names"),
    "feature_groups_": (
        lambda v: isinstance(v, np.ndarray) and v.dtype == np.int64,
        "an array of int labels",
    ),
    "classes_inferred_": (lambda v: _is_vector(v) and len(v) > 0, "an array of labels"),
    "_target_kind_": (lambda v: v is None or isinstance(v, str), "the kind of the targets"),
    "target_scale_": (lambda v: _is_real(v) and v.ndim == 1, "an array of numbers"),
    "_target_mean_": (
        lambda v: v is None or (_is_real(v) and v.ndim == 1),
        "an array of numbers",
    ),
    "_statistics_": (
        lambda v: v is None or isinstance(v, FeatureStatistics),
        "statistics of the features",
    ),
    "_importances_": (lambda v: v is None or _is_real(v), "an array of numbers"),
    "_input_shape_": (_is_shape, "the shape of a sample"),
    "_input_kind_": (_is_kind, "a kind of input"),
    "_sizes_": (_is_sizes, "sizes by name"),
    "_seed_": (lambda v: v is None or (type(v) is int and v >= 0), "a seed"),
    "_one_dimensional_": (_is_bool, "a bool"),
    "_decodes_": (_is_bool, "a bool"),
    "_data_seen_": (_is_bool, "a bool"),
    "_output_checked_": (_is_bool, "a bool"),
}


def _check_shapes(attributes, shape):
    for name in ("feature_groups_", "_importances_"):
        value = attributes.get(name)
        fits = value is None or value.shape == shape
        require(fits, f"attributes.{name}", f"of shape {shape}", getattr(value, "shape", None))
    statistics = attributes.get("_statistics_")
    if statistics is not None:
        for name, value in vars(statistics).items():
            fits = _is_real(value) and value.shape[: len(shape)] == value.shape
            sizes = zip(value.shape[::-1], shape[::-1], strict=False) if fits else ()
            fits = fits and all(n in (1, m) for n, m in sizes)
            path = f"attributes._statistics_.{name}"
            require(fits, path, f"numbers for samples of shape {shape}", value)


def _needed(net, attributes):
    needed = []
    if isinstance(net.module, str):
        needed += ["_sizes_", "_input_shape_", "_input_kind_", "n_features_in_"]
        if attributes.get("_input_kind_") != "tokens":
            needed.append("_statistics_")
        if net._numeric_targets:
            needed += ["_target_mean_", "target_scale_"]
    if attributes.get("_decodes_"):
        needed.append("classes_inferred_")
    return needed


def _check_generator_states(states, device):
    path = "attributes._generator_states_"
    fits = isinstance(states, dict) and {"torch", "numpy"} <= set(states)
    require(fits, path, "states of generators", states)
    checked_mt19937(states["numpy"], path)
    kinds = {"torch": "cpu", "mask": device}
    for name, kind in kinds.items():
        if name in states and kind is not None:
            _check_torch_state(states[name], kind, f"{path}.{name}")
    others = states.get("cuda", [])
    require(isinstance(others, list), f"{path}.cuda", "a list of states", others)
    for state in others:
        _check_torch_state(state, "cuda" if torch.cuda.is_available() else None, f"{path}.cuda")


def _check_torch_state(state, device, path):
    fits = isinstance(state, torch.Tensor) and state.dtype == torch.uint8 and state.ndim == 1
    require(fits, path, "the state of a generator", state)
    if device is None:
        return
    try:
        torch.Generator(device).set_state(state)
    except (RuntimeError, TypeError) as error:
        require(False, path, f"the state of a generator on {device}", str(error))
