# SPDX-License-Identifier: Apache-2.0
"""DMA commands on the functional simulator: loops, index lists, windows, and every error with its info."""

import numpy as np
import pytest

from tepin.isa import DmaFlags, Engine, ErrorCode, ScalarOp
from tepin.program import CommandInstruction, Operand, ScalarInstruction
from tepin_host.assembler import Assembler
from tepin_reference.dma import Window
from tepin_reference.simulator import FunctionalSimulator, ProgramError
from verification.unit.reference.programs import (
    BANK,
    CONFIG,
    END,
    MEMORY,
    PAD,
    WORD,
    encode,
    error_of,
    simulate,
)


def test_load_of_any_alignment():
    a = Assembler()
    a.load(13, 0x101, 7)
    a.end()
    assert simulate(a).scratchpad[0x100:0x109].tolist() == [0, *(7 * n % 256 for n in range(13, 20)), 0]


def test_loops_walk_in_both_memories():
    a = Assembler()
    a.load(100, 0x100, 2, repeat=(3, 10, 4), repeat2=(2, -1, 0x20))
    a.store(0x100, 4000, 2, repeat=(3, 2, 4), repeat2=(2, 8, 0x20))
    a.end()
    simulator = simulate(a)
    expected = [
        [7 * (100 + 10 * inner - outer + byte) % 256 for inner in range(3) for byte in range(2)]
        for outer in range(2)
    ]
    assert simulator.memory[4000:4006].tolist() == expected[0]
    assert simulator.memory[4008:4014].tolist() == expected[1]
    assert simulator.scratchpad[0x120:0x122].tolist() == expected[1][:2]


@pytest.mark.parametrize("loops", [1, 2])
def test_index_list_takes_the_place_of_the_counter(loops):
    indices = [3, 0, 0xFFFF_FFFF]
    a = Assembler()
    x = a.register("x")
    for number, index in enumerate(indices):
        a.move(x, index)
        a.store_word(x, 0x80 + 4 * number)
    a.load(256, 0x100, 1, repeat=(3, 16, 1), repeat2=(2, 5, 3) if loops == 2 else None, index=0x80)
    a.end()
    expected = [7 * (256 + 5 * outer + 16 * step) % 256 for outer in range(loops) for step in (3, 0, -1)]
    assert simulate(a).scratchpad[0x100 : 0x100 + 3 * loops].tolist() == expected


