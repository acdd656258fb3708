# SPDX-License-Identifier: Apache-2.0
"""A compiled model: program, memory image and map, in memory or in a directory.

The directory holds `program.bin` (32-bit little-endian words), `image.bin` (external memory from address 0; the KV
cache behind it needs no initial value) and `map.json` (regions, sizes, configuration). One image serves every prompt:
a `Request` is written over its first bytes.
"""

import contextlib
import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tepin.config import ChipConfig
from tepin.isa import ISA_VERSION
from tepin_host.compiler.conventions import PROMPT_OFFSET
from tepin_host.compiler.kv_cache import KvCache
from tepin_host.compiler.plan import Plan
from tepin_host.errors import UserError
from tepin_host.models import ModelConfig

__all__ = ["Executable", "Request"]

_NO_TOKEN = 0xFFFFFFFF


@dataclass(frozen=True)
class Request:
    """What to generate.

    Parameters
    ----------
    prompt : list of int
        Token ids, at least one.
    tokens : int
        Most tokens to generate.
    seed : int
        Of the sampling noise, 32 bits.
    temperature : float
        0 chooses the most likely token.
    stop : tuple of int
        Up to two tokens that end the text; they are not part of it.
    cache : KvCache, optional
        Keys and values of the prompt's beginning, which then need not pass through the network again.
    """

    prompt: list
    tokens: int
    seed: int = 0
    temperature: float = 0.0
    stop: tuple = (1, 2)
    cache: KvCache | None = None

    @property
    def start(self):
        """The first position that passes through the network."""
        return self.cache.positions if self.cache else 0

    def positions(self, context):
        """Positions behind the last one that passes through the network: the prompt and all generated tokens but the last."""
        return min(len(self.prompt) + self.tokens - 1, context)

    def encode(self, model):
        """Bytes of the request region for a model with this `ModelConfig`; `UserError` for what it cannot do."""
        context = model.max_seq_len
        if not self.prompt:
            raise UserError("the prompt holds no token")
        if self.tokens < 1:
            raise UserError(f"the number of tokens must be at least 1, not {self.tokens}")
        if len(self.prompt) > context:
            raise UserError(f"the prompt has {len(self.prompt)} tokens, the model's context is {context}")
        for token in self.prompt:
            if not 0 <= token < model.vocab_size:
                raise UserError(f"token {token} of the prompt is not in the vocabulary of {model.vocab_size}")
        if len(self.stop) > 2:
            raise UserError(f"at most two tokens can end the text, not {len(self.stop)}")
        if not (self.temperature >= 0 and np.isfinite(self.temperature)):
            raise UserError(f"the temperature must be a number, 0 or more, not {self.temperature}")
        if self.cache and self.prompt[: self.start] != self.cache.tokens[: self.start]:
            raise UserError("the prompt does not begin with the text of the KV cache")
        if self.start >= len(self.prompt):
            raise UserError(f"the prompt has no token behind the {self.start} of the KV cache")
        inverse = 1 / self.temperature if self.temperature else 0.0
        if inverse > float(np.finfo(np.float32).max):
            raise UserError(
                f"the temperature {self.temperature} is too close to 0; use 0 for the most likely token"
            )
        stop = (*self.stop, _NO_TOKEN, _NO_TOKEN)
        header = struct.pack(
            "<IIIfIII",
            len(self.prompt),
            self.positions(context),
            self.seed & 0xFFFFFFFF,
            inverse,
            stop[0],
            stop[1],
            self.start,
        )
        return header.ljust(PROMPT_OFFSET, b"\0") + struct.pack(f"<{len(self.prompt)}I", *self.prompt)


