# SPDX-License-Identifier: Apache-2.0
"""How many multipliers and block RAMs a configuration has: what synthesis must not have taken away or added.

A multiplier whose result nobody uses vanishes without a word, and so does a memory that is never written; on the other
hand a memory that fits no block RAM becomes thousands of flip-flops. `check_primitives` compares a netlist, block by
block, with numbers that come from the configuration alone.
"""

from dataclasses import dataclass

from tepin.coprocessor.job import Shape
from tepin_fpga.ecp5 import block_rams
from tepin_fpga.families.ecp5 import ECP5
from tepin_fpga.report import BuildFailed

__all__ = ["Primitives", "block_rams", "check_primitives", "count_primitives", "expected_primitives"]

_PART = 18  # bits of an operand of a DSP block
_SYSTEM = "system"  # what the top level calls it


@dataclass(frozen=True)
class Primitives:
    """DSP blocks and block RAMs of some part of a design."""

    dsps: int = 0
    block_rams: int = 0

    def __add__(self, other):
        return Primitives(self.dsps + other.dsps, self.block_rams + other.block_rams)

    def __str__(self):
        return f"{self.dsps} DSPs and {self.block_rams} block RAMs"


def _multiplier(a, b):
    """DSPs of a product of `a` by `b` bits."""
    return -(-a // _PART) * -(-b // _PART)


def expected_primitives(config, family=ECP5):
    """What the system of a `ChipConfig` or a `Shape` has in each block.

    Returns
    -------
    dict from str to Primitives
        By path below the system. Blocks without any are left out.
    """
    if isinstance(config, Shape):
        return {
            "core.array": Primitives(config.rows * config.columns),
            "core.memory": Primitives(
                0, family.block_rams(8 * config.columns, config.memory_bytes // config.columns)
            ),
            "host": Primitives(0, family.block_rams(8, 2048) + family.block_rams(8, 1024)),
        }
    significand = _multiplier(24, 24)
    special = _multiplier(24, 36) + _multiplier(18, 16) + _multiplier(24, 28) + _multiplier(27, 33)
    words = config.line_bytes // 4
    fifo_words = config.weight_fifo_bytes // config.fifo_word_bytes
    load_beats = 1 << (min(16 * config.outstanding, 256) - 1).bit_length()
    blocks = {
        "chip.controller.fetch": Primitives(0, block_rams(32, config.program_words)),
        "chip.controller.queues": Primitives(0, 5 * block_rams(32, config.queue_words)),
        "chip.controller.tokens": Primitives(0, block_rams(32, config.token_fifo_depth)),
        "chip.controller.sequencer": Primitives(_multiplier(16, 16)),
        "chip.dma.indices": Primitives(3 * _multiplier(16, 16)),
        "chip.dma.loads": Primitives(0, block_rams(config.port_width + 1, load_beats)),
        "chip.dma.weights": Primitives(0, block_rams(8 * config.fifo_word_bytes, fifo_words)),
        "chip.matmul.array": Primitives(
            config.rows * config.columns * _multiplier(config.activation_width, 8)
        ),
        "chip.matmul.accumulator": Primitives(
            0, 2 * config.columns * block_rams(41, config.accumulator_rows)
        ),
        "chip.matmul.drain": Primitives(2 * significand),
        "chip.vector": Primitives(config.lanes * (significand + special), config.lanes * block_rams(72, 512)),
        "chip.scratchpad": Primitives(
            0, config.scratchpad_banks * words * block_rams(32, config.bank_bytes // config.line_bytes)
        ),
        # Beats of the memory that wait: read ones with identifier, response and end, to be written ones with their mask.
        "controller": Primitives(
            0, block_rams(config.port_width + 4, 64) + block_rams(config.port_width + config.port_bytes, 512)
        ),
        # Bytes that have come in, and payloads of frames.
        "host": Primitives(0, block_rams(8, 2048) + block_rams(8, 1024)),
    }
    return {name: entry for name, entry in blocks.items() if entry != Primitives()}


def count_primitives(module, blocks, family=ECP5):
    """What a netlist has.

    Parameters
    ----------
    module : dict
        The flattened top module, in Yosys' JSON. Cells are called by their path.
    blocks : iterable of str
        Paths below the system to sort cells by.

    Returns
    -------
    dict from str to Primitives
        By path; "elsewhere" for cells that are in none of them.
    """
    result = {}
    for name, cell in module["cells"].items():
        found = Primitives(cell["type"] in family.dsp_cells, cell["type"] in family.block_ram_cells)
        if found != Primitives():
            block = next((entry for entry in blocks if name.startswith(f"{_SYSTEM}.{entry}.")), "elsewhere")
            result[block] = result.get(block, Primitives()) + found
    return result


def check_primitives(module, expected, family=ECP5):
    """Raise `BuildFailed` unless a netlist has in each block what is expected there, and nothing elsewhere."""
    found = count_primitives(module, expected, family)
    wrong = [
        f"{block} has {found.get(block, Primitives())} instead of {expected.get(block, Primitives())}"
        for block in [*expected, "elsewhere"]
        if found.get(block, Primitives()) != expected.get(block, Primitives())
    ]
    if wrong:
        raise BuildFailed(f"synthesis has changed what the configuration says: {'; '.join(wrong)}")
