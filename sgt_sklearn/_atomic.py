"""Files that are written whole or not at all."""

import errno
import hashlib
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, which deletes no open files anyway
    fcntl = None

_SUFFIX = ".part"
_LONGEST = 200  # bytes of a name; file systems take 255


def resolved(path):
    """The file that a path means now, should links or the working directory change."""
    return Path(os.path.realpath(os.fsdecode(path)))


def write_whole(path, *parts):
    """Write a file in place of an older one, once all of it is on disk.

    Parameters
    ----------
    path : pathlib.Path
        Where to, as :func:`resolved` gives it.
    *parts : bytes
        The content.

    Raises
    ------
    OSError
        If the file cannot be written; an older one is then as it was.
    """
    temporary = None
    try:
        with _own_file(path) as (file, temporary):
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            if path.exists():
                shutil.copymode(path, temporary)
            if os.name == "posix":  # while it is locked; Windows moves no open files
                os.replace(temporary, path)
        if os.name != "posix":
            os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
        if isinstance(error, OSError) and error.filename is not None:
            # the file that was asked for, and none that nobody has heard of
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise
    _sync_folder(path.parent)


def remove_parts(path):
    """Delete what killed processes left of a file that they were writing.

    Parameters
    ----------
    path : pathlib.Path
        The file, as :func:`resolved` gives it.
    """
    for part in path.parent.glob(f"{_escaped(_stem(path))}.{'[0-9a-f]' * 8}{_SUFFIX}"):
        with suppress(OSError), open(part, "r+b") as file:
            if _lock(file, wait=False):
                part.unlink()
                continue
        if fcntl is None:
            with suppress(OSError):
                part.unlink()


@contextmanager
def _own_file(path):
    """Open a new file beside another one; no other process takes it for a killed one's."""
    # in the same folder, as only a move within one file system is atomic
    while True:
        temporary = path.with_name(f"{_stem(path)}.{secrets.token_hex(4)}{_SUFFIX}")
        # "x": with the permissions that a new file gets, and never a file that is there
        with open(temporary, "xb") as file:
            _lock(file, wait=True)
            if not temporary.exists():
                continue  # deleted before it was locked
            yield file, temporary
            return


def _lock(file, *, wait):
    """Lock an open file until it is closed; whether that was possible."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        # some file systems have no locks; there nothing is known to be left over
        if error.errno == errno.EINTR:
            raise
        return False
    return True


def _stem(path):
    name = os.fsencode(path.name)
    return path.name if len(name) <= _LONGEST else hashlib.sha256(name).hexdigest()


def _escaped(name):
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _sync_folder(folder):
    if os.name != "posix":
        return
    # the new name is on disk once its folder is
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
