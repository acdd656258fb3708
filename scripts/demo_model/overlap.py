# SPDX-License-Identifier: Apache-2.0
"""How much of a text also stands in the corpus, word for word."""

__all__ = ["Overlap"]

SEED_WORDS = 5  # shorter runs are not looked for


class Overlap:
    """Finds, for each of some texts, the longest run of words that also stands in one corpus story.

    Words are what spaces separate, with their punctuation. Runs of fewer than ``SEED_WORDS`` words count as none.

    Parameters
    ----------
    texts : list of str
        The texts to look at.
    """

    def __init__(self, texts: list[str]):
        self.texts = [text.split() for text in texts]
        self.longest = [(0, 0)] * len(texts)  # length and start, in words
        self.starts: dict[tuple, list] = {}
        for number, words in enumerate(self.texts):
            for i in range(len(words) - SEED_WORDS + 1):
                self.starts.setdefault(tuple(words[i : i + SEED_WORDS]), []).append((number, i))

    def add(self, story: str) -> None:
        """Compare the texts with one story of the corpus."""
        words = story.split()
        for j in range(len(words) - SEED_WORDS + 1):
            for number, i in self.starts.get(tuple(words[j : j + SEED_WORDS]), ()):
                text = self.texts[number]
                length = SEED_WORDS
                while (
                    i + length < len(text)
                    and j + length < len(words)
                    and text[i + length] == words[j + length]
                ):
                    length += 1
                if length > self.longest[number][0]:
                    self.longest[number] = (length, i)

    def lengths(self) -> list[int]:
        """Return the longest run in each text, in words."""
        return [length for length, _ in self.longest]

    def run(self, number: int) -> str:
        """Return the longest run in text ``number``."""
        length, start = self.longest[number]
        return " ".join(self.texts[number][start : start + length])
