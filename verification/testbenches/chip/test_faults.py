# SPDX-License-Identifier: Apache-2.0
"""How programs fail on the whole chip: the right code, place and value; memory untouched; and the next program runs.

Every fault stands behind a part of a program that works, and before one that must not be reached. The functional simulator
has to say the same; where it knows less, `Fault.reference` says how much.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from tepin.isa import (
    DmaFlags,
    Engine,
    EngineOp,
    ErrorCode,
    Function,
    Header,
    Reduction,
    ScalarOp,
    ScalarWord,
    VectorFlags,
)
from tepin_host.assembler import Scalar, Vector
from tepin_reference.dma import Window
from tepin_reference.simulator import FunctionalSimulator, ProgramError
from verification.testbenches.chip.guarded import MEMORY_BYTES, READABLE, WRITABLE, GuardedChip, assemble
from verification.testbenches.chip.runs import TINY

END = TINY.scratchpad_bytes
SCRATCH = 0x2000  # where no fault is, and nothing but zeros
EVERYTHING = Window(0, 1 << 32)
TOKEN, UNREACHED = 0x1234, 0x4321
WATCHDOG = 400


@dataclass(frozen=True)
class Fault:
    """An instruction that must fail.

    Members
    -------
    code, info : ErrorCode, int
        What the error registers show.
    write : callable(Assembler)
        Appends the instruction.
    words : list of int
        Or the instruction itself, if no assembler would write it.
    reference : str
        How much of this the functional simulator says: "all", "place" (code and program counter), or "code".
    late : bool
        The program counter is that of the FENCE behind the instruction: where the sequencer waits.
    open : bool
        The windows are open: everything may be read and written.
    broken : int
        From this address on, as far as there is memory, it answers SLVERR. The functional simulator sees no memory there.
    touched : range
        Addresses to which the instruction may have stored before it failed.
    """

    code: ErrorCode
    info: int
    write: Callable | None = None
    words: tuple = ()
    reference: str = "all"
    late: bool = False
    open: bool = False
    broken: int = MEMORY_BYTES
    touched: range = range(0)


def raw(engine, flags, fields):
    """Words of a command with these flags and as many zeros for fields."""
    header = Header.const({"engine": engine, "op": EngineOp.RUN, "length": 1 + fields})
    return (header.as_bits(), flags.as_bits(), *[0] * fields)


def matmul(**changes):
    """A matmul that works but for the changes."""
    arguments = {
        "m": 1, "k": 8, "n": 8, "activations": SCRATCH, "output": SCRATCH, "scale": SCRATCH, "scratch_weights": SCRATCH,
        "maximum": SCRATCH,
    } | changes  # fmt: skip
    return lambda a: a.matmul(**arguments)


def vector(**changes):
    """A vector command that works but for the changes."""
    arguments = {"a": Vector(SCRATCH), "b": Vector(SCRATCH), "d": Vector(SCRATCH)} | changes
    return lambda a: a.vector(Function.ADD, 4, **arguments)


ILLEGAL, PARAMETER, SCRATCHPAD = (
    ErrorCode.ILLEGAL_INSTRUCTION,
    ErrorCode.PARAMETER,
    ErrorCode.SCRATCHPAD,
)
RESERVED = ScalarWord.const({"op": ScalarOp.ADD, "reserved": 1}).as_bits()
NO_LINK = Header.const({"engine": Engine.LINK, "op": EngineOp.NOP}).as_bits()
THREE_LOOPS = DmaFlags.const({"dimensions": 3})
NO_FUNCTION = VectorFlags.const({"function": Function.COPY, "reduction": Reduction.NONE}).as_bits() | 31
UNDECIDED = VectorFlags.const({"function": Function.COPY, "reduction": Reduction.NONE})

FAULTS = {
    # Instructions
    "no instruction": Fault(ILLEGAL, 0, words=(0,)),
    "reserved bits": Fault(ILLEGAL, RESERVED, words=(RESERVED,)),
    "no such engine": Fault(ILLEGAL, NO_LINK, words=(NO_LINK,)),
    "wrong length": Fault(ILLEGAL, 0, words=raw(Engine.VECTOR, UNDECIDED, 5), reference="place"),
    "jump": Fault(ILLEGAL, TINY.program_words, lambda a: a.jump(TINY.program_words)),
    "software": Fault(ErrorCode.SOFTWARE, 0xBAD, lambda a: a.fail(0xBAD)),
    "semaphore": Fault(
        ErrorCode.SEMAPHORE, 5, lambda a: [a.signal(5) for _ in range(256)], reference="code", late=True
    ),
    # Windows
    "load below": Fault(ErrorCode.READ_WINDOW, 0xFFF, lambda a: a.load(0xFFF, SCRATCH, 4)),
    "load beyond": Fault(ErrorCode.READ_WINDOW, 0x6000, lambda a: a.load(0x5F01, SCRATCH, 0x100)),
    "load elsewhere": Fault(ErrorCode.READ_WINDOW, 0x7000, lambda a: a.load(0x7000, SCRATCH, 4)),
    "load of a row": Fault(
        ErrorCode.READ_WINDOW, 0x6001, lambda a: a.load(0x5001, SCRATCH, 4, repeat=(9, 0x400, 4))
    ),
    "weights below": Fault(ErrorCode.READ_WINDOW, 0xFF8, lambda a: a.weights(0xFF8, 64)),
    "weights beyond": Fault(ErrorCode.READ_WINDOW, 0x6000, lambda a: a.weights(0x5FC0, 0x80)),
    "store below": Fault(ErrorCode.WRITE_WINDOW, 0x3FFF, lambda a: a.store(SCRATCH, 0x3FFF, 2)),
    "store beyond": Fault(
        ErrorCode.WRITE_WINDOW,
        0x8000,
        lambda a: a.store(SCRATCH, 0x7F81, 0x100),
        touched=range(0x7F81, 0x8000),
    ),
    "store elsewhere": Fault(ErrorCode.WRITE_WINDOW, 0x1000, lambda a: a.store(SCRATCH, 0x1000, 64)),
    # Answers of the memory
    "load behind the memory": Fault(
        ErrorCode.READ_RESPONSE, MEMORY_BYTES, lambda a: a.load(MEMORY_BYTES - 32, SCRATCH, 64), open=True
    ),
    "weights behind the memory": Fault(
        ErrorCode.READ_RESPONSE, MEMORY_BYTES, lambda a: a.weights(MEMORY_BYTES - 64, 128), open=True
    ),
    "store behind the memory": Fault(
        ErrorCode.WRITE_RESPONSE,
        MEMORY_BYTES,
        lambda a: a.store(SCRATCH, MEMORY_BYTES - 32, 64),
        open=True,
        touched=range(MEMORY_BYTES - 32, MEMORY_BYTES),
    ),
    "load from broken memory": Fault(
        ErrorCode.READ_RESPONSE, 0x4800, lambda a: a.load(0x47F1, SCRATCH, 64), broken=0x4800
    ),
    "weights from broken memory": Fault(
        ErrorCode.READ_RESPONSE, 0x4810, lambda a: a.weights(0x4400, 0x1000), broken=0x4810
    ),
    "store to broken memory": Fault(
        ErrorCode.WRITE_RESPONSE,
        0x4840,
        lambda a: a.store(SCRATCH, 0x47F1, 0x100),
        broken=0x4840,
        touched=range(0x47F1, 0x4840),
    ),
    # Scratchpad
    "load into nowhere": Fault(SCRATCHPAD, END + 8, lambda a: a.load(0x1000, END + 8, 4)),
    "load over the end": Fault(SCRATCHPAD, END, lambda a: a.load(0x1000, END - 4, 16), reference="place"),
    "store from nowhere": Fault(SCRATCHPAD, END + 8, lambda a: a.store(END + 8, 0x4000, 4)),
    "index in nowhere": Fault(
        SCRATCHPAD, END, lambda a: a.load(0x1000, SCRATCH, 4, repeat=(2, 4, 4), index=END)
    ),
    "word from nowhere": Fault(SCRATCHPAD, END, lambda a: a.load_word(None, END)),
    "word from between": Fault(SCRATCHPAD, 6, lambda a: a.load_word(None, 6)),
    "word into nowhere": Fault(SCRATCHPAD, 0xFFFFFFFC, lambda a: a.store_word(None, -4)),
    "vector source": Fault(SCRATCHPAD, END - 8, vector(b=Vector(END - 8))),
    "vector scalar": Fault(SCRATCHPAD, END, vector(a=Scalar(END))),
    "vector result": Fault(SCRATCHPAD, END, vector(d=Vector(END))),
    "vector reduction": Fault(SCRATCHPAD, END + 4, vector(reduce=(Reduction.SUM, END + 4))),
    "vector between": Fault(SCRATCHPAD, SCRATCH + 2, vector(a=Vector(SCRATCH + 2))),
    "matmul activations": Fault(SCRATCHPAD, END, matmul(activations=END)),
    "matmul weights": Fault(SCRATCHPAD, END, matmul(scratch_weights=END)),
    "matmul scale": Fault(SCRATCHPAD, END, matmul(scale=END)),
    "matmul output": Fault(SCRATCHPAD, END, matmul(output=END)),
    "matmul maximum": Fault(SCRATCHPAD, END, matmul(maximum=END)),
    # Parameters
    "matmul m = 0": Fault(PARAMETER, 0, matmul(m=0)),
    "matmul m too large": Fault(PARAMETER, 5, matmul(m=5)),
    "matmul k = 0": Fault(PARAMETER, 0, matmul(k=0)),
    "matmul k too large": Fault(PARAMETER, 131072, matmul(k=131072)),
    "matmul n = 0": Fault(PARAMETER, 0, matmul(n=0)),
    "maximum of integers": Fault(PARAMETER, 0b110001 | 1 << 3, matmul(scale=None)),
    "three loops": Fault(PARAMETER, 3, words=raw(Engine.STORES, THREE_LOOPS, 9)),
    "index without loop": Fault(PARAMETER, 4, lambda a: a.load(0x1000, SCRATCH, 4, index=SCRATCH)),
    "no such function": Fault(
        PARAMETER, NO_FUNCTION, words=raw(Engine.VECTOR, VectorFlags.from_bits(NO_FUNCTION), 1)
    ),
    "weights between words": Fault(ErrorCode.ALIGNMENT, 0x1004, lambda a: a.weights(0x1004, 64)),
    "weights of half a word": Fault(ErrorCode.ALIGNMENT, 60, lambda a: a.weights(0x1000, 60)),
    # Waits without end. `info` has a bit for each engine that is busy.
    "sequencer waits": Fault(ErrorCode.TIMEOUT, 0, lambda a: a.wait(7), reference="place"),
    "engine waits": Fault(
        ErrorCode.TIMEOUT, 0b10000, lambda a: a.nop(Engine.VECTOR, wait=7), reference="code", late=True
    ),
    "no weights come": Fault(
        ErrorCode.TIMEOUT, 0b01000, matmul(scratch_weights=None), reference="code", late=True
    ),
}


def setup(a):
    """What works: moves some bytes, doubles some numbers, pushes a token."""
    a.load(0x1000, 0, 0x80, signal=1)
    a.vector(Function.ADD, 32, a=Vector(0), b=Vector(0), d=Vector(0), wait=1, signal=2)
    a.store(0, 0x4100, 0x80, wait=2, signal=3)
    a.wait(3)
    with a.temporary("token") as token:
        a.move(token, TOKEN)
        a.push(token)
    a.fence()


def teardown(a):
    """What must not be reached."""
    a.fence()
    with a.temporary("token") as token:
        a.move(token, UNREACHED)
        a.push(token)
    a.store(0, 0x4200, 0x80)
    a.end()


@pytest.fixture
def chip(rng):
    return GuardedChip(rng.integers(0, 256, MEMORY_BYTES, np.uint8))


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name, chip):
    fault = FAULTS[name]
    before = assemble(setup)
    words = [*before, *(fault.words or assemble(fault.write)), *assemble(teardown)]
    windows = (EVERYTHING, EVERYTHING) if fault.open else (READABLE, WRITABLE)

    memory = chip.memory.copy()[: fault.broken]
    simulator = FunctionalSimulator(TINY, memory, read_window=windows[0], write_window=windows[1])
    tokens = []
    with pytest.raises(ProgramError) as caught:
        for token in simulator.run(words):
            tokens.append(token)
    expected = caught.value
    assert tokens == [TOKEN]

    # What the program did before; the functional simulator does nothing of an instruction that fails.
    old = chip.memory.copy()
    old[: fault.broken] = memory
    chip.simulator.fault(fault.broken, MEMORY_BYTES)
    if fault.code == ErrorCode.TIMEOUT:
        chip.driver.write("WATCHDOG", WATCHDOG)
    chip.start(words, read=windows[0], write=windows[1])
    tokens, error = chip.finish()
    assert tokens == [TOKEN]
    assert (error.code, error.info) == (fault.code, fault.info), f"{error}"
    if not fault.late:
        assert error.pc == len(before)
    assert error.code == expected.code
    if fault.reference != "code":
        assert error.pc == expected.pc
    if fault.reference == "all":
        assert error.info == expected.info
    changed = np.flatnonzero(chip.memory != old)
    assert all(address in fault.touched for address in changed), f"memory changed at {changed}"
    assert not chip.memory[changed].any(), "a byte is neither what it was nor the zero that was to be stored"
    chip.assert_works()
