"""The file of a saved estimator: one JSON document and named tensors in the safetensors format."""

import errno
import hashlib
import json

import torch

from sgt_sklearn._atomic import remove_parts, resolved, write_whole
from sgt_sklearn.exceptions import PersistenceError

FORMAT = "sgt_sklearn estimator"
FORMAT_VERSION = 1
METADATA_KEY = "sgt_sklearn"


def write_file(path, document, tensors):
    """Write a document and tensors, in place of an older file only once all of it is on disk.

    Parameters
    ----------
    path : str or os.PathLike
        Where to.
    document : dict
        JSON values.
    tensors : dict of str to torch.Tensor
        On any device.

    Raises
    ------
    ImportError
        Without safetensors.
    PersistenceError
        For a tensor that the format cannot hold.
    OSError
        If the file cannot be written; an older one is then as it was.
    """
    library = _safetensors()
    tensors = {name: _plain(name, tensor) for name, tensor in tensors.items()}
    document = {"format": FORMAT, "format_version": FORMAT_VERSION, **document}
    document["sha256"] = _digest(document, tensors)
    # one entry, because the format does not keep the order of several
    metadata = {METADATA_KEY: json.dumps(document, allow_nan=False)}
    try:
        data = library.save(tensors, metadata)
    except Exception as error:
        raise PersistenceError(
            f"The tensors cannot be written in the safetensors format: {error}. Upgrade "
            "safetensors, or use pickle."
        ) from error
    _write_bytes(path, data)


def read_file(path):
    """Read a document and tensors.

    Parameters
    ----------
    path : str or os.PathLike
        A file that :func:`write_file` wrote.

    Returns
    -------
    document : dict
        JSON values.
    tensors : dict of str to torch.Tensor
        On the CPU.

    Raises
    ------
    OSError
        If the file cannot be read; FileNotFoundError where there is none.
    ImportError
        Without safetensors.
    PersistenceError
        For a file that is empty, truncated, altered, newer, or of another kind.
    """
    with open(path, "rb") as file:
        # all of it before a check: a file that changes meanwhile cannot pass one and be another
        data = file.read()
    library = _safetensors()
    try:
        tensors = library.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except Exception as error:
        raise PersistenceError(
            "it is no complete file in the safetensors format (empty, truncated, damaged, or "
            f"something else): {error}. Save the estimator again."
        ) from error
    document = _document(header)
    if document.pop("sha256", None) != _digest(document, tensors):
        raise PersistenceError(
            "its content does not match its checksum (sha256), so it was altered or damaged since "
            "it was saved. Take another copy, or save the estimator again."
        )
    return document, tensors


def _document(header):
    text = (header.get("__metadata__") or {}).get(METADATA_KEY)
    if text is None:
        raise PersistenceError(
            "it holds tensors, but no estimator of sgt_sklearn: load reads what "
            "estimator.save(path) wrote."
        )
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PersistenceError(f"its description of the estimator is no JSON: {error}.") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise PersistenceError(
            f"its description must be a JSON object with format {FORMAT!r}: load reads what "
            "estimator.save(path) wrote."
        )
    version = document.get("format_version")
    if type(version) is not int or version < 1:
        raise PersistenceError(f"format_version must be an int of at least 1, got {version!r}.")
    if version > FORMAT_VERSION:
        raise PersistenceError(
            f"it has format version {version}, and this sgt_sklearn reads up to {FORMAT_VERSION}: "
            "upgrade sgt-sklearn."
        )
    return document


def _refuse_constant(name):
    raise ValueError(f"{name} is no JSON")


def _digest(document, tensors):
    """Checksum of what a file says, whatever its bytes look like."""
    digest = hashlib.sha256(json.dumps(document, sort_keys=True, allow_nan=False).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        # lengths and brackets keep two neighbouring texts from reading as another pair
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _plain(name, tensor):
    """Copy a tensor to contiguous memory of its own on the CPU."""
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise PersistenceError(
            f"{name} is a {'quantized' if tensor.is_quantized else 'sparse'} tensor; only dense "
            "tensors can be saved. Use pickle or joblib."
        )
    if tensor.dtype in (torch.complex128, torch.complex64):
        raise PersistenceError(f"{name} is complex; only real tensors can be saved. Use pickle.")
    # tied parameters share memory, which the format refuses
    return tensor.detach().resolve_neg().to("cpu", copy=True).contiguous()


def _safetensors():
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError("save and load need safetensors: pip install safetensors.") from error
    return safetensors.torch


def _write_bytes(path, data):
    given, path = path, resolved(path)
    if not given:
        raise FileNotFoundError(errno.ENOENT, "path must name a file, got an empty text", given)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "path must name a file, got a folder", given)
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "The folder of path must exist", given)
    remove_parts(path)
    write_whole(path, data)
