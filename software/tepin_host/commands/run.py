# SPDX-License-Identifier: Apache-2.0
"""``tepin run``: a model writes, on the simulated chip or on a real one."""

import contextlib
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from tepin.config import PRESETS
from tepin.io.protocol import BAUD
from tepin_host.commands import Command
from tepin_host.commands.chips import (
    add_chips_arguments,
    check_chips,
    compile_for_chips,
    links_in_words,
    start_simulators,
)
from tepin_host.commands.coprocessor import describe, find_coprocessor, run_on_coprocessor
from tepin_host.commands.options import (
    add_model_arguments,
    compile_with_progress,
    config_from_arguments,
    load_from_arguments,
    progress_bar,
)
from tepin_host.commands.report import print_report, report_json
from tepin_host.errors import UserError

__all__ = ["command"]

_BACKENDS = ("rtl", "reference")
_LATENCY = 100
_MOST_LATENCY = 100_000


def _add_arguments(parser):
    add_model_arguments(parser, model="model file, or a directory that `tepin compile` wrote")
    parser.add_argument("--prompt", metavar="TEXT", default="", help="beginning of the text (default: none)")
    parser.add_argument(
        "--batch",
        metavar="FILE",
        help="many prompts, a line each; several of them are in the chip at a time, and write what each writes alone",
    )
    parser.add_argument(
        "--rows",
        metavar="N",
        type=int,
        help="how many of the batch at a time (default: as many as the array has rows, if they fit)",
    )
    parser.add_argument(
        "--tokens", metavar="N", type=int, default=64, help="most tokens to write (default: 64)"
    )
    parser.add_argument("--tokenizer", metavar="FILE", help="tokenizer (default: the one beside the model)")
    parser.add_argument(
        "--device",
        metavar="DEVICE[,BAUD]",
        help=f"a real chip or coprocessor on this serial port, such as /dev/ttyUSB0 (default: {BAUD} baud)",
    )
    parser.add_argument(
        "--board", metavar="BOARD", help="the simulation of a whole board; 'tepin boards' lists them"
    )
    parser.add_argument(
        "--memory",
        metavar="WIDTH,LATENCY",
        help=f"memory port in bits and read latency in cycles (default: the configuration's width, {_LATENCY})",
    )
    parser.add_argument(
        "--backend",
        choices=_BACKENDS,
        default=_BACKENDS[0],
        help="the compiled RTL, or the functional simulator (same bits, no cycles)",
    )
    add_chips_arguments(parser)
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="seed of the sampling (default: 0)")
    parser.add_argument(
        "--temperature", metavar="T", type=float, default=0.0, help="0 writes the most likely text (default)"
    )
    parser.add_argument(
        "--save-kv", metavar="FILE", help="keep the keys and values of prompt and text for --load-kv"
    )
    parser.add_argument(
        "--load-kv",
        metavar="FILE",
        help="go on from a text that --save-kv kept, which is not computed again; --prompt is what is added to it",
    )
    parser.add_argument(
        "--trace", metavar="FILE", help="write what every engine did, cycle by cycle, for ui.perfetto.dev"
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="draw the last token's timeline and its rooflines, as SVG"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the results to FILE")


def _run(arguments):
    from tepin_host.compiler.kv_cache import KvCache
    from tepin_host.output import output_file
    from tepin_host.runtime import Report
    from tepin_host.tokenizer import Decoder

    if arguments.batch is not None:
        from tepin_host.commands.run_batch import run_batch

        _check_seed(arguments)
        config, latency = _memory(arguments.memory, config_from_arguments(arguments))
        check_chips(arguments)
        run_batch(arguments, config, latency, say=_say)
        return
    if arguments.rows is not None:
        raise UserError("--rows is for --batch")
    check_chips(arguments)
    _check_kv(arguments)
    _check_trace(arguments)
    with (
        output_file(arguments.json) as write,
        output_file(arguments.trace) as write_trace,
        output_file(arguments.plot) as write_plot,
        output_file(arguments.save_kv) as write_kv,
        _device(arguments) as (chip, coprocessor),
    ):
        executables, request, tokenizer, latency = _prepare(arguments, chip)
        report = Report()
        memories = _memories(arguments, executables, request)
        if coprocessor:
            tokens, simulators = (
                run_on_coprocessor(coprocessor, executables[0], request, report, memories[0]),
                [],
            )
        else:
            tokens, simulators = _start(arguments, chip, executables, request, report, latency, memories)
        simulator = simulators[0] if simulators else None
        decoder = Decoder(tokenizer)
        started, before = time.monotonic(), simulator.cycle if simulator else 0
        pieces = [decoder.decode(token) for token in request.prompt[1:]]
        print("".join(pieces), end="", flush=True)
        try:
            for token in tokens:
                pieces.append(decoder.decode(token))
                print(pieces[-1], end="", flush=True)
        except UserError:
            print()  # The message goes to a line of its own.
            raise
        pieces.append(decoder.finish())
        print(pieces[-1], flush=True)
        if simulator:
            rate = (simulator.cycle - before) / (time.monotonic() - started)
            shown = None if arguments.board else latency  # a board's memory has many latencies
            links = None if arguments.bit_errors is None else links_in_words(simulators)
            print_report(report, executables, latency=shown, speed=("simulation", rate), links=links)
        elif chip:
            print_report(report, executables, speed=("device", chip.identity.clock_hz))
        else:
            print_report(
                report, executables, others=describe(coprocessor, request, report) if coprocessor else {}
            )
        if _traced(arguments):
            _write_trace(arguments, executables[0], request, report, simulator, write_trace, write_plot)
        if arguments.save_kv is not None:
            write_kv(KvCache.capture(executables[0], request, report.tokens, memories[0]).encode())
        write(report_json(report, "".join(pieces)))


def _check_kv(arguments):
    for name in ("save_kv", "load_kv"):
        option = "--" + name.replace("_", "-")
        if getattr(arguments, name) is None:
            continue
        if arguments.chips != 1:
            raise UserError(f"{option} and --chips exclude each other")
        if name == "save_kv" and (arguments.device is not None or arguments.board is not None):
            raise UserError("--save-kv is for simulations of the chip alone")


def _traced(arguments):
    return arguments.trace is not None or arguments.plot is not None


def _check_trace(arguments):
    if not _traced(arguments):
        return
    option = "--trace" if arguments.trace is not None else "--plot"
    if arguments.backend != _BACKENDS[0]:
        raise UserError(f"{option} and --backend exclude each other: only the RTL takes cycles")
    if arguments.chips != 1 or arguments.device is not None or arguments.board is not None:
        raise UserError(f"{option} is for simulations of one chip alone")
    if arguments.plot is not None and arguments.tokens < 2:
        raise UserError("--plot draws a token from the one before it on: --tokens must be at least 2")


def _write_trace(arguments, executable, request, report, simulator, write_trace, write_plot):
    from tepin_host.trace import Timeline, perfetto, plot

    timeline = Timeline(simulator.trace(), executable)
    if arguments.trace is not None:
        write_trace(perfetto(timeline, name=executable.name))
    if arguments.plot is not None:
        write_plot(plot(timeline, executable, position=len(request.prompt) + len(report.tokens) - 2))


@contextlib.contextmanager
def _device(arguments):
    """What `--device` names, or the simulated `--board` has: a chip and None, None and a coprocessor; or None and None."""
    given = [name for name in ("device", "board") if getattr(arguments, name) is not None]
    if not given:
        yield None, None
        return
    if len(given) > 1:
        raise UserError("--device and --board exclude each other")
    if arguments.backend != _BACKENDS[0]:
        raise UserError(f"--{given[0]} and --backend exclude each other")
    if arguments.chips != 1:
        raise UserError(f"--{given[0]} and --chips exclude each other")
    if arguments.memory is not None:
        raise UserError(
            f"--memory is for simulations of the chip alone; a {given[0]} has the memory that it has"
        )
    with _connect(arguments) as chip:
        coprocessor = find_coprocessor(chip)
        if coprocessor:
            yield None, coprocessor
        else:
            chip.await_self_test()
            yield chip, None


def _connect(arguments):
    """Context manager of the chip on the device or on the simulated board."""
    if arguments.board is None:
        from tepin_host.serial import SerialChip, open_port

        return SerialChip(open_port(arguments.device))
    from tepin_host.boards import find_twin

    twin = find_twin(arguments.board)
    if arguments.config is None:
        arguments.config = twin.config
    return twin.start(config_from_arguments(arguments), progress=_say)


def _say(message):
    print(message, file=sys.stderr, flush=True)


def _config(arguments, chip):
    """The configuration asked for, or else that of the device."""
    if chip is None:
        return config_from_arguments(arguments)
    found = chip.identity.config_hash
    if arguments.config is not None:
        config = config_from_arguments(arguments)
        if config.hash != found:
            raise UserError(
                f"{chip.name}: the configuration of the device's chip is {found:08x}, "
                f"--config {arguments.config} is {config.hash:08x}"
            )
        return config
    for config in PRESETS.values():
        if config.hash == found:
            return config
    raise UserError(
        f"{chip.name}: the configuration of the device's chip is {found:08x}, which is no preset; "
        "say with --config what its bitstream was built with"
    )


def _prepare(arguments, chip):
    """Executables, request, tokenizer and memory latency. Compiles last, when all that is quickly checked has been."""
    from tepin_host.compiler import Executable, Request
    from tepin_host.compiler.kv_cache import KvCache
    from tepin_host.tokenizer import Tokenizer, find_tokenizer

    _check_seed(arguments)
    executable = model = None
    if arguments.model is not None and Path(arguments.model).is_dir():
        executable = Executable.load(arguments.model)
        if arguments.chips != 1 or executable.plan.chips != 1:
            raise UserError(
                f"{arguments.model}: compiled for chip {executable.plan.rank} of {executable.plan.chips}; "
                "several chips run together only from the model itself"
            )
        config, latency = _memory(arguments.memory, executable.plan.config)
        _check_agreement(arguments, config, executable.plan)
        if chip and chip.identity.config_hash != config.hash:
            raise UserError(
                f"{chip.name}: the configuration of the device's chip is {chip.identity.config_hash:08x}, "
                f"{arguments.model} was compiled for {config.hash:08x}; compile the model again"
            )
        sizes, place = executable.plan.model, Path(arguments.model) / "map.json"
    else:
        config, latency = _memory(arguments.memory, _config(arguments, chip))
        model, place = load_from_arguments(arguments)
        sizes = model.config
    path = arguments.tokenizer
    if path is None:
        path = find_tokenizer(place, sizes.vocab_size)
    tokenizer = Tokenizer.load(path, sizes.vocab_size)
    prompt, cache = tokenizer.encode(arguments.prompt), None
    if arguments.load_kv is not None:
        cache = KvCache.load(arguments.load_kv)
        prompt = cache.tokens + prompt[1:]  # The beginning of text is at the beginning.
    request = Request(
        prompt,
        arguments.tokens,
        arguments.seed,
        arguments.temperature,
        (tokenizer.bos, tokenizer.eos),
        cache,
    )
    request.encode(sizes)  # Raises if the model cannot do that.
    if executable is None and arguments.chips == 1:
        executable = compile_with_progress(model, config, arguments)
    executables = [executable] if executable else compile_for_chips(model, config, arguments)
    if cache:
        cache.check(executables[0], arguments.load_kv)
    return executables, request, tokenizer, latency


def _check_seed(arguments):
    if not 0 <= arguments.seed < 1 << 32:
        raise UserError(f"the seed must be 0 to {(1 << 32) - 1}, not {arguments.seed}")


def _memories(arguments, executables, request):
    """Each chip's external memory at the start."""
    if arguments.parallel == "pipeline":
        from tepin_host.batch import batch_memory

        return [batch_memory(executable, [request]) for executable in executables]
    return [executable.memory(request) for executable in executables]


def _start(arguments, chip, executables, request, report, latency, memories):
    """The tokens to come, and the simulators of the RTL, of which there may be none."""
    from tepin_host import chips, pipeline
    from tepin_host.runtime import load_device, run_device, run_reference, run_rtl

    if chip is not None:
        with progress_bar(f"loading {executables[0].name}") as progress:
            load_device(executables[0], request, chip, progress)
        return run_device(executables[0], request, report, chip), [chip] if arguments.board else []
    simulators = []
    if arguments.backend == _BACKENDS[0]:
        simulators = start_simulators(
            executables, memories, arguments, latency, trace=_traced(arguments), say=_say
        )
    if arguments.parallel == "pipeline":
        return pipeline.one_text(executables, request, report, simulators or None), simulators
    if len(executables) > 1:
        if simulators:
            return chips.run_rtl(executables, request, report, simulators), simulators
        return chips.run_reference(executables, request, report), []
    if simulators:
        return run_rtl(executables[0], request, report, simulators[0]), simulators
    return run_reference(executables[0], request, report, memories[0]), []


def _memory(text, config):
    """(config with the port width asked for, latency)."""
    if text is None:
        return config, _LATENCY
    try:
        width, latency = map(int, text.split(","))
    except ValueError:
        raise UserError(f"--memory takes WIDTH,LATENCY, such as 64,100, not {text!r}") from None
    if not 1 <= latency <= _MOST_LATENCY:
        raise UserError(f"the memory latency must be 1 to {_MOST_LATENCY} cycles, not {latency}")
    try:
        return replace(config, port_width=width), latency
    except ValueError as error:
        raise UserError(f"--memory {text}: {error}") from None


def _check_agreement(arguments, config, plan):
    """What is asked for must be what a directory was compiled for; what is not asked for, its map says."""
    asked = {name: getattr(arguments, name) for name in ("weights", "activations")}
    found = {"weights": plan.weights, "activations": plan.activations, **asdict(plan.config)}
    if arguments.config is not None:
        asked |= asdict(config_from_arguments(arguments))
    if arguments.memory is not None:
        asked["port_width"] = config.port_width
    for name, value in asked.items():
        if value is not None and value != found[name]:
            raise UserError(
                f"{arguments.model}: compiled for {name} {found[name]}, not {value}; compile the model again"
            )


command = Command(
    help="let a model write, token by token, on the simulated chip or on a board",
    description=(
        "Compiles the model, simulates the chip's RTL cycle by cycle and prints the text as the tokens leave the chip, "
        "then what it took. The first run for a configuration compiles the simulation, which takes a minute or two."
    ),
    add_arguments=_add_arguments,
    run=_run,
    example='tepin run --prompt "One day, a small fox" --tokens 100\ntepin run stories260K.bin --weights int4 --config tiny',
)
