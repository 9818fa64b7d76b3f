"""Values as JSON and tensors, and back, with their types; nothing is unpickled or imported.

JSON values stand for themselves, and an object with a single key that starts with ``$`` for
anything else, for example ``{"$tuple": [1, 2]}``; docs/persistence.md lists them.
"""

import math
import re

import numpy as np
import torch

from sgt_sklearn.estimators._persistence._names import (
    build_instance,
    constructor_arguments,
    is_named,
    known_names,
    name_of,
)
from sgt_sklearn.exceptions import PersistenceError

# numbers of at most 8 bytes, dates and durations; texts; anything
_NUMERIC_DTYPE = re.compile(r"[<>|](b1|[iu][1248]|f[248]|[mM]8(\[\d*[A-Za-z]+\])?)")
_TEXT_DTYPE = re.compile(r"[<>]U\d{1,9}")
_TORCH_DTYPES = {
    str(value).removeprefix("torch."): value
    for value in vars(torch).values()
    if isinstance(value, torch.dtype)
}


class NotDataError(Exception):
    """A value that only pickle could keep: where it is, and what."""

    def __init__(self, path, what):
        super().__init__(f"{path} is {what}")
        self.what = what


class Encoder:
    """Turns values into JSON and collects their tensors by name in `tensors`."""

    def __init__(self):
        self.tensors = {}

    def encode(self, value, path):
        """JSON for a value.

        Parameters
        ----------
        value : object
            None, bool, int, float, str, list, tuple, dict, numpy arrays and scalars, tensors,
            dtypes, devices, ``RandomState``, classes, functions, and instances of listed classes.
        path : str
            Where the value belongs; the names of its tensors start with it.

        Returns
        -------
        object
            A JSON value.

        Raises
        ------
        NotDataError
            For anything else. Tensors collected for the value are forgotten.
        """
        before = dict(self.tensors)
        try:
            return self._encode(value, path)
        except RecursionError as error:
            self.tensors = before
            raise NotDataError(path, "nested too deeply, or holds itself") from error
        except NotDataError:
            self.tensors = before
            raise

    def _encode(self, value, path):
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        if kind is list:
            return self._encode_items(value, path)
        if kind is tuple:
            return {"$tuple": self._encode_items(value, path)}
        if kind is dict:
            return self._encode_dict(value, path)
        if kind is torch.Tensor and _is_plain(value):
            tag = "$tensor" if value.device.type == "cpu" else "$device_tensor"
            return {tag: self.add_tensor(value, path)}
        if kind is np.ndarray:
            return {"$array": self._encode_array(value, path)}
        if isinstance(value, np.generic):
            return {"$scalar": self._encode_scalar(value, path)}
        if kind is torch.dtype:
            return {"$dtype": str(value).removeprefix("torch.")}
        if kind is torch.device:
            return {"$device": str(value)}
        if kind is np.random.RandomState:
            return self._encode_random_state(value, path)
        if is_named(value):
            name = name_of(value)
            if name is None:
                raise NotDataError(path, f"the function {value.__qualname__}")
            return {"$name": name}
        name, arguments = constructor_arguments(value)
        if name is not None:
            return {"$instance": {"name": name, "arguments": self._encode_dict(arguments, path)}}
        raise NotDataError(path, f"an instance of {kind.__module__}.{kind.__qualname__}")

    def add_tensor(self, tensor, path):
        """Keep a tensor; returns its name, which is the path unless that is taken."""
        name, number = path, 2
        while name in self.tensors:
            name, number = f"{path}#{number}", number + 1
        self.tensors[name] = tensor
        return name

    def _encode_items(self, items, path):
        return [self._encode(item, f"{path}.{i}") for i, item in enumerate(items)]

    def _encode_dict(self, items, path):
        if all(type(key) is str and not key.startswith("$") for key in items):
            return {key: self._encode(item, f"{path}.{key}") for key, item in items.items()}
        pairs = [
            [self._encode(key, f"{path}.key"), self._encode(item, f"{path}.{key}")]
            for key, item in items.items()
        ]
        return {"$dict": pairs}

    def _encode_array(self, array, path):
        dtype = array.dtype.str
        if _NUMERIC_DTYPE.fullmatch(dtype):
            stored = np.array(_storable(array), order="C")  # a copy, as torch takes no read-only
            return {"dtype": dtype, "tensor": self.add_tensor(torch.from_numpy(stored), path)}
        values = array.ravel().tolist()
        if array.dtype != object and not _is_text(array.dtype, values):
            raise NotDataError(path, f"an array of dtype {array.dtype}")
        values = self._encode_items(values, path)
        return {"dtype": dtype, "shape": list(array.shape), "values": values}

    def _encode_scalar(self, scalar, path):
        array = np.asarray(scalar)
        dtype = array.dtype.str
        if not (_NUMERIC_DTYPE.fullmatch(dtype) or _is_text(array.dtype, [array.item()])):
            raise NotDataError(path, f"a numpy scalar of dtype {dtype}")
        if array.dtype.kind in "mM":
            array = _storable(array)
        return {"dtype": dtype, "value": self._encode(array.item(), path)}

    def _encode_random_state(self, value, path):
        state = value.get_state(legacy=False)
        if state["bit_generator"] != "MT19937":
            raise NotDataError(path, f"a RandomState of {state['bit_generator']}")
        return {"$random_state": self._encode(value.get_state(), path)["$tuple"]}


