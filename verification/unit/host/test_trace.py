# SPDX-License-Identifier: Apache-2.0
"""Traces: the parts of a program, slices and their rows, the file for Perfetto, the picture of a token."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin.isa import DmaFlags, Engine, Function, MatmulFlags, Mode, Reduction, VectorFlags
from tepin.program import CommandInstruction, decode
from tepin_host.compiler import Executable, compile_model
from tepin_host.errors import UserError
from tepin_host.simulation.trace import WINDOW, Trace, TracedCommand
from tepin_host.trace import Timeline, perfetto, plot
from tepin_host.trace.parts import Parts, parts
from tepin_testbench.options import seed
from tepin_testbench.random_model import random_model
from verification.unit.host.commandline import assert_user_error

ENGINES = (Engine.WEIGHTS, Engine.LOADS, Engine.STORES, Engine.MATMUL, Engine.VECTOR)


def command(engine, order, started, ended, *, pc=0, flags=None, signal=0, **fields):
    return TracedCommand(
        engine=engine,
        pc=pc,
        nop=flags is None,
        flags=0 if flags is None else flags.as_bits(),
        fields=fields,
        wait=0,
        signal=signal,
        issued=started - 9,
        read=started - 4,
        started=started,
        ended=ended,
        waited=1,
        order=order,
    )


def trace(commands, *, tokens=(), windows=()):
    kind = [(name, "u4") for name in ("weights", "loads", "stores", "addresses")]
    return Trace(ENGINES, commands, [(3, 30, 0)], list(tokens), np.array(list(windows), kind), None, None)


@pytest.fixture
def commands():
    matmul = MatmulFlags.const({"scales": 1})
    vector = VectorFlags.const(
        {
            "function": Function.MUL,
            "reduction": Reduction.ABSMAX,
            "a_mode": Mode.VECTOR,
            "b_mode": Mode.SCALAR,
        }
    )
    load = DmaFlags.const({"dimensions": 1})
    return [
        command(
            Engine.LOADS, 0, 10, 50, flags=load, memory=0, local=256, length=64, count=3, memory_stride=64, local_stride=64
        ),
        command(Engine.LOADS, 1, 20, 60),
        command(Engine.LOADS, 2, 50, 70),
        command(
            Engine.MATMUL, 3, 60, 200, flags=matmul, signal=2, m=1, k=32, n=48, activations=0, activation_stride=0,
            output=512, output_stride=0, scale=4,
        ),
        command(Engine.VECTOR, 4, 210, 300, flags=vector, n=48, a=512, b=4, result=8),
    ]  # fmt: skip


def test_slices(commands):
    timeline = Timeline(trace(commands))
    assert [(piece.track, piece.row, piece.begin, piece.end, piece.name) for piece in timeline.slices] == [
        ("loads", 0, 10, 50, "192 bytes"),
        ("loads", 1, 20, 60, "nop"),
        ("loads", 0, 50, 70, "nop"),
        ("matmul", 0, 60, 200, "1 x 32 x 48 int16 x int8"),
        ("vector", 0, 210, 300, "mul 48, absmax"),
        ("sequencer", 0, 3, 30, "waits to issue"),
    ]
    matmul = timeline.slices[3].detail
    assert matmul["instruction"].startswith("matmul  scales m=1 k=32 n=48") and matmul[
        "instruction"
    ].endswith("signal=2")
    assert matmul["waited for its semaphore"] == 1 and matmul["waited for its engine"] == 3


def test_perfetto(commands):
    windows = [(16, 0, 0, 1), (16, 0, 0, 1), (0, 64, 0, 4)]
    text = perfetto(Timeline(trace(commands, tokens=[120], windows=windows)), name="model")
    events = json.loads(text)["traceEvents"]
    kinds = {kind: [event for event in events if event["ph"] == kind] for kind in "MXCi"}
    names = {event["tid"]: event["args"]["name"] for event in kinds["M"] if event["name"] == "thread_name"}
    assert sorted(names.values()) == ["loads", "loads 2", "matmul", "sequencer", "vector"]
    for thread in names:  # The format has no slices of a thread that overlap.
        own = sorted((event["ts"], event["dur"]) for event in kinds["X"] if event["tid"] == thread)
        assert all(
            start + length <= after + 1e-9 for (start, length), (after, _) in zip(own, own[1:], strict=False)
        )
    load = next(event for event in kinds["X"] if event["name"] == "192 bytes")
    assert (load["ts"], load["dur"]) == (0.01, 0.04)
    assert [(event["ts"], event["args"]["weights"], event["args"]["loads"]) for event in kinds["C"]] == [
        (0.0, 25.0, 0.0),
        (2 * WINDOW / 1000, 0.0, 100.0),
        (3 * WINDOW / 1000, 0, 0),
    ]
    assert [event["ts"] for event in kinds["i"]] == [0.12]


def imported(text):
    """What Perfetto's importer of JSON makes of a file: (slices by thread, counters, instants), all of them in nanoseconds.

    Its rules, with what it silently drops or counts as a failure as an error here: a string `ph`; `pid` and `tid` as numbers;
    a `ts`; of X a `dur`, and slices of a thread that lie in each other or beside each other; of C an object of numbers; of i
    a scope that it knows, with the process or thread for that; of M the names of processes and threads.
    """
    slices, counters, instants, names = {}, {}, [], {}

    def nanoseconds(value):
        assert isinstance(value, (int, float)) and not isinstance(value, bool)
        assert abs(1000 * value - round(1000 * value)) < 1e-3, "less than a nanosecond is lost"
        return round(1000 * value)

    for event in json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))[
        "traceEvents"
    ]:
        phase, pid, tid = event["ph"], event["pid"], event.get("tid", event["pid"])
        assert isinstance(event["name"], str) and event["name"]
        assert all(type(number) is int and 0 <= number < 1 << 32 for number in (pid, tid))
        assert isinstance(event.get("cat", ""), str) and isinstance(event.get("args", {}), dict)
        if phase == "M":
            if event["name"] in ("process_name", "thread_name"):
                assert isinstance(event["args"]["name"], str) and event["args"]["name"]
                names[event["name"], tid] = event["args"]["name"]
            else:
                assert event["name"] == "thread_sort_index"
            continue
        time = nanoseconds(event["ts"])
        if phase == "X":
            slices.setdefault(names["thread_name", tid], []).append((time, nanoseconds(event["dur"])))
        elif phase == "C":
            for series, value in event["args"].items():
                assert isinstance(value, (int, float)) and not isinstance(value, bool)
                counters.setdefault(f"{event['name']} {series}", []).append((time, value))
        else:
            assert phase == "i" and event["s"] in ("g", "p", "t")
            instants.append((time, event["name"]))
    for own in slices.values():
        open_slices = []
        for begin, length in sorted(own, key=lambda piece: (piece[0], -piece[1])):
            while open_slices and open_slices[-1] <= begin:
                open_slices.pop()
            assert not open_slices or begin + length <= open_slices[-1], "slices overlap"
            open_slices.append(begin + length)
    return slices, counters, instants


def test_perfetto_imports_everything(commands):
    """Each slice, each change of a counter and each token is there, at its cycle."""
    windows = [(16, 0, 0, 1), (16, 0, 0, 1), (0, 64, 0, 4)]
    timeline = Timeline(trace(commands, tokens=[120, 333], windows=windows))
    slices, counters, instants = imported(perfetto(timeline, name="model"))
    assert sorted(piece for own in slices.values() for piece in own) == sorted(
        (piece.begin, piece.end - piece.begin) for piece in timeline.slices
    )
    assert instants == [(120, "token 0"), (333, "token 1")]
    assert counters["memory port, % of its beats loads"] == [(0, 0), (2 * WINDOW, 100), (3 * WINDOW, 0)]
    assert len(counters) == 3


@pytest.fixture(scope="module")
def executable():
    return compile_model(random_model(seed()), PRESETS["tiny"])


def instructions(program):
    pc = 0
    while pc < len(program):
        instruction, length = decode(program, pc)
        yield pc, instruction
        pc += length


def test_parts(executable):
    found = parts(executable)
    matmuls = [
        found.name(pc)
        for pc, instruction in instructions(executable.program)
        if isinstance(instruction, CommandInstruction) and instruction.engine == Engine.MATMUL
    ]
    weights = [name for name in matmuls if name not in ("open block", "full blocks")]
    assert weights == ["wk", "wv", "wq", "wo", "w1", "w3", "w2", "classifier"]
    pcs = [pc for pc, _ in instructions(executable.program)]
    assert set(found.places) <= set(pcs) | {len(executable.program)} and list(found.places) == sorted(
        found.places
    )
    assert found.name(found.token) == "embedding" and found.name(found.layer) == "norm"


def test_parts_number_tokens_and_layers(executable):
    found = parts(executable)
    inside, behind = found.layer_end - 1, found.layer_end
    way = [
        0,
        found.token,
        found.layer,
        inside,
        found.layer,
        inside,
        found.layer,
        behind,
        found.token,
        found.layer,
    ]
    numbers = list(found.number([command(Engine.VECTOR, 0, 0, 1, pc=pc) for pc in way]))
    layers = [None, None, 0, 0, 1, 1, 2, None, None, 0]
    assert numbers == list(zip([None, *[0] * 7, 1, 1], layers, strict=True))


def test_parts_of_another_program(executable):
    other = Executable(executable.plan, [*executable.program, 0], executable.image, "other")
    assert parts(other) == Parts()


def test_plot(commands, executable):
    windows = [(32, 8, 4, 1)] * 8
    timeline = Timeline(trace(commands, tokens=[100, 400], windows=windows), executable)
    picture = ElementTree.fromstring(plot(timeline, executable, position=1))
    texts = ["".join(element.itertext()) for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert any("token at position 1: 300 cycles" in text for text in texts)
    limit = executable.plan.useful_bytes(1) / 4
    assert any(f"{100 * limit / 300:.1f} %" in text for text in texts)
    titles = ["".join(element.itertext()) for element in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 2, "the matmul and the vector command are in that token, the loads are not"


def test_plot_needs_two_tokens(commands, executable):
    with pytest.raises(UserError, match="a picture of a token takes two of them"):
        plot(Timeline(trace(commands, tokens=[100])), executable, position=0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["--backend", "reference", "--trace"],
            "--trace and --backend exclude each other: only the RTL takes cycles",
        ),
        (["--chips", "2", "--plot"], "--plot is for simulations of one chip alone"),
        (["--board", "ulx3s-85f", "--trace"], "--trace is for simulations of one chip alone"),
        (
            ["--tokens", "1", "--plot"],
            "--plot draws a token from the one before it on: --tokens must be at least 2",
        ),
    ],
)
def test_options(arguments, message, tmp_path, capsys):
    assert_user_error(capsys, tmp_path, ["run", *arguments, tmp_path / "out"], message)
