# SPDX-License-Identifier: Apache-2.0
"""Files that commands write: whole or not at all, and known to be writable before anything long starts.

Both context managers check at once that the output can be written, and put it in its place when the block ends without an
exception. Until then everything is in temporary files beside it, which do not survive the block.
"""

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from tepin_host.errors import UserError

__all__ = ["output_directory", "output_file"]


@contextlib.contextmanager
def output_file(path):
    """A file to be.

    Yields a function that takes the contents, text or bytes; the last ones count, and without any nothing is written. A
    `path` of None takes them and throws them away.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    contents = []
    if path is None:
        yield contents.append
        return
    with _cannot_be_written(path):
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise IsADirectoryError(21, "Is a directory")
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(13, "Permission denied")
        # What is there and no regular file, such as /dev/stdout, can only be written to.
        replaced = not target.exists() or target.is_file()
        temporary = _temporary(target.parent) if replaced else target
        if replaced:
            temporary.open("x").close()
    try:
        yield contents.append
        with _cannot_be_written(path):
            if contents:
                last = contents[-1]
                temporary.write_bytes(last.encode() if isinstance(last, str) else last)
                if replaced:
                    temporary.replace(target)
    finally:
        if replaced:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def output_directory(path, *, names, replace=True):
    """A directory to be.

    Yields the path of an empty directory. The files that are in it at the end, and in directories in it, are moved to `path`,
    which is created, with its parents, if need be; other files there stay as they are.

    Parameters
    ----------
    path : path
    names : list of str
        Files that will be written, and with a slash behind them directories that will get files.
    replace : bool
        Whether those may be there already.

    Raises
    ------
    UserError
        If the directory cannot be written, or files are there that may not be replaced.
    """
    target = Path(path)
    with _cannot_be_written(path):
        if os.path.lexists(target) and not target.is_dir():
            raise NotADirectoryError(20, "Not a directory")
        there = [name for name in names if os.path.lexists(target / name)]
        for name in there:
            if name.endswith("/") and not (target / name).is_dir():
                raise UserError(f"{target / name[:-1]}: is a file, a directory is to be written there")
            if not replace and not (name.endswith("/") and not any((target / name).iterdir())):
                raise UserError(f"{target / name}: exists already; --force replaces it")
            if not name.endswith("/") and (target / name).is_dir():
                raise UserError(f"{target / name}: is a directory, a file is to be written there")
        # A directory that is there may be another file system than its parent's.
        ancestor = next(place for place in (target, *target.absolute().parents) if place.exists())
        temporary = _temporary(ancestor)
        temporary.mkdir()
    try:
        yield temporary
        with _cannot_be_written(path):
            if target.exists():
                for file in sorted(path for path in temporary.rglob("*") if path.is_file()):
                    place = target / file.relative_to(temporary)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    file.replace(place)
            else:
                _move_new(temporary, target.absolute())
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(directory):
    return directory / f".tepin-{secrets.token_hex(8)}.tmp"


def _move_new(directory, target):
    """Make `directory` `target`, creating parents; those do not stay if that fails."""
    created = []
    try:
        for parent in reversed(target.parents):
            if not parent.exists():
                parent.mkdir()
                created.append(parent)
        directory.rename(target)
    except OSError:
        for parent in reversed(created):
            parent.rmdir()
        raise


@contextlib.contextmanager
def _cannot_be_written(path):
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
