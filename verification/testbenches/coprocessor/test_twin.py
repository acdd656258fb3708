# SPDX-License-Identifier: Apache-2.0
"""The coprocessor on its twin: what is synthesised, from its serial pins inwards, and the driver that a user's port gets."""

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin.coprocessor.coprocessor import Coprocessor
from tepin.coprocessor.job import JOB_ADDRESS, Job, Shape
from tepin.io.protocol import Request as Code
from tepin_host.compiler import Request, compile_model
from tepin_host.coprocessor import find_coprocessor
from tepin_host.runtime import Report, run_reference
from tepin_host.serial.link import Command
from tepin_host.simulation.serial_twin import start_serial_twin
from tepin_testbench import options
from tepin_testbench.random_model import random_model

_SHAPE = Shape(4, 1 << 14)


@pytest.fixture(scope="module")
def device():
    system = Coprocessor(_SHAPE, clock_hz=24_000_000, baud=6_000_000)
    with start_serial_twin(system) as chip:
        yield chip


@pytest.mark.parametrize("weights, vocabulary", [("int8", 64), ("int4", 20)])
def test_a_model_says_what_it_says_on_the_chip(device, weights, vocabulary):
    """The larger one has matrices that do not fit."""
    model = random_model(options.seed(), vocab_size=vocabulary, n_layers=1 if vocabulary == 20 else 2)
    executable = compile_model(model, PRESETS["tiny"], weights=weights)
    request = Request([1, 7], 3, seed=3, temperature=1.0, stop=())
    coprocessor = find_coprocessor(device)
    assert coprocessor.shape == _SHAPE and coprocessor.clock_hz == 24_000_000
    coprocessor.load(executable)
    assert bool(coprocessor.layout.streamed) == (vocabulary == 64)
    expected, report = Report(), Report()
    tokens = list(run_reference(executable, request, expected))
    assert list(run_reference(executable, request, report, products=coprocessor.products)) == tokens
    np.testing.assert_array_equal(report.logits.view(np.uint32), expected.logits.view(np.uint32))
    assert device.repeated == 0 and coprocessor.traffic.jobs


def test_cycles_of_a_job(device):
    """A read of the job's address gives them; the driver counts them by the formula."""
    for groups, tiles in ((1, 1), (40, 7)):
        job = Job(0, 0, 0, groups, tiles).encode()
        write = Command(Code.WRITE_MEMORY, len(job), JOB_ADDRESS, job)
        _, answer = device.accesses([write, Command(Code.READ_MEMORY, 4, JOB_ADDRESS)])
        assert int.from_bytes(answer, "little") == _SHAPE.cycles(groups, tiles)


def test_there_are_no_registers(device):
    with pytest.raises(RuntimeError, match="DECERR"):
        device.read(0)
    with pytest.raises(RuntimeError, match="DECERR"):
        device.write(0, 1)
    with pytest.raises(RuntimeError, match="DECERR"):
        device.dump(_SHAPE.memory_bytes, 1)
