# SPDX-License-Identifier: Apache-2.0
"""Text to tokens and back, with the tokenizer files of the llama2.c project.

File: a little-endian int32 (length of the longest piece), then per token a float32 score, an int32 length and the
piece's bytes in UTF-8. Token 1 begins a text (BOS), token 2 ends it (EOS); a piece spelled ``<0xHH>`` stands for one
byte and serves the characters that the vocabulary lacks.
"""

import codecs
import heapq
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from tepin_host.errors import UserError

__all__ = ["Decoder", "Tokenizer", "find_tokenizer"]


_LONGEST_PIECE = 1 << 16
_LARGEST_VOCABULARY = 1 << 20
_BYTE_PIECE = re.compile(rb"<0x([0-9A-Fa-f]{2})>")


class Tokenizer:
    """A vocabulary with scores: greedy byte-pair merging by best score.

    Parameters
    ----------
    pieces : sequence of bytes
        Text of each token.
    scores : sequence of float
        Score of each token; of the possible merges the one with the best score comes first.
    """

    bos = 1
    eos = 2

    def __init__(self, pieces: Sequence[bytes], scores: Sequence[float]):
        if len(pieces) != len(scores):
            raise ValueError(f"{len(pieces)} pieces with {len(scores)} scores")
        if len(pieces) < 3:
            raise ValueError(f"a vocabulary of {len(pieces)} tokens lacks the three control tokens")
        self._pieces = tuple(pieces)
        self._scores = tuple(scores)
        self._ids: dict[bytes, int] = {}
        self._bytes: dict[int, int] = {}
        self._byte_values: dict[int, bytes] = {}
        for token, piece in enumerate(self._pieces):
            self._ids.setdefault(piece, token)
            if match := _BYTE_PIECE.fullmatch(piece):
                value = int(match[1], 16)
                self._bytes.setdefault(value, token)
                self._byte_values[token] = bytes([value])

    @classmethod
    def load(cls, path: Path | str, vocab_size: int | None = None) -> "Tokenizer":
        """Reads a tokenizer file and, if ``vocab_size`` is given, checks it against the model's.

        Raises
        ------
        UserError
            If the file is missing, is not a tokenizer, or belongs to another vocabulary.
        """
        path = Path(path)
        if path.is_dir():
            raise UserError(f"{path}: is a directory, not a tokenizer file")
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such tokenizer file") from error
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
        try:
            tokenizer = cls(*_parse(data))
        except ValueError as error:
            raise UserError(f"{path}: not a llama2.c tokenizer file ({error})") from error
        if vocab_size is not None and tokenizer.vocab_size != vocab_size:
            raise UserError(
                f"{path}: the tokenizer has {tokenizer.vocab_size} tokens, the model has {vocab_size}; "
                "they do not belong together"
            )
        return tokenizer

    def to_bytes(self) -> bytes:
        """The contents of a tokenizer file."""
        parts = [struct.pack("<i", max(map(len, self._pieces)))]
        for piece, score in zip(self._pieces, self._scores, strict=True):
            parts.append(struct.pack("<fi", score, len(piece)) + piece)
        return b"".join(parts)

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return len(self._pieces)

    def ends_text(self, token: int) -> bool:
        """Whether a generation stops at this token: EOS, or BOS, with which the next text would begin."""
        return token in (self.bos, self.eos)

    def encode(self, text: str, bos: bool = True) -> list[int]:
        """Tokens of ``text``, after BOS if ``bos``. An empty text has no tokens of its own.

        As llama2.c does it: a text starts with an extra space; characters become tokens, those missing in the
        vocabulary one token per UTF-8 byte; then the adjacent pair whose union has the best score is merged, the
        leftmost of equals, until no pair's union is a token.

        Raises
        ------
        UserError
            For a character that neither the vocabulary nor its byte tokens can express.
        """
        tokens = [self.bos] if bos else []
        if text:
            space = self._ids.get(b" ")
            start = [] if space is None else [space]
            tokens += self._merge(start + [token for char in text for token in self._encode_char(char)])
        return tokens

    def _encode_char(self, char: str) -> list[int]:
        try:
            encoded = char.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UserError("the prompt is not valid UTF-8 text") from error
        if encoded in self._ids:
            return [self._ids[encoded]]
        if all(value in self._bytes for value in encoded):
            return [self._bytes[value] for value in encoded]
        raise UserError(
            f"the prompt's character {char!r} is neither in the vocabulary nor spelled by its byte tokens"
        )

    def _merge(self, tokens: list[int]) -> list[int]:
        """Merges pairs, best score first. O(n log n): a heap of possible merges over a doubly linked list."""
        tokens = list(tokens)
        following = [*range(1, len(tokens)), -1]
        preceding = list(range(-1, len(tokens) - 1))
        merges = []

        def propose(left: int):
            right = following[left]
            merged = self._ids.get(self._pieces[tokens[left]] + self._pieces[tokens[right]])
            if merged is not None:
                heapq.heappush(
                    merges, (-self._scores[merged], left, right, tokens[left], tokens[right], merged)
                )

        for left in range(len(tokens) - 1):
            propose(left)
        while merges:
            _, left, right, left_token, right_token, merged = heapq.heappop(merges)
            # An entry is out of date once either of its tokens has been merged into something else.
            if following[left] != right or (tokens[left], tokens[right]) != (left_token, right_token):
                continue
            tokens[left] = merged
            tokens[right] = -1
            following[left] = following[right]
            if following[left] >= 0:
                preceding[following[left]] = left
                propose(left)
            if preceding[left] >= 0:
                propose(preceding[left])
        return [token for token in tokens if token >= 0]

    def decode(self, token: int, previous: int | None = None) -> bytes:
        """Text of one token, as bytes, because a token may be a part of a character.

        BOS and EOS have no text. The first token after BOS loses the space that `encode` has put there.
        """
        if self.ends_text(token):
            return b""
        piece = self._byte_values.get(token, self._pieces[token])
        return piece.removeprefix(b" ") if previous == self.bos else piece

    def text(self, tokens: Iterable[int]) -> str:
        """Text of a whole sequence of tokens."""
        decoder = Decoder(self, previous=None)
        return "".join([decoder.decode(token) for token in tokens]) + decoder.finish()


