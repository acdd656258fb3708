# SPDX-License-Identifier: Apache-2.0
"""The host's end of the link, over a pseudo-terminal: what works, what a bad line does, what is said of a lost one."""

import os
import threading

import numpy as np
import pytest

from tepin.boot import SelfTestState, SelfTestStatus
from tepin.config import PRESETS
from tepin.control.registers import register
from tepin.io.protocol import Request
from tepin_host.driver import ChipDriver
from tepin_host.errors import UserError
from tepin_host.selftest import Part
from tepin_host.serial import Link, SerialChip, open_port
from tepin_host.serial.link import Command
from verification.unit.host.fake_device import FakeChip, FakeDevice, Noise

TINY = PRESETS["tiny"]
BAUD = 3_000_000


@pytest.fixture
def device():
    """A device with a quiet line."""
    fake = FakeDevice(FakeChip(TINY, 1 << 16))
    yield fake
    if fake.unplug_after != 0:
        fake.close()


@pytest.fixture
def chip(device):
    with SerialChip(open_port(device.path)) as chip:
        yield chip


def test_identity(device, chip):
    identity = chip.identity
    assert (identity.config_hash, identity.memory_bytes) == (TINY.hash, 1 << 16)
    assert chip.name == device.path
    ChipDriver(chip).identify(TINY)
    with pytest.raises(UserError, match="the chip's configuration is"):
        ChipDriver(chip).identify(PRESETS["sim"])


RUNNING, PASSED, FAILED = (
    SelfTestStatus.const({"state": state, "part": Part.MEMORY}).as_bits()
    for state in (SelfTestState.RUNNING, SelfTestState.PASSED, SelfTestState.FAILED)
)


@pytest.mark.parametrize(
    "words", [[0], [PASSED], [RUNNING, RUNNING, PASSED]], ids=["none", "passed", "running"]
)
def test_self_test_is_awaited(device, words):
    device.self_tests = words
    with SerialChip(open_port(device.path)) as chip:
        chip.await_self_test()
        assert chip.identity.self_test == words[-1]
        assert chip.read(register("ID").offset) == register("ID").reset


@pytest.mark.parametrize(
    "words, message",
    [
        ([RUNNING, FAILED], "the board's self test has failed: memory"),
        ([RUNNING], r"the board's self test does not end \(running: memory\); reset the board"),
    ],
)
def test_self_test_that_does_not_pass(device, words, message):
    device.self_tests = words
    with SerialChip(open_port(device.path), self_test_seconds=0.3) as chip:
        with pytest.raises(UserError, match=message):
            chip.await_self_test()


def test_registers(device, chip):
    offset = register("WATCHDOG").offset
    chip.write(offset, 0xDEADBEEF)
    assert chip.read(offset) == 0xDEADBEEF
    assert chip.read_many(register("ID").offset, 3)[2] == TINY.hash
    program = list(range(1000))
    ChipDriver(chip).load_program(program)
    assert device.chip.program[:1000].tolist() == program
    # 1000 words, 64 in a frame.
    assert device.executed.count(Request.WRITE_REGISTERS) == 1 + 1 + 16
    with pytest.raises(RuntimeError, match="^read of register 0x200: SLVERR$"):
        chip.read(0x200)
    with pytest.raises(RuntimeError, match="^write to register 0x0: SLVERR$"):
        chip.write(0, 1)


def test_memory(device, chip, rng):
    data = rng.bytes(20_011)
    seen = []
    assert chip.load(33, data, seen.append) == len(data)
    assert device.chip.memory[33 : 33 + len(data)].tobytes() == data
    assert seen == sorted(seen) and seen[-1] == 1.0
    assert chip.dump(33, len(data)) == data
    assert chip.dump(0, 1) == b"\0"
    with pytest.raises(RuntimeError, match="^access to 256 bytes of memory at 0x10000: DECERR$"):
        chip.dump(1 << 16, 1000)


