# SPDX-License-Identifier: Apache-2.0
"""Semaphores on the functional simulator: counting, waiting, and waiting for nobody."""

import numpy as np
import pytest

from tepin.isa import Engine, ErrorCode
from tepin_host.assembler import Assembler
from tepin_reference.simulator import FunctionalSimulator, ProgramError
from verification.unit.reference.programs import CONFIG, error_of, simulate


def test_semaphores_count():
    a = Assembler()
    s = a.semaphore("s")
    for _ in range(3):
        a.signal(s)
    a.nop(Engine.VECTOR, wait=s, signal=s)
    for _ in range(3):
        a.wait(s)
    a.nop(Engine.LOADS, wait=s)
    assert error_of(a) == (ErrorCode.TIMEOUT, 7, s)


def test_semaphore_zero_is_none():
    a = Assembler()
    a.wait(0)
    a.signal(0)
    a.nop(Engine.LOADS, wait=0, signal=0)
    a.end()
    simulate(a)


def test_wait_for_nobody():
    a = Assembler()
    s = a.semaphore("s")
    a.load(0, 0, 4, signal=s)
    a.wait(s)
    a.wait(s)
    assert error_of(a) == (ErrorCode.TIMEOUT, 6, s)


def test_command_waits_before_anything_happens():
    a = Assembler()
    a.load(0, 0, 4, wait=a.semaphore("s"))
    simulator = FunctionalSimulator(CONFIG, np.full(64, 9, np.uint8))
    with pytest.raises(ProgramError, match="nobody has signalled semaphore 1"):
        list(simulator.run(a.assemble()))
    assert not simulator.scratchpad.any()


def test_semaphore_overflow():
    a = Assembler()
    s, count = a.semaphore("s"), a.register("count")
    a.move(count, 255)
    with a.loop(count):
        a.signal(s)
    a.nop(Engine.VECTOR, signal=s)
    assert error_of(a) == (ErrorCode.SEMAPHORE, 5, s)
