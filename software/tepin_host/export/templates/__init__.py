# SPDX-License-Identifier: Apache-2.0
"""Files that go out as they are, or with a few words filled in."""

from importlib.resources import files

__all__ = ["template"]


def template(name, **words):
    """Text of a file of this folder; `@NAME@` in it is replaced by the word `NAME`."""
    text = (files(__name__) / name).read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    return text
