# SPDX-License-Identifier: Apache-2.0
"""A design as files for other people's tools: Verilog, a manifest and, for the chip, its registers and a C header.

The manifest (JSON) says what somebody needs who instantiates the module: ports with their meaning, conventions,
configuration, memories. The same configuration gives the same bytes, on any machine.
"""

import hashlib
import json
import re
from dataclasses import asdict
from importlib.metadata import version

from amaranth.hdl import Shape
from amaranth.lib import data

from tepin import documents, netlist, verilog
from tepin.isa import ISA_VERSION
from tepin.memory.ports import ReadPort
from tepin.tops import TOPS
from tepin_host.simulation.build import chip_verilog

__all__ = ["MANIFEST", "export", "file_names", "memories", "port_groups"]

MANIFEST = "manifest.json"

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

_CONTENTS = {
    ".v": "Verilog-2005 of the module and of all below it",
    ".md": "the registers behind s_axil",
    ".h": "registers, words of the instruction set and error codes, for C",
}


def file_names(top):
    """Names of the files that `export` makes for a top, the manifest last."""
    extra = ["registers.md", "tepin.h"] if top == "chip" else []
    return [f"{TOPS[top].module}.v", *extra, MANIFEST]


def export(config, top="chip"):
    """Make the files of a design.

    Parameters
    ----------
    config : ChipConfig
    top : str
        A name in `tepin.tops.TOPS`.

    Returns
    -------
    dict
        Text of every file, by name, in the order of `file_names`. Takes seconds to minutes; the chip's Verilog is
        cached.
    """
    design = TOPS[top]
    component = design.make(config)
    ports = port_groups(component, design)
    files = {}
    if top == "chip":
        files[f"{design.module}.v"] = text = chip_verilog(config)
        files["registers.md"] = documents.registers_markdown()
        header = documents.registers_header(config_hash=config.hash)
        files["tepin.h"] = f"{header}\n{documents.isa_header()}"
    else:
        text = verilog.convert(component, name=design.module, port_names=design.port_names)
        files[f"{design.module}.v"] = text
    manifest = {
        "generator": f"tepin {version('tepin')}",
        "top": top,
        "module": design.module,
        "files": [
            {
                "name": name,
                "content": next(text for suffix, text in _CONTENTS.items() if name.endswith(suffix)),
                "sha256": hashlib.sha256(content.encode()).hexdigest(),
            }
            for name, content in files.items()
        ],
        "isa_version": ISA_VERSION,
        "config_hash": config.hash,
        "config": asdict(config),
        "conventions": _CONVENTIONS | _MORE_CONVENTIONS.get(top, _ENGINE_CONVENTIONS),
        "ports": ports,
        "memories": memories(text, design.module),
    }
    files[MANIFEST] = json.dumps(manifest, indent=2) + "\n"
    assert list(files) == file_names(top)
    return files


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
        {"name": "clock", "meaning": "clock and synchronous reset", "ports": clock},
        *({"name": name, "meaning": meanings[name], "ports": ports} for name, ports in groups.items()),
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


_MEMORY = re.compile(r"^  reg (?:\[(\d+):0\] )?(\\?\S+) \[(\d+):0\];$", re.MULTILINE)


def memories(text, top):
    """What a generated design keeps in memories: candidates for block RAM or SRAM macros, the largest first.

    Parameters
    ----------
    text : str
        Result of `tepin.verilog.convert`.
    top : str
        Name of the top module.

    Returns
    -------
    list of dict
        `module`, `name`, `width` in bits, `depth` in words, `count` (how often it is instantiated) and `bytes` of all of
        them together, rounded up.
    """
    modules = netlist.parse(text)
    result = []
    for name, count in _instance_counts(modules, top).items():
        for width, memory, last in _MEMORY.findall(modules[name].body):
            bits = (int(width or 0) + 1) * (int(last) + 1)
            result.append(
                {
                    "module": name,
                    "name": memory.lstrip("\\"),
                    "width": int(width or 0) + 1,
                    "depth": int(last) + 1,
                    "count": count,
                    "bytes": -(-bits * count // 8),
                }
            )
    return sorted(result, key=lambda entry: -entry["bytes"])


def _instance_counts(modules, top):
    """How often each module is there in the whole design."""
    counts = dict.fromkeys(modules, 0)

    def visit(name):
        counts[name] += 1
        for child in modules[name].instances():
            visit(child)

    visit(top)
    return counts
