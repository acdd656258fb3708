# SPDX-License-Identifier: Apache-2.0
"""The demo model's tokenizer: byte-pair pieces in the file format of llama2.c.

Encoding starts from single characters (or bytes, for a character that is not in the vocabulary) and joins the
neighbours whose union is the piece with the best score, until none is left. Pieces have a space only in front and do
not mix letters with punctuation, so each chunk of a text is encoded on its own, once, and remembered.
"""

import re
import struct
from collections import Counter
from functools import cached_property
from pathlib import Path

__all__ = ["BOS", "EOS", "Tokenizer", "train_tokenizer"]

BOS, EOS, FIRST_BYTE, FIRST_PIECE = 1, 2, 3, 259
RESERVED = ("<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)))
CHUNK = re.compile(r" ?[A-Za-z]+| ?[^A-Za-z \n]+| |\n")


class Tokenizer:
    """A vocabulary of pieces; a piece's score is minus its place, so that earlier pieces are joined first.

    Parameters
    ----------
    pieces : list of str
        The pieces from id 259 on; ids 0 to 258 are unknown, begin, end and the 256 bytes.
    """

    def __init__(self, pieces: list[str]):
        self.pieces = list(pieces)
        self.ids = {piece: FIRST_PIECE + i for i, piece in enumerate(pieces)}
        self.cache: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return FIRST_PIECE + len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text``, without BOS and EOS; as in sentencepiece, a space is put in front."""
        ids = []
        for chunk in CHUNK.findall(" " + text if text else ""):
            if chunk not in self.cache:
                self.cache[chunk] = self.encode_chunk(chunk)
            ids += self.cache[chunk]
        return ids

    def encode_chunk(self, chunk: str) -> list[int]:
        """Encode a piece of text by joining the best pair (the leftmost of equals), again and again."""
        parts: list[str | int] = []
        for character in chunk:
            known = character in self.ids
            parts += [character] if known else [FIRST_BYTE + byte for byte in character.encode()]
        while True:
            joined = [
                (self.ids[left + right], i)
                for i, (left, right) in enumerate(zip(parts, parts[1:], strict=False))
                if isinstance(left, str) and isinstance(right, str) and left + right in self.ids
            ]
            if not joined:
                return [part if isinstance(part, int) else self.ids[part] for part in parts]
            _, i = min(joined)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]

    def decode(self, ids: list[int]) -> str:
        """Return the text of ``ids``; BOS, EOS and the space in front are left out."""
        data = b"".join(self.piece_bytes[i] for i in ids)
        return data.decode(errors="replace").removeprefix(" ")

    @cached_property
    def piece_bytes(self) -> list[bytes]:
        return (
            [b""] * FIRST_BYTE + [bytes([i]) for i in range(256)] + [piece.encode() for piece in self.pieces]
        )

    def save(self, path: Path) -> None:
        """Write llama2.c's format: int32 longest piece, then float32 score, int32 length and bytes of each."""
        names = [name.encode() for name in (*RESERVED, *self.pieces)]
        scores = [0.0] * len(RESERVED) + [-float(i) for i in range(len(self.pieces))]
        data = struct.pack("<i", max(map(len, names)))
        for name, score in zip(names, scores, strict=True):
            data += struct.pack("<fi", score, len(name)) + name
        Path(path).write_bytes(data)

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read a file that ``save`` wrote."""
        data, position, names = Path(path).read_bytes(), 4, []
        while position < len(data):
            _, length = struct.unpack_from("<fi", data, position)
            names.append(data[position + 8 : position + 8 + length].decode())
            position += 8 + length
        if tuple(names[:FIRST_PIECE]) != RESERVED:
            raise ValueError(f"{path} does not begin with the reserved tokens")
        return cls(names[FIRST_PIECE:])


def train_tokenizer(texts, size: int) -> Tokenizer:
    """Learn a vocabulary of ``size`` ids from ``texts`` by byte-pair encoding.

    The pieces are the characters of the texts, then the unions of the most frequent neighbours, in the order in
    which they were found (ties: alphabetical).
    """
    counts = Counter(chunk for text in texts for chunk in CHUNK.findall(" " + text))
    chunks = {chunk: list(chunk) for chunk in counts}
    characters = Counter()
    for chunk, count in counts.items():
        for character in chunk:
            characters[character] += count
    pieces = sorted(characters, key=lambda character: (-characters[character], character))
    if FIRST_PIECE + len(pieces) > size:
        raise ValueError(f"{len(pieces)} different characters do not fit a vocabulary of {size}")
    while FIRST_PIECE + len(pieces) < size:
        pairs = Counter()
        for chunk, parts in chunks.items():
            for pair in zip(parts, parts[1:], strict=False):
                pairs[pair] += counts[chunk]
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        pieces.append(left + right)
        for parts in chunks.values():
            i = 0
            while i < len(parts) - 1:
                if parts[i] == left and parts[i + 1] == right:
                    parts[i : i + 2] = [left + right]
                i += 1
    return Tokenizer(pieces)
