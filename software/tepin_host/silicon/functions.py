# SPDX-License-Identifier: Apache-2.0
"""Boolean functions as Liberty files write them, to functions of numpy arrays."""

import re

import numpy as np

__all__ = ["function_of"]

_WORD = re.compile(r"[A-Za-z_]\w*|[01]|[!'()*&+|^]")

_BINARY = (({"+", "|"}, np.bitwise_or), ({"*", "&"}, np.bitwise_and), ({"^"}, np.bitwise_xor))
"""Operators, the weakest first. Two operands side by side are joined as by the second."""


def function_of(text):
    """The function that `text` stands for, of unsigned arrays, and the names of its arguments, sorted.

    Raises `ValueError` if it is none.
    """
    words = _WORD.findall(text)
    if "".join(words) != re.sub(r"\s", "", text):
        raise ValueError(f"cannot read the function {text!r}")
    pins = sorted({word for word in words if word[0].isalpha() or word[0] == "_"})
    position = 0

    def peek():
        return words[position] if position < len(words) else ""

    def take():
        nonlocal position
        position += 1
        return words[position - 1]

    def binary(level):
        if level == len(_BINARY):
            return unary()
        symbols, apply = _BINARY[level]
        result = binary(level + 1)
        while peek() in symbols or (apply is np.bitwise_and and peek() and peek() not in "+|^)'"):
            if peek() in symbols:
                take()
            result = _joined(apply, result, binary(level + 1))
        return result

    def unary():
        if position == len(words):
            raise ValueError(f"cannot read the function {text!r}")
        word = take()
        if word == "!":
            result = _inverted(unary())
        elif word == "(":
            result = binary(0)
            if peek() != ")":
                raise ValueError(f"cannot read the function {text!r}")
            take()
        elif word in pins:
            result = _argument(pins.index(word))
        elif word in "01":
            result = _constant(word == "1")
        else:
            raise ValueError(f"cannot read the function {text!r}")
        while peek() == "'":
            take()
            result = _inverted(result)
        return result

    tree = binary(0)
    if position != len(words):
        raise ValueError(f"cannot read the function {text!r}")
    return lambda *arguments: tree(arguments), pins


def _argument(index):
    return lambda arguments: arguments[index]


def _inverted(inner):
    return lambda arguments: ~inner(arguments)


def _joined(apply, one, other):
    return lambda arguments: apply(one(arguments), other(arguments))


def _constant(value):
    return lambda arguments: np.uint64(0xFFFF_FFFF_FFFF_FFFF if value else 0)
