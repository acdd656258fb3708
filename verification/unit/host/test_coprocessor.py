# SPDX-License-Identifier: Apache-2.0
"""The host's end of a coprocessor: blocks, places, exchanges; products against numpy, over lines good and bad."""

import contextlib
import re
from pathlib import Path

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin.coprocessor.job import LONGEST, Shape
from tepin_host.compiler import Request, compile_model
from tepin_host.coprocessor import SerialCoprocessor, find_coprocessor
from tepin_host.coprocessor.estimate import Nowhere, traffic_per_token
from tepin_host.coprocessor.layout import Layout
from tepin_host.coprocessor.matrices import matrices
from tepin_host.errors import UserError
from tepin_host.runtime import Report, run_reference
from tepin_host.serial import SerialChip, SerialPort
from tepin_testbench.random_model import random_model
from verification.unit.host.fake_coprocessor import FakeCoprocessor
from verification.unit.host.fake_device import FakeChip, FakeDevice, Noise

_BAUD = 115_200


@contextlib.contextmanager
def connected(device, patience=5.0):
    """A `SerialChip` on a device made of Python."""
    with contextlib.closing(device), SerialChip(SerialPort(device.path, _BAUD), patience=patience) as chip:
        yield chip


def random_matrix(rng, k, n):
    return rng.integers(-128, 128, (k, n)).astype(np.int8)


def multiply(rng, coprocessor, w8, rows=1):
    a = rng.integers(-32639, 32640, (rows, len(w8)))
    np.testing.assert_array_equal(coprocessor.products(a, w8), a @ w8.astype(np.int64))


def load(coprocessor, given, monkeypatch):
    monkeypatch.setattr("tepin_host.coprocessor.driver.matrices", lambda executable: given)
    return coprocessor.load(None)


@pytest.mark.parametrize("columns", [4, 8])
def test_products_of_matrices_of_every_kind(rng, monkeypatch, columns):
    """Ragged ones, long ones that are cut into slices, those that stay and those that go over the line."""
    shapes = [(8, 8), (LONGEST, 12), (1, 1), (33, 7), (LONGEST + 3, 40), (64, 300), (2 * LONGEST + 50, 9)]
    given = [random_matrix(rng, *shape) for shape in shapes]
    with connected(FakeCoprocessor(Shape(columns, 1 << 15))) as chip:
        coprocessor = find_coprocessor(chip)
        load(coprocessor, given, monkeypatch)
        assert coprocessor.layout.kept and coprocessor.layout.streamed
        for w8 in given:
            multiply(rng, coprocessor, w8, rows=2)
        assert coprocessor.traffic.products == 2 * sum(k * n for k, n in shapes)


def test_what_was_not_loaded_is_multiplied_by_the_host(rng, monkeypatch):
    known = random_matrix(rng, 8, 8)
    device = FakeCoprocessor(Shape(4, 1 << 14))
    with connected(device) as chip:
        coprocessor = find_coprocessor(chip)
        load(coprocessor, [known], monkeypatch)
        multiply(rng, coprocessor, known + 1)
        multiply(rng, coprocessor, known.reshape(4, 16))
        assert device.jobs == 0
        multiply(rng, coprocessor, known)
        assert device.jobs == 1


def test_activations_go_over_the_line_once(rng, monkeypatch):
    given = [random_matrix(rng, 64, 8) for _ in range(2)]
    with connected(FakeCoprocessor(Shape(4, 1 << 14))) as chip:
        coprocessor = find_coprocessor(chip)
        load(coprocessor, given, monkeypatch)
        a, sent = rng.integers(-99, 99, (1, 64)), [0]
        for w8 in given:
            coprocessor.products(a, w8)
            sent.append(coprocessor.traffic.sent)
        assert sent[2] - sent[1] < sent[1] - sent[0] - 128


def test_matrices_are_sent_once(rng, monkeypatch):
    given = [random_matrix(rng, 64, 64)]
    with connected(FakeCoprocessor(Shape(4, 1 << 14))) as chip:
        coprocessor = find_coprocessor(chip)
        assert load(coprocessor, given, monkeypatch) == 4096
        assert load(coprocessor, given, monkeypatch) == 0


