# SPDX-License-Identifier: Apache-2.0
"""Matmul commands on the functional simulator: their weights, their rows, and every error with its info."""

import numpy as np
import pytest

from tepin.isa import ActivationType, ErrorCode
from tepin_host.assembler import Assembler
from tepin_reference.simulator import FunctionalSimulator, ProgramError
from verification.unit.reference.programs import BANK, CONFIG, PAD, WORD, error_of, pattern

JOB = {"m": 1, "k": 2, "n": 4, "activations": 0x100, "output": 0x200, "scale": 0x80, "scales": False}


def test_weights_pass_the_fifo_in_order_and_whole_words():
    a = Assembler()
    x = a.register("x")
    a.move(x, 1 | 1 << 16)
    a.store_word(x, 0x100)
    a.move(x, 0x3F80_0000)
    a.store_word(x, 0x80)
    a.weights(0, 2 * WORD, repeat=(2, 1024))
    for number in range(4):
        # 6 bytes each; the rest of the word is dropped.
        a.matmul(**JOB | {"n": 3, "output": 0x200 + 16 * number}, observe=number != 1)
    a.matmul(**JOB)
    simulator = FunctionalSimulator(CONFIG, pattern())
    with pytest.raises(ProgramError) as error:
        list(simulator.run(a.assemble()))
    assert (error.value.code, error.value.info) == (ErrorCode.TIMEOUT, WORD)
    codes = simulator.memory.view(np.int8).astype(int)
    starts = [0, WORD, 1024, 1024 + WORD]
    sums = [(codes[start : start + 3] + codes[start + 3 : start + 6]).tolist() for start in starts]
    assert [simulator.scratchpad[0x200 + 16 * i :][:12].view("<f4").tolist() for i in range(4)] == sums
    assert [y.tolist() for y in simulator.observed] == [[sums[0]], [sums[2]], [sums[3]]]


@pytest.mark.parametrize(
    "changes, code, info",
    [
        ({"m": 0}, ErrorCode.PARAMETER, 0),
        ({"m": CONFIG.accumulator_rows + 1}, ErrorCode.PARAMETER, CONFIG.accumulator_rows + 1),
        ({"k": 0}, ErrorCode.PARAMETER, 0),
        ({"k": 131_072}, ErrorCode.PARAMETER, 131_072),
        ({"n": 0}, ErrorCode.PARAMETER, 0),
        ({"activations": 0x102}, ErrorCode.SCRATCHPAD, 0x102),
        ({"activations": PAD}, ErrorCode.SCRATCHPAD, PAD),
        ({"activation_stride": 6}, ErrorCode.SCRATCHPAD, 6),
        ({"output": 0x201}, ErrorCode.SCRATCHPAD, 0x201),
        ({"output": BANK - 4}, ErrorCode.SCRATCHPAD, BANK - 4),
        ({"output_stride": 10}, ErrorCode.SCRATCHPAD, 10),
        ({"scale": 0x82}, ErrorCode.SCRATCHPAD, 0x82),
        ({"maximum": 0x83}, ErrorCode.SCRATCHPAD, 0x83),
        ({"maximum": PAD}, ErrorCode.SCRATCHPAD, PAD),
        ({"scratch_weights": 0x302}, ErrorCode.SCRATCHPAD, 0x302),
        ({"scratch_weights": PAD - 4}, ErrorCode.SCRATCHPAD, PAD - 4),
    ],
)
def test_matmul_parameters(changes, code, info):
    a = Assembler()
    a.fence()
    a.matmul(**{"scratch_weights": 0x300} | JOB | changes)
    assert error_of(a) == (code, 1, info)


def test_int32_results_have_no_maxima():
    a = Assembler()
    a.matmul(**JOB | {"scale": None, "maximum": 0x400})
    words = a.assemble()
    assert error_of(words) == (ErrorCode.PARAMETER, 0, words[1])


def test_rows_of_a_matmul_may_go_backwards():
    a = Assembler()
    job = JOB | {"m": 2, "activation_stride": -4, "output_stride": -16, "scale": None}
    a.matmul(**job, scratch_weights=0x300, activation_type=ActivationType.INT8)
    a.end()
    simulator = FunctionalSimulator(CONFIG, np.zeros(0, np.uint8))
    simulator.scratchpad[0xFC:0x102] = [1, 0, 0, 0, 0, 1]
    simulator.scratchpad[0x300:0x308] = range(8)
    assert list(simulator.run(a.assemble())) == []
    assert simulator.scratchpad[0x1F0:0x210].view("<i4").tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