class Decoder:
    """Turns a stream of tokens into a stream of text, holding back incomplete characters.

    Bytes that are no UTF-8 become U+FFFD.

    Parameters
    ----------
    tokenizer : Tokenizer
    previous : int or None
        Token before the first: BOS (the default) if the stream begins a text.
    """

    def __init__(self, tokenizer: Tokenizer, previous: int | None = Tokenizer.bos):
        self._tokenizer = tokenizer
        self._previous = previous
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def decode(self, token: int) -> str:
        """Text that is complete with this token; may be empty."""
        data = self._tokenizer.decode(token, self._previous)
        self._previous = token
        return self._utf8.decode(data)

    def finish(self) -> str:
        """What the end of the stream makes of bytes held back."""
        return self._utf8.decode(b"", final=True)


def find_tokenizer(model_path: Path | str, vocab_size: int) -> Path:
    """The tokenizer beside a model file: ``MODEL.tokenizer.bin``, ``tokVOCAB.bin`` or ``tokenizer.bin``."""
    model_path = Path(model_path)
    names = (f"{model_path.stem}.tokenizer.bin", f"tok{vocab_size}.bin", "tokenizer.bin")
    for name in names:
        if (path := model_path.with_name(name)).is_file():
            return path
    raise UserError(f"{model_path}: no tokenizer beside it ({', '.join(names)}); name one with --tokenizer")


def _parse(data: bytes) -> tuple[list[bytes], list[float]]:
    if len(data) < 4:
        raise ValueError("too short")
    (longest,) = struct.unpack_from("<i", data)
    if not 1 <= longest <= _LONGEST_PIECE:
        raise ValueError(f"its longest piece would be {longest} bytes")
    pieces, scores = [], []
    at = 4
    while at < len(data):
        if len(data) - at < 8:
            raise ValueError(f"it ends within token {len(pieces)}")
        score, length = struct.unpack_from("<fi", data, at)
        at += 8
        if not 0 <= length <= longest or score != score:
            raise ValueError(f"token {len(pieces)} has length {length} and score {score}")
        if len(data) - at < length:
            raise ValueError(f"it ends within token {len(pieces)}")
        if len(pieces) == _LARGEST_VOCABULARY:
            raise ValueError(f"more than {_LARGEST_VOCABULARY} tokens")
        pieces.append(data[at : at + length])
        scores.append(score)
        at += length
    return pieces, scores
