# SPDX-License-Identifier: Apache-2.0
"""What surrounds a simulated board: its terminal, how it is found, and `tepin run --board`, all without compiling one."""

import contextlib
import os
import time

import pytest

from tepin_host import boards
from tepin_host.boards import BoardTwin, find_twin
from tepin_host.errors import UserError
from tepin_host.serial import SerialPort
from tepin_host.simulation.terminal import Terminal
from verification.unit.host.commandline import assert_user_error

_PATIENCE = 20.0  # seconds until a test has failed; it is never waited for in one that passes


class EchoBoard:
    """In the place of a `BoardSimulator`: a line that sends back what it gets, `rate` bytes in each run."""

    def __init__(self, rate=100):
        self._rate = rate
        self._line, self._back = bytearray(), bytearray()
        self.cycle = self.violations = self.most = 0

    @property
    def waiting(self):
        return len(self._line)

    def send(self, data):
        self._line += data
        self.most = max(self.most, len(self._line))

    def receive(self):
        result, self._back = bytes(self._back), bytearray()
        return result

    def run(self, cycles):
        self.cycle += cycles
        self._back += self._line[: self._rate]
        del self._line[: self._rate]
        return cycles


def read(port, count):
    data, deadline = b"", time.monotonic() + _PATIENCE
    while len(data) < count:
        assert time.monotonic() < deadline, f"{len(data)} of {count} bytes have come"
        data += port.read(0.1)
    return data


def test_bytes_go_through_unchanged_in_both_directions(rng):
    data = bytes(range(256)) + rng.bytes(20_000)
    board = EchoBoard(rate=7)
    with Terminal(board) as terminal, contextlib.closing(SerialPort(terminal.name, 115_200)) as port:
        for start in range(0, len(data), 1000):
            port.write(data[start : start + 1000])
            assert read(port, len(data[start : start + 1000])) == data[start : start + 1000]
    assert board.most < 8192  # what is ahead of the line waits in the terminal


def test_a_port_may_be_opened_again():
    with Terminal(EchoBoard()) as terminal:
        for text in (b"one", b"two"):
            with contextlib.closing(SerialPort(terminal.name, 115_200)) as port:
                port.write(text)
                assert read(port, 3) == text


def test_the_clock_stands_still_in_a_pause():
    with Terminal(EchoBoard()) as terminal:
        with terminal.paused() as board:
            before = board.cycle
            time.sleep(0.05)
            assert board.cycle == before
        deadline = time.monotonic() + _PATIENCE
        while board.cycle == before:
            assert time.monotonic() < deadline


def test_a_violation_unplugs_the_board():
    board = EchoBoard()
    with Terminal(board) as terminal, contextlib.closing(SerialPort(terminal.name, 115_200)) as port:
        port.write(b"x")
        assert read(port, 1) == b"x"
        board.violations = 4
        with pytest.raises(UserError, match="has gone away"):
            deadline = time.monotonic() + _PATIENCE
            while time.monotonic() < deadline:
                port.write(b"x")
                port.read(0.1)
        assert terminal.violations == 4
        assert not os.path.exists(terminal.name)


def test_boards_are_found():
    assert isinstance(find_twin("ulx3s-85f"), BoardTwin)
    with pytest.raises(UserError, match="unknown board 'moon'; boards are .*ulx3s-85f"):
        find_twin("moon")


def test_a_package_that_cannot_be_loaded(monkeypatch):
    class Broken:
        name = "broken"

        def load(self):
            raise ImportError("no module named moon")

    monkeypatch.setattr(boards, "entry_points", lambda group: [Broken()])
    with pytest.raises(UserError, match="boards of 'broken' cannot be loaded: no module named moon"):
        find_twin("moon")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--board", "moon"], "unknown board 'moon'"),
        (["--board", "ulx3s-85f", "--device", "/dev/null"], "--device and --board exclude each other"),
        (["--board", "ulx3s-85f", "--backend", "reference"], "--board and --backend exclude each other"),
        (["--board", "ulx3s-85f", "--memory", "16,20"], "--memory is for simulations of the chip alone"),
        (["--board", "ulx3s-85f", "--config", "tiny"], "the SDRAM 16"),
        (["--board", "ulx3s-85f", "--config", "nonsense"], "unknown preset 'nonsense'"),
    ],
)
def test_what_is_wrong_on_the_command_line(capsys, tmp_path, arguments, message):
    argv = ["run", *arguments, "--json", tmp_path / "result.json"]
    assert_user_error(capsys, tmp_path, argv, message)
