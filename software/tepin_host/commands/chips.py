# SPDX-License-Identifier: Apache-2.0
"""What ``tepin run`` does about several chips: options, compilation, simulators and the links between them."""

from dataclasses import replace

from tepin_host.commands.options import add_topology_argument, given, progress_bar
from tepin_host.errors import UserError

__all__ = [
    "add_chips_arguments",
    "add_parallel_argument",
    "check_division",
    "check_chips",
    "compile_for_chips",
    "links_in_words",
    "start_simulators",
]

PARALLEL = ("tensor", "pipeline")


def add_chips_arguments(parser):
    parser.add_argument(
        "--chips", metavar="N", type=int, default=1, help="divide the model among so many chips (default: 1)"
    )
    add_parallel_argument(parser)
    add_topology_argument(parser)
    parser.add_argument(
        "--bit-errors",
        metavar="RATE",
        type=float,
        help="simulate the serial links between the chips as well, on lanes that flip bits at this rate, such as 1e-5",
    )


def add_parallel_argument(parser):
    parser.add_argument(
        "--parallel",
        choices=PARALLEL,
        default=PARALLEL[0],
        help=(
            "tensor: every chip has a part of every layer, so one text comes N times as fast (default); "
            "pipeline: every chip has some of the layers, so with --batch N times as many texts come"
        ),
    )


def check_division(model, arguments):
    """`UserError` if a model with this `ModelConfig` cannot be divided among so many chips."""
    from tepin_host.compiler.shard import Shard
    from tepin_host.compiler.stage import Stage

    (Stage if arguments.parallel == "pipeline" else Shard)(model, chips=arguments.chips)


def check_chips(arguments):
    """`UserError` for what the options say of chips that cannot be."""
    if arguments.parallel == "pipeline" and arguments.chips == 1:
        raise UserError("--parallel pipeline takes several chips; see --chips")
    if arguments.bit_errors is None:
        return
    if not 0 <= arguments.bit_errors <= 0.01:
        raise UserError(f"--bit-errors must be 0 to 0.01, not {arguments.bit_errors}")
    if arguments.chips == 1 or arguments.backend != "rtl":
        raise UserError("--bit-errors are those of the links between several chips' RTL; see --chips")


def compile_for_chips(model, config, arguments):
    """An executable for each chip. A configuration without links gets those that it takes."""
    from tepin_host.compiler import compile_chips
    from tepin_reference.network import Network

    check_division(model.config, arguments)
    network = Network(arguments.chips, arguments.topology)
    if not config.links:
        config = replace(config, links=network.links)
    with progress_bar(f"compiling {model.name}") as progress:
        return compile_chips(
            model,
            config,
            chips=arguments.chips,
            topology=arguments.topology,
            parallel=arguments.parallel,
            weights=given(arguments, "weights"),
            activations=given(arguments, "activations"),
            progress=progress,
        )


def start_simulators(executables, memories, arguments, latency, *, trace=False, say=None):
    """A simulated chip for each executable, on its memory, wired as it says; one compilation for all of them."""
    from tepin_host.simulation import ChipSimulator, build_simulator, join, wire

    plan, rate = executables[0].plan, arguments.bit_errors
    library = build_simulator(plan.config, serial=rate is not None, trace=trace, progress=say)
    simulators = [ChipSimulator(plan.config, memory, latency=latency, library=library) for memory in memories]
    if len(simulators) > 1 and rate is None:
        join(simulators, plan.shard.network)
    elif len(simulators) > 1:
        wire(simulators, plan.shard.network, bit_error_rate=rate, seed=arguments.seed)
    return simulators


def links_in_words(simulators):
    """What has happened on the serial links."""
    ports = [
        simulator.link_status(port) for simulator in simulators for port in range(simulator.config.links)
    ]
    flipped, errors, replays = (
        sum(port[name] for port in ports) for name in ("flipped", "errors", "replays")
    )
    return f"{flipped:,} bits flipped, {errors:,} frames lost, {replays:,} replays"