@dataclass(frozen=True, eq=False)
class Executable:
    """A compiled model.

    Members
    -------
    plan : Plan
    program : list of int
        32-bit words.
    image : uint8 array
        External memory from address 0 up to the KV cache.
    name : str
        Of the model.
    """

    plan: Plan
    program: list
    image: np.ndarray
    name: str

    @property
    def memory_bytes(self):
        """Bytes of external memory that the program uses, KV cache included."""
        return self.plan.memory["cache"].end

    def memory(self, request):
        """External memory at the start of a run: image, request, and a cache that is empty but for the request's."""
        if self.plan.slots > 1:
            raise UserError(
                "the program works on many texts; `tepin_host.batch` has the memory that it takes"
            )
        memory = np.zeros(self.memory_bytes, np.uint8)
        memory[: len(self.image)] = self.image
        data = request.encode(self.plan.model)
        memory[: len(data)] = np.frombuffer(data, np.uint8)
        if request.cache:
            start = self.plan.memory["cache"].address
            memory[start : start + len(request.cache.pages)] = request.cache.pages
        return memory

    def loaded_bytes(self, request):
        """Bytes of `memory(request)`, from its beginning, that matter: behind them there may be anything."""
        return (
            len(self.image)
            if not request.cache
            else self.plan.memory["cache"].address + len(request.cache.pages)
        )

    def save(self, directory):
        """Write the three files into `directory`, which is created if need be.

        Raises `UserError`, and leaves none of them behind, if that cannot be done.
        """
        directory = Path(directory)
        description = {
            "name": self.name,
            "isa_version": ISA_VERSION,
            "config_hash": self.plan.config.hash,
            "config": asdict(self.plan.config),
            "model": asdict(self.plan.model),
            "weights": self.plan.weights,
            "activations": self.plan.activations,
            "chunk": self.plan.chunk,
            "rank": self.plan.rank,
            "chips": self.plan.chips,
            "topology": self.plan.topology,
            "rows": self.plan.rows,
            "parallel": self.plan.parallel,
            "program_words": len(self.program),
            "memory_bytes": self.memory_bytes,
            "regions": {
                name: {"address": region.address, "size": region.size}
                for name, region in self.plan.memory.items()
            },
            "scratchpad": self.plan.scratchpad,
        }
        files = {
            "program.bin": np.array(self.program, "<u4").tobytes(),
            "image.bin": self.image.tobytes(),
            "map.json": (json.dumps(description, indent=2) + "\n").encode(),
        }
        written = []
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for name, data in files.items():
                written.append(directory / name)
                written[-1].write_bytes(data)
        except OSError as error:
            for path in written:
                with contextlib.suppress(OSError):
                    path.unlink()
            raise UserError(f"{directory}: cannot be written: {error.strerror or error}") from error

    @classmethod
    def load(cls, directory):
        """Read what `save` wrote; `UserError` if it is not that, or of another instruction set."""
        directory = Path(directory)
        try:
            description = json.loads((directory / "map.json").read_text())
            program = np.frombuffer((directory / "program.bin").read_bytes(), "<u4").tolist()
            image = np.frombuffer((directory / "image.bin").read_bytes(), np.uint8)
            if description["isa_version"] != ISA_VERSION:
                raise UserError(
                    f"{directory}: compiled for instruction set {description['isa_version']}, this is {ISA_VERSION}; "
                    "compile the model again"
                )
            plan = Plan(
                ModelConfig(**description["model"]),
                ChipConfig(**description["config"]),
                description["weights"],
                description["activations"],
                description["chunk"],
                description["rank"],
                description["chips"],
                description["topology"],
                description["rows"],
                description["parallel"],
            )
            expected = (plan.config.hash, len(program), len(image))
            found = (description["config_hash"], description["program_words"], plan.image_bytes)
            name = str(description["name"])
        except OSError as error:
            raise UserError(f"{directory}: not a compiled model: {error.strerror or error}") from error
        except KeyError as error:
            raise UserError(f"{directory}: not a compiled model: map.json lacks {error}") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{directory}: not a compiled model: {error}") from error
        if expected != found:
            raise UserError(
                f"{directory}: program, image and map contradict each other; compile the model again"
            )
        return cls(plan, program, image, name)