def test_only_what_differs_is_sent(device, chip, rng):
    data = bytearray(rng.bytes(20_000))
    chip.load(0, data)
    assert chip.load(0, data) == 0
    data[5000] ^= 1
    device.executed.clear()
    assert chip.load(0, data) == 4096
    assert device.executed.count(Request.WRITE_MEMORY) == 16
    assert device.chip.memory[: len(data)].tobytes() == data
    data[-1] ^= 1
    assert chip.load(0, data) == 20_000 % 4096


def test_tokens_come_in_one_answer(device, chip):
    driver = ChipDriver(chip)
    device.chip.tokens.extend(range(100))
    device.chip.status = 2
    driver.write("IRQ_ENABLE", 7)
    device.executed.clear()
    tokens = driver.tokens(chip.wait)
    assert next(tokens) == 0 and chip.cycles == 62 * 5000
    assert driver.read("TOKEN_LEVEL") == 99 and driver.read("STATUS") == 2 | 8
    assert [next(tokens) for _ in range(61)] == list(range(1, 62))
    assert device.executed.count(Request.TAKE_TOKENS) == 1
    assert list(tokens) == list(range(62, 100))
    assert chip.cycles == 100 * 5000
    assert device.executed.count(Request.TAKE_TOKENS) == 3


def test_waiting_ends_with_the_interrupt(device, chip):
    timer = threading.Timer(0.2, lambda: device.chip.tokens.append(5))
    ChipDriver(chip).write("IRQ_ENABLE", 7)
    timer.start()
    chip.wait()
    assert chip.read(register("TOKEN").offset) == 5 | 1 << 31


def test_cycles_count_on_when_the_register_wraps(device, chip):
    device.chip.tokens.append(1)
    device.chip.words[register("CYCLES_LO").offset] = 0xFFFF_FFF0 - 5000
    chip.wait()
    assert chip.cycles == 0xFFFF_FFF0
    device.chip.tokens.append(1)
    device.chip.words[register("CYCLES_LO").offset] = 16 - 5000 & 0xFFFF_FFFF
    chip.read(register("TOKEN").offset)
    device.chip.words[register("CYCLES_LO").offset] = 16 - 5000
    chip.wait()
    assert chip.cycles == (1 << 32) + 16


def test_halt_stops_a_program_and_drops_its_tokens(device, chip):
    driver = ChipDriver(chip)
    device.chip.status = 1
    device.chip.tokens.extend([1, 2, 3])
    driver.halt()
    assert device.chip.status == 4 and not device.chip.tokens
    device.chip.log.clear()
    driver.halt()
    assert all(kind == "read" for kind, _, _ in device.chip.log)


def test_noise_costs_time_only(rng):
    """Every 1000th byte, in both directions, while everything is done once and in order."""
    noise = Noise(rng)
    device = FakeDevice(FakeChip(TINY, 1 << 16), noise=noise)
    try:
        with SerialChip(open_port(device.path), patience=0.15) as chip:
            noise.rate = 0.001
            data = rng.bytes(12_000)
            chip.load(7, data)
            words = [int(word) for word in rng.integers(1 << 32, size=300)]
            offset = register("WATCHDOG").offset
            chip.write_many(offset, words)
            device.chip.tokens.extend(range(150))
            device.chip.status = 2  # done
            chip.write(register("IRQ_ENABLE").offset, 7)
            tokens = list(ChipDriver(chip).tokens(chip.wait))
            assert chip.dump(7, len(data)) == data
            repeated = chip.repeated
    finally:
        device.close()
    assert tokens == list(range(150))
    written = [value for kind, name, value in device.chip.log if (kind, name) == ("write", "WATCHDOG")]
    assert written == words
    assert repeated > 3, "there was hardly any noise"


def test_link_survives_loss_of_answers_in_a_stream(device, rng):
    """Each of the first answers to a stream is lost in turn; what was sent after it is settled before it is repeated."""
    link = Link(open_port(device.path), patience=0.2)
    data = rng.bytes(4096)
    commands = [Command(Request.WRITE_MEMORY, 256, at, data[at : at + 256]) for at in range(0, 4096, 256)]
    for lost in range(6):
        device.chip.memory[:] = 0
        left = lost

        def drop(answer):
            nonlocal left
            left -= 1
            return b"" if left == -1 else answer

        device.noise_out = drop
        answers = link.requests(commands)
        assert len(answers) == len(commands)
        assert device.chip.memory[:4096].tobytes() == data
    assert link.repeated >= 6