def test_a_noisy_line_changes_nothing(rng, monkeypatch):
    """Jobs are done more often than without, and all sums are right."""
    given = [random_matrix(rng, 30, 90), random_matrix(rng, 530, 8)]
    noise = Noise(rng)
    device = FakeCoprocessor(Shape(4, 1 << 14), noise=noise)
    with connected(device, patience=0.1) as chip:
        coprocessor = find_coprocessor(chip)
        load(coprocessor, given, monkeypatch)
        noise.rate = 0.001
        for _ in range(3):
            for w8 in given:
                multiply(rng, coprocessor, w8)
        assert chip.repeated > 0
        assert device.jobs >= coprocessor.traffic.jobs


def test_sums_that_have_no_room_at_once(rng, monkeypatch):
    """More of them than the scratch holds: several exchanges."""
    given = [random_matrix(rng, 4, 1200)]
    with connected(FakeCoprocessor(Shape(4, 1 << 13))) as chip:
        coprocessor = find_coprocessor(chip)
        load(coprocessor, given, monkeypatch)
        multiply(rng, coprocessor, given[0])
        assert coprocessor.layout.kept and coprocessor.traffic.exchanges > 1


def test_a_matrix_that_does_not_fit():
    with pytest.raises(
        UserError, match="a matrix of 2,000 rows does not fit: the coprocessor has 4,096 bytes"
    ):
        Layout(Shape(4, 1 << 12), [np.zeros((2000, 4), np.int8)])


def test_a_chip_is_no_coprocessor():
    with connected(FakeDevice(FakeChip(PRESETS["tiny"], 1 << 12))) as chip:
        assert find_coprocessor(chip) is None


def test_a_coprocessor_of_another_release():
    device = FakeCoprocessor(Shape(4, 1 << 12), identity=Shape(4, 1 << 12).hash + 1)
    with connected(device) as chip:
        with pytest.raises(UserError, match="must be 4, 8 or 16, not 5; load the bitstream of this release"):
            find_coprocessor(chip)


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_matrices_of_an_executable(weights):
    """As many as the program has, with the right shapes; that their contents are right, whole runs show."""
    model = random_model(1, n_layers=2, vocab_size=50)
    executable = compile_model(model, PRESETS["tiny"], weights=weights)
    found = [w8.shape for w8 in matrices(executable)]
    layer = [(k, n) for n, k in executable.plan.shapes.values()]
    assert found[:14] == [*layer, *layer]
    assert sum(n for _, n in found[14:]) == 50 and {k for k, _ in found[14:]} == {32}


def test_the_table_of_the_page():
    """Cycles of line and array: frames as the driver makes them, and the core's formula."""
    page = (Path(__file__).parents[3] / "docs" / "coprocessor.md").read_text()
    rows = re.findall(r"^\| (\d+) x (\d+) \| ([\d,]+) \| ([\d,]+) \|$", page, re.M)
    assert len(rows) == 3
    for k, n, line, array in ([int(figure.replace(",", "")) for figure in row] for row in rows):
        traffic = SerialCoprocessor(Nowhere(), Shape(4, 1 << 18))
        w8 = np.zeros((k, n), np.int8)
        traffic.layout = Layout(traffic.shape, [w8])
        traffic.products(np.ones((1, k)), w8)
        moved = traffic.traffic.sent + traffic.traffic.received
        # The addresses of a job may have to be escaped.
        assert abs(80 * moved - line) <= 80 * 8
        assert traffic.traffic.cycles == array


@pytest.mark.parametrize("kibibytes", [8, 64])
def test_the_estimate_is_what_a_token_takes(kibibytes):
    """In jobs, exchanges and cycles exactly; on the line up to bytes that have to be escaped."""
    executable, shape = compile_model(random_model(1), PRESETS["tiny"]), Shape(4, kibibytes << 10)
    with connected(FakeCoprocessor(shape)) as chip:
        coprocessor = find_coprocessor(chip)
        coprocessor.load(executable)
        list(run_reference(executable, Request([1], 1, stop=()), Report(), products=coprocessor.products))
    found, expected = coprocessor.traffic, traffic_per_token(executable, shape)
    for name in ("exchanges", "jobs", "products", "cycles"):
        assert getattr(found, name) == getattr(expected, name), name
    for name in ("sent", "received"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=0.03)