class Decoder:
    """Turns JSON and tensors back into values.

    Parameters
    ----------
    tensors : dict of str to torch.Tensor
        Tensors by the names that the JSON refers to.
    trusted : Trusted
        Classes and functions beside the known ones.

    Attributes
    ----------
    missing : list of str
        Names that nobody vouches for, and values that were not saved, met since it was emptied.
    used : set of str
        Names of the tensors that were asked for, which each belong to one place.
    device : torch.device or str
        Where tensors go that were not on the CPU.
    """

    def __init__(self, tensors, trusted):
        self._tensors, self._trusted = tensors, trusted
        self.missing = []
        self.used = set()
        self.device = "cpu"

    def decode(self, value, path):
        """Value of a JSON value.

        Parameters
        ----------
        value : object
            A JSON value.
        path : str
            Where it belongs, for messages.

        Returns
        -------
        object
            The value; of no meaning if something was `missing`.

        Raises
        ------
        PersistenceError
            For JSON that no encoder wrote.
        """
        if isinstance(value, list):
            return [self.decode(item, f"{path}.{i}") for i, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        tags = [key for key in value if key.startswith("$")]
        if not tags:
            return {key: self.decode(item, f"{path}.{key}") for key, item in value.items()}
        decode = self._DECODERS.get(tags[0])
        require(len(value) == 1 and decode is not None, path, "a known kind of value", tags)
        return decode(self, value[tags[0]], path)

    def tensor(self, name, path):
        """Tensor of a name."""
        require(isinstance(name, str), path, "the name of a tensor", name)
        if name not in self._tensors:
            raise PersistenceError(f"tensor {name!r} of {path} is missing.")
        # or a short file could ask for any amount of memory
        require(name not in self.used, path, "a tensor of its own", name)
        self.used.add(name)
        return self._tensors[name]

    def _decode_tuple(self, value, path):
        require(isinstance(value, list), path, "a list", value)
        return tuple(self.decode(value, path))

    def _decode_dict(self, value, path):
        require(isinstance(value, list), path, "a list of pairs", value)
        items = {}
        for pair in value:
            require(isinstance(pair, list) and len(pair) == 2, path, "a list of pairs", pair)
            key = self.decode(pair[0], path)
            try:
                items[key] = self.decode(pair[1], f"{path}.{key}")
            except TypeError as error:  # a key that cannot be hashed
                raise PersistenceError(f"{path} has the key {key!r}: {error}.") from error
        return items

    def _decode_float(self, value, path):
        require(value in ("nan", "inf", "-inf"), path, "nan, inf or -inf", value)
        return float(value)

    def _decode_device_tensor(self, value, path):
        return self.tensor(value, path).to(self.device)

    def _decode_array(self, value, path):
        require(isinstance(value, dict), path, "an array", value)
        dtype = self._dtype(value, path)
        if set(value) == {"dtype", "tensor"}:
            require(dtype.kind not in "OU", path, "an array of numbers", value)
            tensor = self.tensor(value["tensor"], path)
            expected = torch.from_numpy(_storable(np.empty(0, dtype))).dtype
            require(tensor.dtype == expected, path, f"a tensor of {expected}", tensor.dtype)
            return _restored(tensor.numpy(), dtype)
        require(set(value) == {"dtype", "shape", "values"}, path, "an array", list(value))
        shape, values = value["shape"], value["values"]
        fits = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
        fits = fits and isinstance(values, list) and math.prod(shape) == len(values)
        require(fits and len(shape) <= 32, path, "a shape and as many values", shape)
        return self._filled(dtype, tuple(shape), values, path)

    def _filled(self, dtype, shape, values, path):
        require(dtype.kind in "OU", path, "an array of texts or objects", dtype)
        fits = dtype.kind == "O" or _is_text(dtype, values)
        require(fits, path, "texts of about the length that its dtype tells", dtype)
        array = np.empty(len(values), dtype)
        for i, item in enumerate(values):
            item = self.decode(item, f"{path}.{i}")
            fits = dtype.kind == "O" or len(item) <= dtype.itemsize // 4
            require(fits, path, f"an array of {dtype}", item)
            array[i] = item
        return array.reshape(shape)

    def _decode_scalar(self, value, path):
        fits = isinstance(value, dict) and set(value) == {"dtype", "value"}
        require(fits, path, "a numpy scalar", value)
        dtype = self._dtype(value, path)
        if dtype.kind in "OU":
            return self._filled(dtype, (), [value["value"]], path)[()]
        number = self.decode(value["value"], path)
        stored = np.dtype(np.int64) if dtype.kind in "mM" else dtype
        fits = type(number) is {"b": bool, "f": float}.get(dtype.kind, int)
        if fits and stored.kind in "iu":
            fits = np.iinfo(stored).min <= number <= np.iinfo(stored).max
        require(fits, path, f"a number of {dtype}", number)
        with np.errstate(over="ignore"):
            return _restored(np.array(number, stored), dtype)[()]

    def _dtype(self, value, path):
        name = value.get("dtype")
        known = isinstance(name, str) and (
            name == "|O" or _NUMERIC_DTYPE.fullmatch(name) or _TEXT_DTYPE.fullmatch(name)
        )
        require(known, path, "of a known dtype", name)
        try:
            return np.dtype(name)
        except (TypeError, ValueError) as error:
            raise PersistenceError(f"{path} must be of a known dtype, got {name!r}.") from error

    def _decode_torch_dtype(self, value, path):
        require(isinstance(value, str) and value in _TORCH_DTYPES, path, "a torch dtype", value)
        return _TORCH_DTYPES[value]

    def _decode_device(self, value, path):
        try:
            require(isinstance(value, str), path, "a torch device", value)
            return torch.device(value)
        except RuntimeError as error:
            raise PersistenceError(f"{path} must be a torch device, got {value!r}.") from error

    def _decode_random_state(self, value, path):
        state = checked_mt19937(self._decode_tuple(value, path), path)
        random_state = np.random.RandomState(0)
        random_state.set_state(state)
        return random_state

    def _decode_name(self, value, path):
        require(isinstance(value, str), path, "a name", value)
        member = known_names().get(value)
        if member is None:
            member = self._trusted.get(value)
        if member is None:
            self.missing.append(value)
        return member

    def _decode_object(self, value, path):
        require(isinstance(value, str), path, "a description", value)
        self.missing.append(value)

    def _decode_instance(self, value, path):
        fits = isinstance(value, dict) and set(value) == {"name", "arguments"}
        fits = fits and isinstance(value["name"], str)
        require(fits, path, "a name and arguments", value)
        n_missing = len(self.missing)
        arguments = self.decode(value["arguments"], path)
        require(isinstance(arguments, dict), path, "arguments by name", arguments)
        if len(self.missing) > n_missing:
            return None
        return build_instance(value["name"], arguments)

    _DECODERS = {
        "$tuple": _decode_tuple,
        "$dict": _decode_dict,
        "$float": _decode_float,
        "$tensor": tensor,
        "$device_tensor": _decode_device_tensor,
        "$array": _decode_array,
        "$scalar": _decode_scalar,
        "$dtype": _decode_torch_dtype,
        "$device": _decode_device,
        "$random_state": _decode_random_state,
        "$name": _decode_name,
        "$object": _decode_object,
        "$instance": _decode_instance,
    }


def require(holds, path, must_be, got):
    """Raise PersistenceError that names what a file says wrongly."""
    if not holds:
        text = repr(got)
        text = text if len(text) < 200 else text[:200] + "..."
        raise PersistenceError(f"{path} must be {must_be}, got {text}.")


def checked_mt19937(state, path):
    """State of numpy's generator, which numpy itself takes unseen and reads out of bounds by."""
    fits = (
        isinstance(state, tuple)
        and len(state) == 5
        and state[0] == "MT19937"
        and isinstance(state[1], np.ndarray)
        and (state[1].dtype, state[1].shape) == (np.uint32, (624,))
        and type(state[2]) is int
        and 0 <= state[2] <= 624
        and state[3] in (0, 1)
        and type(state[4]) is float
    )
    require(fits, path, "the state of a MT19937 generator", state)
    return state


def _is_text(dtype, values):
    """Whether values are texts; a dtype much wider than they are would only take memory."""
    if dtype.kind != "U" or not all(isinstance(value, str) for value in values):
        return False
    return dtype.itemsize * len(values) <= 2**16 + 256 * sum(len(value) + 1 for value in values)


def _storable(array):
    """The numbers as a type and byte order that every version of torch and safetensors has."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    kind, size = array.dtype.kind, array.dtype.itemsize
    return array.view(f"i{size}") if kind in "mM" or (kind == "u" and size > 1) else array


def _restored(array, dtype):
    native = dtype.newbyteorder("=")
    return (array if array.dtype == native else array.view(native)).astype(dtype)


def _is_plain(tensor):
    whole = tensor.layout is torch.strided and not tensor.is_quantized and not tensor.is_complex()
    return whole and not tensor.requires_grad and tensor.device.type != "meta"
