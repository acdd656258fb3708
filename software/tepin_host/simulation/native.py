# SPDX-License-Identifier: Apache-2.0
"""Compiled simulations from Python: functions of a shared library with their types, and what they leave behind."""

import ctypes

import numpy as np

__all__ = ["load", "taken_words"]


def load(path, prefix, functions, *, optional=()):
    """A shared library whose functions know their types.

    Parameters
    ----------
    path : path
    prefix : str
        What all names in the library begin with.
    functions, optional : sequences of (name without prefix, type of the result, types of the arguments)
        Those that it has, and those that it may have.
    """
    library = ctypes.CDLL(str(path))
    present = [row for row in optional if hasattr(library, prefix + row[0])]
    for name, result, arguments in (*functions, *present):
        function = getattr(library, prefix + name)
        function.restype, function.argtypes = result, arguments
    return library


def taken_words(observed, forget, handle):
    """The words that a simulation has collected, a uint32 array; it forgets them.

    Parameters
    ----------
    observed, forget : functions of the library
        Says where they are and returns how many; drops them.
    handle
        The simulation.
    """
    words = ctypes.POINTER(ctypes.c_uint32)()
    count = observed(handle, ctypes.byref(words))
    result = np.ctypeslib.as_array(words, (count,)).copy() if count else np.zeros(0, np.uint32)
    forget(handle)
    return result
