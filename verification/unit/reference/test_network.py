# SPDX-License-Identifier: Apache-2.0
"""Chips that exchange messages: all-gathers in both topologies, deadlocks, and every error of an exchange."""

from dataclasses import replace

import numpy as np
import pytest

from tepin.config import PRESETS, ChipConfig
from tepin.isa import ErrorCode, LinkFlags
from tepin_host.assembler import Assembler
from tepin_reference.link import Port
from tepin_reference.network import TOPOLOGIES, Network, run_together
from tepin_reference.simulator import FunctionalSimulator, ProgramError

BASE = 256
BANK = PRESETS["tiny"].bank_bytes


def config(network):
    return replace(PRESETS["tiny"], links=network.links)


def simulators(network):
    return [
        FunctionalSimulator(config(network), np.zeros(64, np.uint8), ports=ports) for ports in network.ports()
    ]


def gather(network, rank, lengths):
    """Words of a program that gathers slots of these lengths, which lie behind each other, and pushes its rank."""
    starts = BASE + np.concatenate([[0], np.cumsum(lengths)])
    a = Assembler()
    for (port, slot, follows), (from_port, from_slot) in network.gather_steps(rank):
        a.exchange(
            send=(port, starts[slot], lengths[slot]),
            receive=(from_port, starts[from_slot], lengths[from_slot]),
            follows=follows,
        )
    register = a.register("rank")
    a.move(register, rank)
    a.push(register)
    a.end()
    return a.assemble()


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("chips", [2, 3, 4, 8])
def test_gather(chips, topology, rng):
    network = Network(chips, topology)
    lengths = 4 * rng.integers(0, 9, chips)
    whole = rng.integers(0, 256, lengths.sum(), np.uint8)
    machines, at = simulators(network), BASE
    for machine, length in zip(machines, lengths, strict=True):
        machine.scratchpad[at : at + length] = whole[at - BASE : at - BASE + length]
        at += length
    programs = [gather(network, rank, lengths) for rank in range(chips)]
    assert sorted(run_together(machines, programs)) == [(rank, rank) for rank in range(chips)]
    for machine in machines:
        np.testing.assert_array_equal(machine.scratchpad[BASE:at], whole)
        assert not machine.scratchpad[at:].any() and not machine.scratchpad[:BASE].any()


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_port_has_one_other_end(topology):
    for chips in range(2, 9):
        network = Network(chips, topology)
        ends = [end for wire in network.wires() for end in wire]
        assert sorted(ends) == [(chip, port) for chip in range(chips) for port in range(network.links)]
        assert all(one[0] != other[0] for one, other in network.wires())


def test_lengths_of_odd_words_leave_nothing_behind():
    network = Network(2, "full")
    machines = simulators(network)
    machines[0].scratchpad[:24] = np.arange(1, 25)
    send, receive = Assembler(), Assembler()
    for start, length in ((0, 4), (4, 12), (16, 8)):
        send.exchange(send=(0, start, length))
        receive.exchange(receive=(0, 100 + start, length))
    send.end()
    receive.end()
    assert list(run_together(machines, [send.assemble(), receive.assemble()])) == []
    np.testing.assert_array_equal(machines[1].scratchpad[100:124], np.arange(1, 25))
    assert machines[0].ports[0].sent == 4


def program(write):
    a = Assembler()
    write(a)
    a.end()
    return a.assemble()


@pytest.mark.parametrize("topology, port", [("ring", 1), ("full", 0)])
def test_who_waits_for_nobody_is_an_error(topology, port):
    """Of three chips the last one sends nothing: those that wait for it are stuck, and one of them is named."""
    network = Network(3, topology)
    programs = [gather(network, rank, [8, 8, 8]) for rank in range(2)] + [program(lambda a: None)]
    with pytest.raises(ProgramError) as error:
        list(run_together(simulators(network), programs))
    assert error.value.code == ErrorCode.LINK
    assert error.value.chip in (0, 1) and error.value.info in range(network.links)
    assert f"chip {error.value.chip}" in str(error.value)
    assert f"nothing comes from port {error.value.info}" in str(error.value)


def test_error_of_a_chip_names_the_chip():
    network = Network(2, "full")
    programs = [gather(network, 0, [8, 8]), program(lambda a: a.fail(7))]
    with pytest.raises(ProgramError, match="^chip 1: SOFTWARE at word 0, info 0x7") as error:
        list(run_together(simulators(network), programs))
    assert error.value.chip == 1 and error.value.code == ErrorCode.SOFTWARE


def test_alone():
    machine = FunctionalSimulator(replace(PRESETS["tiny"], links=1), np.zeros(64, np.uint8))
    with pytest.raises(ProgramError, match="nothing comes from port 0") as error:
        list(machine.run(program(lambda a: a.exchange(receive=(0, 0, 4)))))
    assert (error.value.code, error.value.pc, error.value.info) == (ErrorCode.LINK, 0, 0)


def flags(**members):
    return LinkFlags.const(members).as_bits()


PAD = PRESETS["tiny"].scratchpad_bytes
SEND, RECEIVE = flags(sends=1, send_port=2), flags(receives=1, receive_port=15)


