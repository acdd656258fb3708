# SPDX-License-Identifier: Apache-2.0
"""The little template language in which the plots of the demo corpus are written.

A *plot* is built from three kinds of node:

* a string is a template;
* a list is a sequence: all of its nodes, in order;
* a tuple is a choice: one of its nodes, at random (``""`` leaves the place empty).

In a template, ``[wet|cold|]`` picks one alternative (they nest), ``{toy}`` is a *slot*, filled once a story and
remembered, and ``<glad>`` is a *macro*, a phrase chosen afresh at each use. ``{a toy}`` puts the right article
before a slot, a capital first letter (``{Toy}``, ``{A toy}``) capitalises, and a digit (``{toy2}``) asks for
another word of the same kind.
"""

import re
from functools import cache

__all__ = ["Story", "expand"]

TOKEN = re.compile(r"[\[\]|]|\{[^}]*\}|<[^>]*>|[^\[\]|{}<>]+")
VOWELS = "aeiou"


class Story:
    """What one story remembers: its random source and the slots filled so far.

    Parameters
    ----------
    rng : random.Random
        Source of every choice.
    words : dict
        Kind of slot to the tuple of words that may fill it.
    macros : dict
        Name of a macro to its node.
    slots : dict
        Slots filled in advance (names and pronouns).
    """

    def __init__(self, rng, words: dict, macros: dict, slots: dict):
        self.rng = rng
        self.words = words
        self.macros = macros
        self.slots = dict(slots)

    def fill(self, slot: str) -> str:
        """Return the word in ``slot``; choose it at the first use, unlike its neighbours of the same kind."""
        if slot not in self.slots:
            kind = slot.rstrip("0123456789")
            if kind not in self.words:
                raise KeyError(f"no slot or kind of word is called {slot!r}")
            taken = set(self.slots.values())
            self.slots[slot] = self.rng.choice([word for word in self.words[kind] if word not in taken])
        return self.slots[slot]


def expand(node, story: Story) -> str:
    """Return the text of ``node``, its sentences joined by single spaces."""
    if isinstance(node, tuple):
        return expand(story.rng.choice(node), story)
    if isinstance(node, list):
        return " ".join(filter(None, (expand(part, story) for part in node)))
    return "".join(write(parse(node), story))


def write(alternatives, story: Story):
    """Yield the pieces of one alternative of a parsed template."""
    chosen = alternatives[0] if len(alternatives) == 1 else story.rng.choice(alternatives)
    for kind, value in chosen:
        if kind == "text":
            yield value
        elif kind == "choice":
            yield from write(value, story)
        elif kind == "macro":
            yield expand(story.macros[value], story)
        else:
            yield slot_text(value, story)


def slot_text(name: str, story: Story) -> str:
    article = name.startswith(("a ", "A "))
    slot = name[2:] if article else name
    capital = name[0].isupper()
    word = story.fill(slot[0].lower() + slot[1:])
    if article:
        word = ("an " if word[0] in VOWELS else "a ") + word
    return word[0].upper() + word[1:] if capital else word


@cache
def parse(template: str):
    """Parse a template to a list of alternatives, each a list of (kind, value)."""
    tokens = TOKEN.findall(template)
    if "".join(tokens) != template:
        raise ValueError(f"unbalanced braces in {template!r}")
    alternatives, rest = parse_alternatives(tokens, 0, template, nested=False)
    if rest != len(tokens):
        raise ValueError(f"unbalanced brackets in {template!r}")
    return alternatives


def parse_alternatives(tokens, position, template, nested):
    alternatives = [[]]
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if token == "[":
            inner, position = parse_alternatives(tokens, position, template, nested=True)
            alternatives[-1].append(("choice", inner))
        elif token == "]" and nested:
            return alternatives, position
        elif token == "|" and nested:
            alternatives.append([])
        elif token in "]|":
            raise ValueError(f"stray {token!r} in {template!r}")
        elif token[0] == "{":
            alternatives[-1].append(("slot", token[1:-1]))
        elif token[0] == "<":
            alternatives[-1].append(("macro", token[1:-1]))
        else:
            alternatives[-1].append(("text", token))
    if nested:
        raise ValueError(f"unbalanced brackets in {template!r}")
    return alternatives, position