@pytest.mark.parametrize(
    "changes",
    [{"length": 0}, {"count": 0}, {"count2": 0}],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.parametrize("engine", [Engine.WEIGHTS, Engine.LOADS, Engine.STORES])
def test_nothing_to_move_looks_at_no_address(engine, changes):
    """Only the signal comes, whatever the addresses are."""
    everywhere = 0x7FF_FFFF
    names = ["memory", "local", "memory_stride", "local_stride", "memory_stride2", "local_stride2", "index"]
    fields = dict.fromkeys(names, everywhere) | {"length": 4, "count": 4, "count2": 4} | changes
    if engine == Engine.WEIGHTS:
        fields = {name: value for name, value in fields.items() if not name.startswith("local")}
    command = CommandInstruction(
        engine,
        signal=1,
        flags=DmaFlags.const({"dimensions": 2, "indexed": 1}).as_bits(),
        fields={name: Operand(0, value) for name, value in fields.items()},
    )
    simulate(encode(command, ScalarInstruction(ScalarOp.WAIT, rd=1), END))


@pytest.mark.parametrize("dimensions, indexed", [(3, 0), (0, 1), (3, 1)])
def test_loops_that_no_engine_has(dimensions, indexed):
    flags = DmaFlags.const({"dimensions": dimensions, "indexed": indexed}).as_bits()
    names = ["memory", "local", "length"]
    if dimensions:
        names += ["count", "memory_stride", "local_stride", "count2", "memory_stride2", "local_stride2"]
    fields = {name: Operand() for name in names + ["index"] * indexed}
    words = encode(
        ScalarInstruction(ScalarOp.FENCE), CommandInstruction(Engine.LOADS, flags=flags, fields=fields)
    )
    assert error_of(words) == (ErrorCode.PARAMETER, 1, flags)


@pytest.mark.parametrize("address", [PAD, 0x82, 0xFFF_FFFC])
def test_index_list_out_of_range_or_misaligned(address):
    a = Assembler()
    base = a.register("base")
    a.move(base, address)
    a.load(0, 0, 1, repeat=(2, 1, 1), index=base)
    assert error_of(a) == (ErrorCode.SCRATCHPAD, 2, address)


def test_windows_hold_reads_and_writes_apart():
    windows = {"read_window": Window(0x100, 0x200), "write_window": Window(0x400, 0x500)}
    a = Assembler()
    a.load(0x100, 0, 0x100)
    a.store(0, 0x400, 0x100)
    a.weights(0x1F0, 0x10)
    a.end()
    simulate(a, **windows)
    for memory, length, info in [
        (0xFF, 2, 0xFF),
        (0x1F0, 0x11, 0x200),
        (0x200, 1, 0x200),
        (0xF0, 0x200, 0xF0),
    ]:
        a = Assembler()
        a.load(memory, 0, length)
        assert error_of(a, **windows) == (ErrorCode.READ_WINDOW, 0, info)
    a = Assembler()
    a.weights(0x1F0, 0x20)
    assert error_of(a, **windows) == (ErrorCode.READ_WINDOW, 0, 0x200)
    for memory, length, info in [(0x100, 4, 0x100), (0x3FF, 4, 0x3FF), (0x4FF, 2, 0x500)]:
        a = Assembler()
        a.nop(Engine.STORES)
        a.store(0, memory, length)
        assert error_of(a, **windows) == (ErrorCode.WRITE_WINDOW, 1, info)


def test_runs_before_the_bad_one_are_done():
    a = Assembler()
    a.load(0, 0, 4, repeat=(3, MEMORY - 2, 4))
    simulator = FunctionalSimulator(CONFIG, np.full(MEMORY, 5, np.uint8))
    with pytest.raises(ProgramError):
        list(simulator.run(a.assemble()))
    assert simulator.scratchpad[:12].tolist() == [5] * 4 + [0] * 8


def test_no_run_wraps_around_the_address_space():
    a = Assembler()
    base = a.register("base")
    a.move(base, -2)
    a.load(base, 0, 4)
    assert error_of(a, read_window=Window(), write_window=Window())[0] == ErrorCode.READ_WINDOW


def test_addresses_without_memory():
    everything = {"read_window": Window(), "write_window": Window()}
    a = Assembler()
    a.load(MEMORY - 4, 0, 8)
    assert error_of(a, **everything) == (ErrorCode.READ_RESPONSE, 0, MEMORY)
    a = Assembler()
    a.store(0, MEMORY + 4, 8)
    assert error_of(a, **everything) == (ErrorCode.WRITE_RESPONSE, 0, MEMORY + 4)


def test_scratchpad_end_and_banks_bound_a_run():
    for local in (PAD - 3, PAD, 0xFFF_FFFC):
        a = Assembler()
        base = a.register("base")
        a.move(base, local)
        a.load(0, base, 4)
        assert error_of(a) == (ErrorCode.SCRATCHPAD, 2, local)
    a = Assembler()
    a.load(0, BANK - 4, 4, repeat=(2, 4, 4))  # one run on either side
    a.store(BANK - 2, 0, 4)
    assert error_of(a)[::2] == (ErrorCode.SCRATCHPAD, BANK - 2)


@pytest.mark.parametrize(
    "memory, length, info", [(4, WORD, 4), (WORD, 4, 4), (4, 12, 4), (2 * WORD, WORD + 1, WORD + 1)]
)
def test_weight_runs_are_aligned(memory, length, info):
    a = Assembler()
    a.weights(memory, length)
    assert error_of(a) == (ErrorCode.ALIGNMENT, 0, info)
