# SPDX-License-Identifier: Apache-2.0
"""What programs, memory image and host agree on: sizes of blocks, words of the request and of the constants."""

__all__ = [
    "BLOCK",
    "CONSTANTS",
    "ENDED",
    "LAST",
    "MOST_TOKENS",
    "PROMPT_OFFSET",
    "REQUEST_HEADER",
    "SLOT_SHIFT",
]

BLOCK = 64
"""Tokens of a KV page; attention goes on in blocks of this many."""

REQUEST_HEADER = ("prompt_length", "positions", "seed", "inverse_temperature", "stop0", "stop1", "start")
"""32-bit words at the start of a request; the prompt's tokens follow at byte `PROMPT_OFFSET`."""

PROMPT_OFFSET = 64

CONSTANTS = ("zero", "one", "log2e", "activation_step", "query_step", "cache_step", "inverse_dim", "epsilon")
"""float32 words at the start of the constants region."""

MOST_TOKENS = (1 << 22) - 1
"""More than any vocabulary has. A batch pushes a word for each token that it chooses: the token in the lower 22 bits, where
`MOST_TOKENS` is one that has ended the text and is not part of it; then LAST, ENDED and, from bit `SLOT_SHIFT` on, the
slot."""

LAST = 1 << 22
"""The last word of its step."""

ENDED = 1 << 23
"""The last word of its text."""

SLOT_SHIFT = 24
