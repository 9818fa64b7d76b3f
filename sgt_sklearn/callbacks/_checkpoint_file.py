"""The file of a checkpoint: written whole or not at all, and read without unpickling objects."""

import hashlib
import io
import os

import torch

from sgt_sklearn._atomic import write_whole
from sgt_sklearn.exceptions import PersistenceError

_MAGIC = "sgt_sklearn checkpoint"
_FORMAT = 1


def write_checkpoint(path, fit, content):
    """Write a checkpoint in place of an older one, once all of it is on disk.

    Parameters
    ----------
    path : pathlib.Path
        Where to.
    fit : str
        Identifier of the fit.
    content : dict
        Tensors and Python primitives.

    Raises
    ------
    OSError
        If the file cannot be written; an older one is then as it was.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getvalue()
    write_whole(path, _header(fit, data), data)


def read_checkpoint(path):
    """Read a checkpoint.

    Parameters
    ----------
    path : pathlib.Path
        A file that :func:`write_checkpoint` wrote.

    Returns
    -------
    dict
        The content, tensors on the CPU.

    Raises
    ------
    PersistenceError
        For a file that is empty, truncated, altered, newer, or of another kind.
    OSError
        If the file cannot be read.
    """
    data = path.read_bytes()
    lines = data.split(b"\n", 3)
    _, version = _read_header(lines)
    if len(lines) < 4 or version is None:
        raise PersistenceError(
            "it is no checkpoint of ResumableCheckpoint, or only its beginning. Delete it to "
            "train anew, or name another path"
        )
    if version > _FORMAT:
        raise PersistenceError(
            f"it has format {version}, and this sgt_sklearn reads formats up to {_FORMAT}: "
            "upgrade sgt-sklearn, or delete the file to train anew"
        )
    if lines[2].decode("ascii", "replace") != hashlib.sha256(lines[1] + lines[3]).hexdigest():
        raise PersistenceError(
            "its content does not match its checksum (sha256), so it was truncated or altered. "
            "Delete it to train anew"
        )
    try:
        content = torch.load(io.BytesIO(lines[3]), map_location="cpu", weights_only=True)
    except Exception as error:
        # without torch's advice to trust the file
        raise PersistenceError(
            f"it holds more than tensors and primitives, or less ({type(error).__name__}). Delete "
            "it to train anew"
        ) from error
    if not isinstance(content, dict):
        raise PersistenceError(
            f"it holds a {type(content).__name__} and no checkpoint. Delete it to train anew"
        )
    return content


def fit_of(path):
    """Identifier of the fit whose checkpoint a file holds; None where there is none."""
    try:
        with open(path, "rb") as file:
            fit, _ = _read_header([file.readline(200).rstrip(b"\n") for _ in range(3)])
    except FileNotFoundError:
        return None
    return fit


def make_folder(path):
    """Make the folder of a checkpoint; see that the checkpoint can be a file in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(
            f"path must name a file, got the folder {os.fspath(path)!r}: add a file name, such as "
            "'fit.ckpt'."
        )


def _header(fit, data):
    second = fit.encode("ascii")
    digest = hashlib.sha256(second + data).hexdigest()
    return b"\n".join([f"{_MAGIC} {_FORMAT}".encode(), second, digest.encode(), b""])


def _read_header(lines):
    """Identifier of the fit and format version, or (None, None)."""
    magic, _, version = lines[0].decode("ascii", "replace").rpartition(" ")
    if magic != _MAGIC or not version.isdecimal() or version == "0" or len(lines) < 2:
        return None, None
    return lines[1].decode("ascii", "replace"), int(version)
