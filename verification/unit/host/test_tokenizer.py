# SPDX-License-Identifier: Apache-2.0
"""The tokenizer against a plain quadratic merge, and its files."""

import random
import struct

import pytest

from tepin_host.errors import UserError
from tepin_host.tokenizer import Decoder, Tokenizer, find_tokenizer
from tepin_testbench import options

CONTROL = [b"<unk>", b"\n<s>\n", b"\n</s>\n"]
BYTES = [f"<0x{value:02X}>".encode() for value in range(256)]


def make(words, with_bytes=True):
    """A tokenizer of ``{piece: score}`` after control and byte tokens."""
    pieces = CONTROL + (BYTES if with_bytes else []) + [word.encode() for word in words]
    return Tokenizer(pieces, [0.0] * (len(pieces) - len(words)) + list(words.values()))


LETTERS = {" ": -9.0, "a": -1.0, "b": -2.0, "c": -3.0}


def quadratic_encode(words, text):
    """The merge as its description says it: scan all pairs, merge the best, begin again."""
    pieces = list(" " + text)
    while True:
        candidates = [
            (words[pieces[i] + pieces[i + 1]], -i)
            for i in range(len(pieces) - 1)
            if pieces[i] + pieces[i + 1] in words
        ]
        if not candidates:
            return pieces
        at = -max(candidates)[1]
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]


@pytest.mark.parametrize("case", range(20))
def test_encode_merges_the_best_pair_first(case):
    rng = random.Random(f"{options.seed()} {case}")
    words = dict(LETTERS)
    for _ in range(12):
        piece = "".join(rng.choices("abc ", k=rng.randint(2, 5)))
        words.setdefault(piece, rng.choice([-5.0, -4.0, -3.5, 0.0]))
    tokenizer = make(words)
    for _ in range(20):
        text = "".join(rng.choices("abc ", k=rng.randint(1, 40)))
        pieces = [tokenizer.decode(token).decode() for token in tokenizer.encode(text, bos=False)]
        assert pieces == quadratic_encode(words, text)


def test_encode_by_hand():
    tokenizer = make(LETTERS | {"ab": 1.0, "bc": 2.0, " a": 3.0, "abc": 4.0})
    first = 259
    space_a, bc = first + 6, first + 5
    # " abc": " a" (3) comes before "bc" (2); "ab" and "abc" are then out of reach.
    assert tokenizer.encode("abc") == [1, space_a, bc]
    assert tokenizer.encode("abc", bos=False) == [space_a, bc]
    assert tokenizer.encode("") == [1]
    assert tokenizer.encode("", bos=False) == []


def test_encode_falls_back_to_bytes():
    tokenizer = make(LETTERS)
    assert tokenizer.encode("é", bos=False) == [259, 3 + 0xC3, 3 + 0xA9]
    assert tokenizer.encode("\0", bos=False) == [259, 3]


def test_encode_impossible_character():
    tokenizer = make(LETTERS, with_bytes=False)
    with pytest.raises(
        UserError, match="the prompt's character 'é' is neither in the vocabulary nor spelled by"
    ):
        tokenizer.encode("aé")
    with pytest.raises(UserError, match="the prompt is not valid UTF-8 text"):
        make(LETTERS).encode("a\udce9")


def test_encode_without_a_space_token():
    words = {"a": 0.0}
    assert make(words, with_bytes=False).encode("a") == [1, 3]


def test_encode_long_text_quickly():
    """Quadratic work would take minutes here."""
    tokenizer = make(LETTERS | {"ab": 1.0, "abab": 2.0, " abab": 1.5})
    tokens = tokenizer.encode("ab" * 100_000)
    assert len(tokens) == 1 + 50_000


def test_decode():
    tokenizer = make(LETTERS | {" a": 0.0, "é": 0.0})
    space_a = 259 + 4
    assert tokenizer.decode(space_a) == b" a"
    assert tokenizer.decode(space_a, previous=259) == b" a"
    assert tokenizer.decode(space_a, previous=1) == b"a"
    assert tokenizer.decode(259 + 5) == "é".encode()
    assert tokenizer.decode(3 + 0xC3) == b"\xc3"
    assert tokenizer.decode(1) == tokenizer.decode(2) == b""
    assert tokenizer.ends_text(1) and tokenizer.ends_text(2) and not tokenizer.ends_text(0)


