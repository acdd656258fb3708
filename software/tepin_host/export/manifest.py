# SPDX-License-Identifier: Apache-2.0
"""The manifest of a design: what somebody needs who instantiates it, from ports and their meaning to memories."""

from dataclasses import asdict
from importlib.metadata import version

from amaranth.hdl import Shape
from amaranth.lib import data, stream

from tepin import verilog
from tepin.clock import CLOCK_GATE
from tepin.control.engine import EngineSignature
from tepin.dma.axi import AXI4LiteSignature, AXI4Signature
from tepin.isa import ISA_VERSION
from tepin.memory.ports import ReadPort, WritePort
from tepin.tops import TOPS
from tepin.units.axi_stream import AXI4StreamSignature

__all__ = ["describe", "logic", "memories", "port_groups"]

_CONVENTIONS = {
    "clock": "clk, rising edge; every other port is synchronous to it",
    "reset": "rst, high for at least one cycle of clk",
    "streams": (
        "NAME__payload moves in every cycle in which NAME__valid and NAME__ready are both high; the source holds valid and "
        "payload until then and does not wait for ready"
    ),
    "axi": "ports that begin with m_axi_ and s_axil_ are called as in the AXI4 and AXI4-Lite specifications",
    "structures": "a vector that holds several fields has the first one in its lowest bits; `fields` gives [highest, lowest]",
}

_ENGINE_CONVENTIONS = {
    "scratchpad reads": (
        f"{ReadPort.LATENCY} cycles after a request (a byte address, of which the lowest two bits are ignored) has moved, "
        "response_valid is high for a cycle, response is the line that begins there, and fault says that the address was out "
        "of range; responses cannot be held up"
    ),
    "scratchpad writes": (
        "a request holds address, data and a bit for each byte to write; fault is high in the cycle after it has moved if "
        "the address was out of range"
    ),
    "semaphores": "wait moves when the semaphore of that number was above zero; signal_valid increments semaphore `signal`",
    "errors": "after error_valid the engine has to be reset",
}

_AXI_STREAMS = {
    "axi streams": "ports that begin with s_axis_ and m_axis_ are called as in the AXI4-Stream specification"
}
_MORE_CONVENTIONS = {
    "chip": {},
    **dict.fromkeys(("softmax", "norm", "activation"), _AXI_STREAMS),
    "link": _AXI_STREAMS
    | {
        "lanes": (
            "tx__data and rx__data hold first the bits of all lanes that the rising edge of the forwarded clock takes, then "
            "those that the falling edge takes"
        ),
    },
}
"""Of tops that are no engines."""

_CLOCK = {
    "clock": {"port": "clk", "edge": "rising"},
    "reset": {"port": "rst", "active": "high", "kind": "synchronous", "cycles": 1},
    "crossings": [],
    "initial values": "none is relied upon, of no register and no memory",
}


def describe(config, top, component, design):
    """The manifest of a design, for JSON, but for its list of files.

    Parameters
    ----------
    config : ChipConfig
    top : str
    component : Component
        Another one like that which became the design.
    design : tepin.export.convert.Design
    """
    entry = TOPS[top]
    return {
        "generator": f"tepin {version('tepin')}",
        "top": top,
        "module": entry.module,
        "isa_version": ISA_VERSION,
        "config_hash": config.hash,
        "config": asdict(config),
        "conventions": _CONVENTIONS | _MORE_CONVENTIONS.get(top, _ENGINE_CONVENTIONS),
        **_CLOCK,
        **_clock_gates(design),
        "latency": entry.latency,
        "ports": port_groups(component, entry),
        "memories": memories(design),
        "logic": logic(design),
    }


def _clock_gates(design):
    """How many gates of clocks there are, if any."""
    count = design.counts().get(CLOCK_GATE, 0)
    return {"clock gates": {"module": CLOCK_GATE, "count": count}} if count else {}