@pytest.mark.parametrize(
    "arguments, code, info",
    [
        ({"send": (2, 0, 4)}, ErrorCode.PARAMETER, SEND),
        ({"receive": (15, 0, 4)}, ErrorCode.PARAMETER, RECEIVE),
        ({"send": (0, 0, 6)}, ErrorCode.PARAMETER, 6),
        ({"receive": (0, 0, 1)}, ErrorCode.PARAMETER, 1),
        ({"receive": (0, 0, 1 << 24)}, ErrorCode.PARAMETER, 1 << 24),
        ({"send": (0, 2, 4)}, ErrorCode.SCRATCHPAD, 2),
        ({"receive": (0, 13, 4)}, ErrorCode.SCRATCHPAD, 13),
        ({"send": (0, PAD - 4, 8)}, ErrorCode.SCRATCHPAD, PAD - 4),
        ({"receive": (0, -4, 4)}, ErrorCode.SCRATCHPAD, 0xFFFFFFFC),
        ({"receive": (0, BANK - 4, 8)}, ErrorCode.SCRATCHPAD, BANK - 4),
    ],
)
def test_errors(arguments, code, info):
    machine = FunctionalSimulator(replace(PRESETS["tiny"], links=2), np.zeros(64, np.uint8))
    with pytest.raises(ProgramError) as error:
        list(machine.run(program(lambda a: a.exchange(**arguments))))
    assert (error.value.code, error.value.pc, error.value.info) == (code, 0, info)


RACES = {
    "sends what is being received": [{"receive": (0, 0, 16)}, {"send": (1, 12, 4)}],
    "two commands later": [{"receive": (0, 0, 16)}, {}, {"send": (1, 0, 16), "follows": True}],
    "follows with another part": [{"receive": (0, 0, 16)}, {"send": (1, 0, 12), "follows": True}],
    "receives what is being sent": [{"send": (0, 0, 16)}, {}, {}, {"receive": (0, 8, 8)}],
    "receives twice": [{"receive": (0, 0, 16)}, {"receive": (1, 0, 4)}],
}


@pytest.mark.parametrize("name", RACES)
def test_race(name):
    """Chips would tell the order of these."""
    own, other = zip(*(Port.pair() for _ in range(2)), strict=True)
    for port in other:
        port.send(bytes(64))
    machine = FunctionalSimulator(replace(PRESETS["tiny"], links=2), np.zeros(64, np.uint8), ports=own)
    with pytest.raises(ProgramError, match="an exchange before this one may still use it") as error:
        list(machine.run(program(lambda a: [a.exchange(**exchange) for exchange in RACES[name]])))
    assert error.value.code == ErrorCode.SCRATCHPAD


def test_no_race():
    """What is far enough apart, follows, or only touches."""
    own, other = zip(*(Port.pair() for _ in range(2)), strict=True)
    other[0].send(bytes(64))
    machine = FunctionalSimulator(replace(PRESETS["tiny"], links=2), np.zeros(64, np.uint8), ports=own)

    def write(a):
        a.exchange(receive=(0, 16, 16), send=(1, 0, 16))
        a.exchange(receive=(0, 32, 16), send=(1, 16, 16), follows=True)
        a.exchange(send=(1, 0, 16))
        a.exchange()
        a.exchange(send=(1, 16, 16), receive=(0, 48, 4))

    assert list(machine.run(program(write))) == []


def test_nothing_to_exchange():
    machine = FunctionalSimulator(replace(PRESETS["tiny"], links=2), np.zeros(64, np.uint8))

    def write(a):
        a.exchange()
        a.exchange(send=(0, PAD, 0), receive=(1, PAD, 0), signal=3)
        a.wait(3)

    assert list(machine.run(program(write))) == []


def test_chip_without_links_has_no_link_engine():
    machine = FunctionalSimulator(PRESETS["tiny"], np.zeros(64, np.uint8))
    with pytest.raises(ProgramError, match="no links") as error:
        list(machine.run(program(lambda a: a.exchange(send=(0, 0, 4)))))
    assert error.value.code == ErrorCode.ILLEGAL_INSTRUCTION


@pytest.mark.parametrize("links", [-1, 16])
def test_config_wrong_links(links):
    with pytest.raises(ValueError, match=f"links must be 0 to 15, not {links}"):
        ChipConfig(links=links)


def test_config_links_need_lines():
    with pytest.raises(ValueError, match="links need scratchpad lines of at least 8 bytes, not 4"):
        ChipConfig(rows=2, columns=4, lanes=1, port_width=16, links=1)


def test_links_leave_other_configurations_alone():
    assert PRESETS["sim"].hash == 0x98FF0493
    assert replace(PRESETS["sim"], links=2).hash != PRESETS["sim"].hash


def test_init_wrong_chips():
    with pytest.raises(ValueError, match="a network has at least 2 chips, not 1"):
        Network(1)


def test_init_wrong_topology():
    with pytest.raises(ValueError, match="topology must be ring or full, not 'star'"):
        Network(4, "star")