# What fails


def no_device(text, *phrases):
    with pytest.raises(UserError) as caught:
        SerialChip(open_port(text), patience=0.05)
    for phrase in phrases:
        assert phrase in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", ",9600", "/dev/x,", "/dev/x,fast", "/dev/x,0", "/dev/x,-1", "/dev/x,1,2"]
)
def test_device_that_cannot_be_meant(text):
    no_device(text, "--device takes DEVICE[,BAUD], such as /dev/ttyUSB0,3000000, not")


def test_no_such_device(tmp_path):
    no_device(f"{tmp_path}/ttyUSB7", f"{tmp_path}/ttyUSB7: no such device; serial ports of this machine: ")


def test_no_serial_port(tmp_path):
    (tmp_path / "file").write_text("")
    no_device(f"{tmp_path}/file", "file: is no serial port")
    no_device(f"{tmp_path}", "is no serial port")


def test_no_permission(monkeypatch):
    def refuse(*arguments, **others):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    no_device("/dev/ttyUSB0", "no permission; `sudo usermod -aG dialout $USER`")


def test_device_in_use(device, chip):
    no_device(device.path, "another program uses it")


def test_nothing_answers(device):
    device.silent = True
    no_device(
        f"{device.path},115200", "nothing answers at 115200 baud; is the board on, its bitstream loaded"
    )
    device.silent = False
    SerialChip(open_port(device.path)).close()


def test_something_else_answers(device):
    device.noise_out = lambda answer: b"login: "
    no_device(device.path, "what comes at 3000000 baud makes no sense: another baud rate, another device")


def test_echo_is_no_answer(device):
    device._receive = lambda body: body
    no_device(device.path, "makes no sense")


def test_another_protocol_version(device):
    device.version = 2
    no_device(
        device.path, "the device speaks version 2 of the protocol, this software 1; build its bitstream"
    )
    device.version = 1
    SerialChip(open_port(device.path)).close()


def lost(device, phrase, spoil):
    """A chip that worked, and then does not: every operation says so, and a new chip works once that is mended."""
    for use in (
        lambda chip: chip.read(0),
        lambda chip: chip.write(register("WATCHDOG").offset, 1),
        lambda chip: chip.load(0, bytes(5000)),
        lambda chip: chip.wait(),
    ):
        with SerialChip(open_port(device.path), patience=0.02, poll_seconds=0.0) as chip:
            mend = spoil()
            with pytest.raises(UserError, match=phrase):
                use(chip)
            mend()
        SerialChip(open_port(device.path)).close()


def test_line_that_is_too_noisy(device, rng):
    noise = Noise(rng)
    device.noise_out = noise

    def spoil():
        noise.rate = 0.5
        return lambda: setattr(noise, "rate", 0.0)

    lost(device, "the line is too noisy, 8 attempts brought no undamaged answer", spoil)


def test_device_stops_answering(device):
    def spoil():
        device.silent = True
        return lambda: setattr(device, "silent", False)

    lost(device, "the device has stopped answering; is it still on", spoil)


def test_device_is_reset(device):
    with SerialChip(open_port(device.path), patience=0.1) as chip:
        chip.read(0)  # When this is answered no IDENTIFY is under way any more.
        device.reset()
        with pytest.raises(UserError, match="the device was reset, or another program uses it; start again"):
            chip.read(0)


def test_device_is_unplugged(device):
    with SerialChip(open_port(device.path), patience=0.02) as chip:
        device.unplug_after = 4
        with pytest.raises(UserError, match="has gone away; is it still plugged in|stopped answering"):
            chip.load(0, np.arange(10_000, dtype=np.uint8).tobytes())
