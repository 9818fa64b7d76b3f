"""Files that are written whole or not at all, and what is left of those that were not."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from sgt_sklearn._atomic import remove_parts, resolved, write_whole

WRITER = """
import os, sys, time
from sgt_sklearn import _atomic
def stop(descriptor):
    print("writing", flush=True)
    time.sleep(60)
os.fsync = stop
_atomic.write_whole(_atomic.resolved(sys.argv[1]), b"one", b"two")
"""


def start_writer(path):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE)
    assert writer.stdout.readline().strip() == b"writing"
    return writer


def test_a_file_takes_the_place_of_an_older_one(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"one", b"two")
    assert path.read_bytes() == b"onetwo"
    path.chmod(0o640)
    write_whole(path, b"three")
    assert path.read_bytes() == b"three"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="needs kill -9 and locks")
def test_only_what_a_killed_process_left_is_removed(tmp_path):
    path = tmp_path / "fi[l]e"
    writer = start_writer(path)
    try:
        (part,) = tmp_path.iterdir()
        assert part.name.startswith("fi[l]e.")
        assert part.name.endswith(".part")
        remove_parts(path)
        assert part.exists()  # it is being written
        write_whole(path, b"another")  # and another process may write meanwhile
        assert part.exists()
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    assert part.exists()
    remove_parts(tmp_path / "fil")
    remove_parts(tmp_path / "file")
    assert part.exists()
    remove_parts(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"another"


def test_names_as_long_as_the_file_system_takes(tmp_path):
    path = tmp_path / ("n" * 255)
    write_whole(path, b"x")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failure_names_the_file_that_was_asked_for(function, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def failing(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device", "a name that nobody has heard of")

    monkeypatch.setattr(os, function, failing)
    with pytest.raises(OSError, match="No space left") as raised:
        write_whole(path, b"after")
    assert raised.value.filename == os.fspath(path)
    assert "heard" not in str(raised.value)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"before"
    with pytest.raises(FileNotFoundError) as raised:
        write_whole(tmp_path / "none" / "file", b"after")
    assert raised.value.filename == os.fspath(tmp_path / "none" / "file")


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real" / "file")
    for content in (b"first", b"second"):  # where there is no file yet, and where there is one
        write_whole(resolved(link), content)
        assert link.is_symlink()
        assert (tmp_path / "real" / "file").read_bytes() == content
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["file"]