def memories(design):
    """What a design keeps in memories: candidates for block RAM or SRAM macros, the largest first.

    Returns
    -------
    list of dict
        `module`, `depth` in words, `width` in bits, ports that read and write, into how many parts a word is divided for
        writing, whether reads have a clock, what a read of a word gives while it is written, `count` (how often it is
        instantiated), `bytes` of all of them together, rounded up, and `users`, the modules that have instances of it.
    """
    counts = design.counts()
    result = []
    for name, memory in design.memories.items():
        result.append(
            {
                "module": name,
                "depth": memory.depth,
                "width": memory.width,
                "reads": memory.reads,
                "writes": len(memory.parts),
                "parts": max(memory.parts, default=0),
                "clocked": memory.clocked,
                "collision": memory.collision,
                "count": counts[name],
                "bytes": -(-memory.width * memory.depth * counts[name] // 8),
                "users": [user for user, children in design.instances.items() if name in children],
            }
        )
    return sorted(result, key=lambda entry: (-entry["bytes"], entry["module"]))


def logic(design):
    """What a design is made of, for each instance in the top module, "" being what is in that itself.

    Returns
    -------
    list of dict
        `block`, `flip_flops` (bits of registers, those of memories that are read without a clock apart), `multipliers`, and
        `memory_bytes`, rounded up.
    """

    def entry(block, counts):
        bits = sum(
            memory.width * memory.depth * counts[name]
            for name, memory in design.memories.items()
            if memory.parts
        )
        return {
            "block": block,
            "flip_flops": sum(size * counts[name] for name, size in design.registers.items()),
            "multipliers": sum(number * counts[name] for name, number in design.multipliers.items()),
            "memory_bytes": -(-bits // 8),
        }

    own = dict.fromkeys(design.modules, 0)
    own[design.top] = 1
    parts = []
    for name, count in design.instances[design.top].items():
        if name in design.memories:
            own[name] += count
        elif name in design.registers:
            inside = design.counts(name)
            parts.append(entry(name, {each: count * number for each, number in inside.items()}))
    return [*parts, entry("", own)]


def _handshake(member):
    """How a member of a signature moves data."""
    signature = member.signature if member.is_signature else None
    kinds = (
        (AXI4Signature, "AXI4"),
        (AXI4LiteSignature, "AXI4-Lite"),
        (AXI4StreamSignature, "AXI4-Stream"),
        (ReadPort, "scratchpad reads"),
        (WritePort, "scratchpad writes"),
        (EngineSignature, "commands and semaphores"),
        (stream.Signature, "stream"),
    )
    return next((name for kind, name in kinds if isinstance(signature, kind)), "none")


def port_groups(component, design):
    """The ports in Verilog of a component that the `Top` has made, one group for each member of its signature."""
    meanings = design.ports | design.optional
    fields = _fields(component)
    clock = [{"name": name, "direction": "input", "width": 1} for name in ("clk", "rst")]
    groups = {name: [] for name in component.signature.members}
    for port, (width, direction) in verilog.ports(component).items():
        # Members never begin with each other's name and two underscores, or an AXI member's and one.
        member = next(
            name
            for name in groups
            if port == name or port.startswith(f"{name}__" if "_axi" not in name else f"{name}_")
        )
        entry = {"name": design.port_names.get(port, port), "direction": direction, "width": width}
        groups[member].append(entry | ({"fields": fields[port]} if port in fields else {}))
    return [
        {"name": "clock", "meaning": "clock and synchronous reset", "handshake": "none", "ports": clock},
        *(
            {
                "name": name,
                "meaning": meanings[name],
                "handshake": _handshake(component.signature.members[name]),
                "ports": ports,
            }
            for name, ports in groups.items()
        ),
    ]


def _fields(component):
    """Bits [highest, lowest] of each field of the ports that hold structures."""
    result = {}
    for path, _, value in component.signature.flatten(component):
        if not isinstance(value, data.View):
            continue
        layout = data.Layout.cast(value.shape())
        if isinstance(layout, data.StructLayout):
            result["__".join(map(str, path))] = {
                name: [field.offset + Shape.cast(field.shape).width - 1, field.offset]
                for name, field in layout
            }
    return result
