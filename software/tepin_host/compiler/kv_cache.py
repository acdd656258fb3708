# SPDX-License-Identifier: Apache-2.0
"""Keys and values of a text that a model has read or written: computed once, a beginning for any number of others."""

import hashlib
import io
import zipfile
from dataclasses import dataclass

import numpy as np

from tepin_host.compiler.conventions import BLOCK
from tepin_host.errors import UserError

__all__ = ["KvCache"]

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class KvCache:
    """The KV cache behind a text.

    Members
    -------
    tokens : list of int
        The whole text.
    positions : int
        How many of the tokens, from the first one on, have their keys and values in `pages`; the others, one at least,
        have yet to pass through the network.
    pages : uint8 array
        Beginning of the cache region in memory: all blocks of 64 positions that have begun.
    model : str
        Fingerprint of the memory image: pages are of use only behind the same weights in the same layout.
    """

    tokens: list
    positions: int
    pages: np.ndarray
    model: str

    @classmethod
    def capture(cls, executable, request, tokens, memory):
        """What is left in `memory` by a run that answered `request` with `tokens`."""
        text = [*request.prompt, *tokens]
        # The last token has been chosen, and has not passed through the network.
        positions = len(text) - 1
        cache = executable.plan.memory["cache"]
        size = -(-positions // BLOCK) * executable.plan.cache_block_bytes
        pages = memory[cache.address : cache.address + size].copy()
        return cls(text, positions, pages, _fingerprint(executable))

    def check(self, executable, path):
        """`UserError` if an executable cannot go on from here."""
        if self.model != _fingerprint(executable):
            raise UserError(
                f"{path}: keys and values of another model, of other weights or of another configuration"
            )

    def encode(self):
        """Bytes of a file."""
        file = io.BytesIO()
        np.savez(
            file,
            format=np.int64(_FORMAT),
            tokens=np.array(self.tokens, "<u4"),
            positions=np.int64(self.positions),
            pages=self.pages,
            model=np.str_(self.model),
        )
        return file.getvalue()

    @classmethod
    def load(cls, path):
        """Read a file that holds what `encode` gave; `UserError` if it does not."""
        try:
            with np.load(path, allow_pickle=False) as file:
                if int(file["format"]) != _FORMAT:
                    raise UserError(f"{path}: a KV cache of format {int(file['format'])}, not {_FORMAT}")
                tokens, positions = file["tokens"].tolist(), int(file["positions"])
                pages, model = file["pages"], str(file["model"])
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or 'not a KV cache'}") from error
        except (ValueError, TypeError, KeyError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: not a KV cache that tepin run --save-kv wrote") from error
        if not (0 <= positions < len(tokens) and pages.dtype == np.uint8 and pages.ndim == 1):
            raise UserError(f"{path}: its contents contradict each other")
        return cls(tokens, positions, pages, model)


def _fingerprint(executable):
    return hashlib.sha256(executable.image.tobytes()).hexdigest()