def test_decoder_holds_back_incomplete_characters():
    decoder = Decoder(make(LETTERS))
    assert [decoder.decode(3 + byte) for byte in "🐈".encode()] == ["", "", "", "🐈"]
    assert decoder.decode(3 + 0xF0) == ""
    assert decoder.decode(260) == "�a"
    assert decoder.decode(3 + 0xC3) == ""
    assert decoder.finish() == "�"


def test_text_and_back():
    tokenizer = make(LETTERS | {"ab": 1.0})
    for text in ("abc", "a b", " ab", "Zoë 🐈\n", "a\0b"):
        assert tokenizer.text(tokenizer.encode(text)) == text


def test_load(tmp_path):
    tokenizer = make(LETTERS)
    path = tmp_path / "tok.bin"
    path.write_bytes(tokenizer.to_bytes())
    loaded = Tokenizer.load(path, vocab_size=263)
    assert loaded.vocab_size == 263
    assert loaded.to_bytes() == tokenizer.to_bytes()
    assert loaded.encode("abé") == tokenizer.encode("abé")
    with pytest.raises(UserError) as caught:
        Tokenizer.load(path, vocab_size=512)
    assert str(caught.value) == (
        f"{path}: the tokenizer has 263 tokens, the model has 512; they do not belong together"
    )


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "too short"),
        (b"hello, I am a text file", "its longest piece would be 1819043176 bytes"),
        (struct.pack("<i", 0), "its longest piece would be 0 bytes"),
        (struct.pack("<ifi", 3, 0.0, 4) + b"abcd", "token 0 has length 4 and score 0.0"),
        (struct.pack("<ifi", 3, 0.0, -1), "token 0 has length -1 and score 0.0"),
        (struct.pack("<ifi", 3, float("nan"), 1) + b"a", "token 0 has length 1 and score nan"),
        (struct.pack("<ifi", 3, 0.0, 2) + b"a", "it ends within token 0"),
        (struct.pack("<if", 3, 0.0), "it ends within token 0"),
        (struct.pack("<ifi", 3, 0.0, 2) + b"ab", "a vocabulary of 1 tokens lacks the three control tokens"),
    ],
)
def test_load_broken_file(tmp_path, data, reason):
    path = tmp_path / "tok.bin"
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        Tokenizer.load(path)
    assert str(caught.value) == f"{path}: not a llama2.c tokenizer file ({reason})"


def test_load_no_file(tmp_path):
    with pytest.raises(UserError, match="absent.bin: no such tokenizer file"):
        Tokenizer.load(tmp_path / "absent.bin")
    with pytest.raises(UserError, match="is a directory, not a tokenizer file"):
        Tokenizer.load(tmp_path)


def test_init_wrong_lengths():
    with pytest.raises(ValueError, match="4 pieces with 3 scores"):
        Tokenizer([b"a"] * 4, [0.0] * 3)


def test_find_tokenizer(tmp_path):
    model = tmp_path / "story.v2.bin"
    with pytest.raises(UserError) as caught:
        find_tokenizer(model, 512)
    assert str(caught.value) == (
        f"{model}: no tokenizer beside it (story.v2.tokenizer.bin, tok512.bin, tokenizer.bin); "
        "name one with --tokenizer"
    )
    for name in ("tokenizer.bin", "tok512.bin", "story.v2.tokenizer.bin"):
        (tmp_path / name).touch()
        assert find_tokenizer(model, 512) == tmp_path / name


def test_stories_tokenizer(stories):
    path = find_tokenizer(stories, 512)
    tokenizer = Tokenizer.load(path, 512)
    assert tokenizer.to_bytes() == path.read_bytes()
    tokens = tokenizer.encode("Once upon a time, there was a little girl named Lily.")
    # The tokens with which the model begins its own story.
    assert tokens[:6] == [1, 403, 407, 261, 378, 432]
    assert tokenizer.text(tokens) == "Once upon a time, there was a little girl named Lily."
