# SPDX-License-Identifier: Apache-2.0
"""Open pages of the KV cache: loaded from memory before a token is attended to, and written back behind its key and value."""

from tepin.isa import ScalarOp
from tepin_host.assembler import Register
from tepin_host.compiler.conventions import BLOCK

__all__ = ["OpenPages"]


class OpenPages:
    """Writes transfers of pages into a `RowProgram`; `at` is as in `attention_parts.py`."""

    def __init__(self, program):
        self.program = program
        self.plan, self.model, self.pad = program.plan, program.model, program.pad
        self.a, self.r, self.semaphore = program.a, program.r, program.semaphore

    def value_tiles(self):
        """(offset in a value page, width) of its column tiles."""
        offset = 0
        for width in self.plan.head_tiles:
            yield offset, width
            offset += BLOCK * width

    def _place(self, offset, base):
        """Operand of base + a register, which is changed if the base is a register as well."""
        if isinstance(base, Register):
            self.a.scalar(ScalarOp.ADD, offset, offset, base)
            return offset + 0
        return offset + base

    def load_keys(self, at, page, slot):
        """Load the keys that the pages at this address in memory hold already, those of `slot` tokens."""
        a, plan = self.a, self.plan
        columns = plan.config.columns
        with a.temporary("length") as length:
            # Column tiles with at least one of these tokens.
            a.scalar(ScalarOp.ADD, length, slot, columns - 1)
            a.scalar(ScalarOp.SHR, length, length, columns.bit_length() - 1)
            a.scalar(ScalarOp.MUL, length, length, plan.key_tile_bytes)
            repeat = (plan.kv_heads, plan.key_page_bytes, plan.key_page_bytes)
            a.load(page, at["key_pages"], length, repeat=repeat)

    def load_values(self, at, page, slot):
        """Load the values and their scales that the pages at this address in memory hold already."""
        a, plan = self.a, self.plan
        with a.temporary("length") as length:
            repeat = (plan.kv_heads, plan.value_page_bytes, plan.value_page_bytes)
            for offset, width in self.value_tiles():
                a.scalar(ScalarOp.MUL, length, slot, width)
                source = page + (plan.value_offset + offset)
                a.load(source, at["value_pages"] + offset, length, repeat=repeat)
            a.scalar(ScalarOp.MUL, length, slot, 4)
            repeat = (plan.kv_heads, 4 * BLOCK, 4 * BLOCK)
            a.load(page + plan.pages_bytes, at["value_scales"], length, repeat=repeat)

    def store_keys(self, at, page, slot, tokens=1, *, signal=0):
        """Write back the column tiles that `tokens` (1 or a register) new keys from `slot` on have changed."""
        a, plan = self.a, self.plan
        shift = plan.config.columns.bit_length() - 1
        with (
            a.temporary("offset") as offset,
            a.temporary("target") as target,
            a.temporary("length") as length,
        ):
            a.scalar(ScalarOp.SHR, offset, slot, shift)
            tiles = plan.key_tile_bytes
            if tokens != 1:
                a.scalar(ScalarOp.ADD, length, slot, tokens)
                a.scalar(ScalarOp.ADD, length, length, (1 << shift) - 1)
                a.scalar(ScalarOp.SHR, length, length, shift)
                a.scalar(ScalarOp.SUB, length, length, offset)
                a.scalar(ScalarOp.MUL, length, length, plan.key_tile_bytes)
                tiles = length
            a.scalar(ScalarOp.MUL, offset, offset, plan.key_tile_bytes)
            a.scalar(ScalarOp.ADD, target, page, offset)
            a.store(
                self._place(offset, at["key_pages"]),
                target,
                tiles,
                repeat=(plan.kv_heads, plan.key_page_bytes, plan.key_page_bytes),
                wait=self.semaphore["INSERTED"],
                signal=signal,
            )

    def store_values(self, at, page, slot, tokens=1, *, wait=0, signal=0):
        """Write back `tokens` (1 or a register) new values from `slot` on, and their scales."""
        a, plan = self.a, self.plan
        with (
            a.temporary("offset") as offset,
            a.temporary("target") as target,
            a.temporary("length") as length,
        ):

            def times(width):
                if tokens == 1:
                    return width
                a.scalar(ScalarOp.MUL, length, tokens, width)
                return length

            repeat = (plan.kv_heads, plan.value_page_bytes, plan.value_page_bytes)
            for tile, width in self.value_tiles():
                a.scalar(ScalarOp.MUL, offset, slot, width)
                a.scalar(ScalarOp.ADD, target, page, offset)
                local = self._place(offset, at["value_pages"]) + tile
                memory = target + (plan.value_offset + tile)
                a.store(local, memory, times(width), repeat=repeat, wait=0 if tile else wait)
            a.scalar(ScalarOp.MUL, offset, slot, 4)
            a.scalar(ScalarOp.ADD, target, page, offset)
            a.store(
                self._place(offset, at["value_scales"]),
                target + plan.pages_bytes,
                times(4),
                repeat=(plan.kv_heads, 4 * BLOCK, 4 * BLOCK),
                signal=signal,
            )
