# SPDX-License-Identifier: Apache-2.0
"""The demo corpus: an endless, seeded stream of small stories, made from the plots in ``plots/``.

A plot file has three kinds of section. ``* kind = word, word`` lists the words for a slot. ``@ name`` begins a
macro: each line that follows is one of its phrases. ``= name cast [heldout]`` begins a plot: each line is the
next passage of the story (with ``~`` in front, one that most stories leave out), and a line that begins with
``|`` is another way to tell the passage above it (an empty one leaves it out). *cast* is ``child``, ``animal``
or ``any``. Held-out plots are never trained on: they show how the model does on a story whose course it has
not seen.
"""

import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from scripts.demo_model.grammar import Story, expand

__all__ = ["Plot", "heldout_plots", "stories", "trained_plots", "tell"]

PLOTS = Path(__file__).parent / "plots"
PRONOUNS = {"girl": ("she", "her", "her", "herself"), "boy": ("he", "him", "his", "himself")}
ADULTS = {"child": {"girl": ("Mom", "Grandma"), "boy": ("Dad", "Grandpa")}}
ADULTS["animal"] = {"girl": ("Mama", "Granny"), "boy": ("Papa", "Grandpa")}
CHILD_NAMES = {
    "girl": "Lily Anna Mia Rose Ella Nora Ruby Zoe Ivy Clara Tess Maya Lucy Sara Emma Amy Jane Kate Molly Daisy",
    "boy": "Tom Ben Max Sam Leo Jack Tim Finn Noah Theo Oscar Hugo Eli Dan Luke Jake Adam Paul Will Peter",
}
ANIMAL_NAMES = (
    "Pip Fluffy Nibbles Hazel Bramble Patch Dot Button Clover Rusty Teddy Biscuit Pepper Nutmeg Toffee Willow "
    "Bobo Milo Coco Luna Misty Tilly Ginger Benny Sunny Spot Poppy Fern Acorn Pebble"
)
SPECIES = (
    "rabbit fox bear mouse squirrel hedgehog cat dog otter badger beaver mole raccoon kitten puppy deer "
    "turtle pig lamb dragon panda monkey lion elephant"
)
HOMES = {
    "child": (
        "small village|little house by the sea|house with a red door|house near the forest|small town|"
        "little house on a hill|house with a big garden|tall house in the city|farmhouse|house by the river"
    ),
    "animal": (
        "big forest|hole under a tree|little house in the woods|quiet valley|green forest|cozy home by the river|"
        "small house under a hill|hollow tree|sunny meadow|warm nest of leaves and grass"
    ),
}
ONSETS = "b d f g k l m n p r s t v w z bl br st tr gr fl"
KEEP_OPTIONAL = 0.4  # share of optional passages that a story keeps
INVENTED_NAMES = 0.3  # share of names that are made of syllables, so that the model learns to copy names


@dataclass(frozen=True)
class Plot:
    """One plot: its name, who may play in it, and its passages, each a tuple of alternatives.

    ``optional`` holds the places of the passages that a story may leave out.
    """

    name: str
    cast: str
    heldout: bool
    passages: list
    optional: set


@lru_cache(maxsize=1)
def library():
    """Read the plot files: the words, the macros and the plots, in the order of the files."""
    words, macros, plots, section = {}, {}, [], None
    for path in sorted(PLOTS.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            mark, _, rest = line.partition(" ")
            if mark == "*":
                kind, _, values = rest.partition(" = ")
                words[kind] = tuple(value.strip() for value in values.split(","))
            elif mark == "@":
                section = macros[rest] = []
            elif mark == "=":
                name, cast, *flags = rest.split()
                section = []
                plots.append(Plot(name, cast, "heldout" in flags, section, set()))
            elif mark == "|":
                section[-1] += (rest,)
            elif mark == "~":
                plots[-1].optional.add(len(section))
                section.append((rest,))
            else:
                section.append((line,))
    macros = {name: tuple(phrase for (phrase,) in lines) for name, lines in macros.items()}
    return words, macros, tuple(plots)


def trained_plots() -> tuple[Plot, ...]:
    return tuple(plot for plot in library()[2] if not plot.heldout)


def heldout_plots() -> tuple[Plot, ...]:
    return tuple(plot for plot in library()[2] if plot.heldout)


def stories(seed: int, plots=None):
    """Yield stories without end, a pure function of ``seed``; ``plots`` defaults to the trained ones."""
    rng = random.Random(seed)
    plots = trained_plots() if plots is None else plots
    while True:
        yield tell(rng.choice(plots), rng)


def tell(plot: Plot, rng: random.Random) -> str:
    """Return one story with this plot: 50 to 150 words in one paragraph."""
    words, macros, _ = library()
    cast = rng.choice(("child", "animal")) if plot.cast == "any" else plot.cast
    passages = [
        passage
        for place, passage in enumerate(plot.passages)
        if place not in plot.optional or rng.random() < KEEP_OPTIONAL
    ]
    return expand(passages, Story(rng, words, macros, characters(cast, rng)))


def characters(cast: str, rng: random.Random) -> dict:
    """Return the slots of the three who act in a story: the hero, the friend (``f...``), the adult (``a...``)."""
    kinds = rng.sample(SPECIES.split(), 2)
    slots = {"home": rng.choice(HOMES[cast].split("|"))}
    names = []
    for prefix, role, kind in (("", "hero", kinds[0]), ("f", "friend", kinds[1])):
        sex = rng.choice(("girl", "boy"))
        slots |= pronouns(prefix, sex)
        slots[prefix + "kind"] = kind if cast == "animal" else sex
        while (name := choose_name(cast, sex, rng)) in names:
            pass
        names.append(name)
        slots[role] = name
    sex = rng.choice(("girl", "boy"))
    return slots | pronouns("a", sex) | {"adult": rng.choice(ADULTS[cast][sex])}


def pronouns(prefix: str, sex: str) -> dict:
    return {
        prefix + key: word for key, word in zip(("he", "him", "his", "himself"), PRONOUNS[sex], strict=True)
    }


def choose_name(cast: str, sex: str, rng: random.Random) -> str:
    if rng.random() < INVENTED_NAMES:
        ends = ("a", "i", "y", "ie") if sex == "girl" else ("o", "us", "in", "er", "")
        middles = [
            rng.choice(ONSETS.split()) + rng.choice("aeiou") for _ in range(rng.choice((1, 1, 1, 1, 1, 2)))
        ]
        return ("".join(middles) + rng.choice("dlmnkprtvz") + rng.choice(ends)).capitalize()
    names = CHILD_NAMES[sex] if cast == "child" else ANIMAL_NAMES
    return rng.choice(names.split())
