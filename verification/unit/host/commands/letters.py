# SPDX-License-Identifier: Apache-2.0
"""A language of a few letters: its tokens, a prompt, and a model that never falls silent."""

from dataclasses import replace

from tepin_host.tokenizer import Tokenizer
from tepin_testbench.options import seed
from tepin_testbench.random_model import random_model

__all__ = ["LETTERS", "PROMPT", "PROMPT_TOKENS", "talkative_model", "tokenizer"]

LETTERS = ["<unk>", "<s>", "</s>", " ", *"abcdefghijklmnopqrstuvwxyz", "é", *(f"<{n}>" for n in range(33))]
"""64 tokens; those that are no letters are spelled in angle brackets."""

PROMPT = "a cab"
PROMPT_TOKENS = [1, 3, 4, 3, 6, 4, 5]


def tokenizer(pieces=LETTERS):
    """A tokenizer file of these tokens."""
    return Tokenizer([piece.encode() for piece in pieces], [0.0] * len(pieces)).to_bytes()


def talkative_model():
    """A random model with 64 tokens and a context of 20, of one layer, whose most likely token never ends the text."""
    model = random_model(seed(), n_layers=1, max_seq_len=20)
    classifier = model.classifier.copy()
    classifier[1:3] = classifier[4] / 2
    return replace(model, classifier=classifier)
