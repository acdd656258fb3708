# SPDX-License-Identifier: Apache-2.0
"""Vector commands on the functional simulator: overlapping operands, and every error with its info."""

import numpy as np
import pytest

from tepin.isa import ErrorCode, Function, VectorFlags
from tepin_host.assembler import Assembler, Scalar, Strided, Vector
from tepin_reference.simulator import FunctionalSimulator, ProgramError
from verification.unit.reference.programs import CONFIG, PAD, error_of, simulate


def vector_error(**operands):
    a = Assembler()
    a.fence()
    a.vector(
        Function.ADD, 4, rows=2, **{"a": Vector(0x100), "b": Scalar(0x40), "d": Vector(0x200)} | operands
    )
    return error_of(a)


def test_vector_operands_misaligned_or_out_of_range():
    for name in "abcd":
        assert vector_error(**{name: Vector(0x102)}) == (ErrorCode.SCRATCHPAD, 1, 0x102)
        assert vector_error(**{name: Vector(PAD - 28)}) == (ErrorCode.SCRATCHPAD, 1, PAD - 28)
        for walk in (
            Strided(0x100, stride=2, row_stride=4),
            Strided(0x100, stride=4, row_stride=6),
            Strided(0x100, stride=-4, row_stride=-0x100),
            Strided(0x100, stride=PAD // 3, row_stride=4),
        ):
            assert vector_error(**{name: walk}) == (ErrorCode.SCRATCHPAD, 1, 0x100)


def test_nothing_is_written_before_all_operands_are_known_to_be_good():
    a = Assembler()
    a.vector(Function.ADD, 4, a=Scalar(0x40), b=Scalar(PAD), d=Vector(0x200))
    simulator = FunctionalSimulator(CONFIG, np.zeros(0, np.uint8))
    simulator.scratchpad[:] = 1
    with pytest.raises(ProgramError):
        list(simulator.run(a.assemble()))
    assert (simulator.scratchpad == 1).all()


@pytest.mark.parametrize("shape", [{"n": 0}, {"n": 4, "rows": 0}])
def test_empty_vector_command_looks_at_no_address(shape):
    a = Assembler()
    s = a.semaphore("s")
    a.vector(Function.COPY, **shape, a=Vector(0x7FF_FFFF), d=Vector(0x7FF_FFFF), signal=s)
    a.wait(s)
    a.end()
    simulate(a)


@pytest.mark.parametrize("member, value", [("function", 31), ("reduction", 7)])
def test_unknown_function_or_reduction(member, value):
    a = Assembler()
    a.vector(Function.COPY, 4, a=Vector(0), d=Vector(0x100), reduce=(1, 0x200))
    words = a.assemble()
    place = VectorFlags.as_shape()[member]
    words[1] = words[1] & ~((1 << place.width) - 1 << place.offset) | value << place.offset
    assert error_of(words) == (ErrorCode.PARAMETER, 0, words[1])


def test_last_element_stays_where_results_overlap():
    a = Assembler()
    a.vector(Function.COPY, 4, rows=2, a=Vector(0x100), d=Scalar(0x200))
    a.vector(Function.COPY, 4, rows=2, a=Vector(0x100), d=Strided(0x210, stride=4, row_stride=4))
    a.vector(Function.COPY, 4, rows=2, a=Vector(0x100), d=Strided(0x230, stride=0, row_stride=4))
    a.vector(Function.COPY, 4, rows=2, a=Vector(0x100), d=Strided(0x24C, stride=-4, row_stride=0))
    a.end()
    simulator = FunctionalSimulator(CONFIG, np.zeros(0, np.uint8))
    simulator.scratchpad[0x100:0x120].view("<f4")[:] = range(1, 9)
    assert list(simulator.run(a.assemble())) == []
    floats = lambda address, count: simulator.scratchpad[address:][: 4 * count].view("<f4").tolist()  # noqa: E731
    assert floats(0x200, 1) == [8]
    assert floats(0x210, 5) == [1, 5, 6, 7, 8]
    assert floats(0x230, 2) == [4, 8]
    assert floats(0x240, 4) == [8, 7, 6, 5]


def test_operand_may_be_its_own_result():
    a = Assembler()
    a.vector(Function.ADD, 4, a=Vector(0x100), b=Scalar(0x10C), d=Vector(0x100))
    a.end()
    simulator = FunctionalSimulator(CONFIG, np.zeros(0, np.uint8))
    simulator.scratchpad[0x100:0x110].view("<f4")[:] = [1, 2, 3, 4]
    assert list(simulator.run(a.assemble())) == []
    assert simulator.scratchpad[0x100:0x110].view("<f4").tolist() == [5, 6, 7, 8]
