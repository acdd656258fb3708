# SPDX-License-Identifier: Apache-2.0
"""``tepin estimate``: how fast a model decodes, worked out from the configuration instead of simulated."""

import json
from dataclasses import asdict, replace

from tepin_host.commands import Command
from tepin_host.commands.chips import add_parallel_argument, check_division
from tepin_host.commands.options import (
    add_model_arguments,
    add_topology_argument,
    config_from_arguments,
    given,
    load_from_arguments,
)
from tepin_host.commands.tables import print_rows
from tepin_host.errors import UserError
from tepin_reference.network import Network

__all__ = ["command"]


def _add_arguments(parser):
    add_model_arguments(parser)
    parser.add_argument("--chips", metavar="N", type=int, default=1, help="chips (default: 1)")
    add_parallel_argument(parser)
    add_topology_argument(parser)
    parser.add_argument(
        "--tokens", metavar="N", type=int, default=4, help="tokens from the start of a text (default: 4)"
    )
    parser.add_argument(
        "--latency", metavar="N", type=int, default=100, help="of the memory, in cycles (default: 100)"
    )
    parser.add_argument(
        "--link-latency", metavar="N", type=int, default=20, help="of a link, in cycles (default: 20)"
    )
    parser.add_argument(
        "--clock", metavar="MHZ", type=float, default=100.0, help="for tokens per second (default: 100)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the results to FILE")


def _run(arguments):
    from tepin_host.estimate import estimate
    from tepin_host.output import output_file

    for name, least in (("tokens", 1), ("latency", 1), ("link_latency", 2)):
        if getattr(arguments, name) < least:
            raise UserError(
                f"--{name.replace('_', '-')} must be at least {least}, not {getattr(arguments, name)}"
            )
    if not arguments.clock > 0:
        raise UserError(f"--clock must be above 0, not {arguments.clock:g}")
    config = config_from_arguments(arguments)
    model, _ = load_from_arguments(arguments)
    check_division(model.config, arguments)
    if arguments.tokens > model.config.max_seq_len:
        raise UserError(f"--tokens must be at most the model's context, {model.config.max_seq_len}")
    if arguments.chips > 1 and not config.links:
        config = replace(config, links=Network(arguments.chips, arguments.topology).links)
    with output_file(arguments.json) as write:
        result = estimate(
            model.config,
            config,
            weights=given(arguments, "weights"),
            activations=given(arguments, "activations"),
            chips=arguments.chips,
            topology=arguments.topology,
            parallel=arguments.parallel,
            tokens=arguments.tokens,
            latency=arguments.latency,
            link_latency=arguments.link_latency,
        )
        cycles, port = result.cycles_per_token, config.port_bytes * arguments.chips
        rows = {
            "model": f"{model.name}, {given(arguments, 'weights')} weights",
            "chip": f"{config.describe()} latency={arguments.latency}",
            "chips": f"{arguments.chips}"
            + (f", {arguments.topology}, {arguments.parallel}" if arguments.chips > 1 else ""),
            "cycles per token": f"{cycles:,.0f}",
            "cycles to the first token": f"{result.first_token_cycles:,.0f}",
            "memory port": f"{100 * result.bytes_per_token / (cycles * port):.1f} %",
            "words sent per token and chip": f"{result.link_words:,.0f}",
            "link": f"{100 * result.link_words / cycles:.1f} % of a word per cycle",
            f"at {arguments.clock:g} MHz": f"{1e6 * arguments.clock / cycles:,.1f} tokens/s",
        }
        print_rows(rows)
        write(json.dumps(asdict(result), indent=2) + "\n")


command = Command(
    help="how fast a model decodes, without a simulation",
    description=(
        "Works out when each command of the program begins and ends, from what the pages of the blocks say it takes. Within "
        "3 % of the simulated cycles on the shapes that the tests draw; takes seconds."
    ),
    add_arguments=_add_arguments,
    run=_run,
    example="tepin estimate --chips 8\ntepin estimate stories15M.bin --config sim,scratchpad_bytes=262144 --chips 4",
)
