# SPDX-License-Identifier: Apache-2.0
"""Sends resets that reach many flip-flops through the clock network of an ECP5.

The network reaches the reset input of every slice, and from its entrance everywhere with the same delay. Place and route
puts only clocks there by itself; through ordinary wires a reset of a thousand slices is the slowest path of a design, and
takes wires from others. Place and route counts the network's own delay as zero. That is right for clocks, which all have it;
a reset has it once more than the clock that takes it, about 3 ns of the cycle.
"""

from collections import defaultdict

__all__ = ["promote_resets"]

_FEWEST = 256
_MOST = 8  # The network has 16 nets; clocks need some.


def promote_resets(module, *, fewest=_FEWEST):
    """Put global buffers into the nets that reset most flip-flops.

    Only the way to reset inputs changes; what else such a net goes to stays connected to it.

    Parameters
    ----------
    module : dict
        The flattened top module of a netlist in Yosys' JSON; changed in place.
    fewest : int
        Flip-flops that a reset must reach.

    Returns
    -------
    list of int
        How many flip-flops each of the resets reaches that have a buffer now.
    """
    cells = module["cells"]
    reset_by, nets = defaultdict(list), [0]
    for cell in cells.values():
        for bits in cell["connections"].values():
            nets += [bit for bit in bits if isinstance(bit, int)]
        if cell["type"] == "TRELLIS_FF":
            reset_by[cell["connections"].get("LSR", ["0"])[0]].append(cell)
    wide = [net for net, users in reset_by.items() if isinstance(net, int) and len(users) >= fewest]
    wide = sorted(wide, key=lambda net: -len(reset_by[net]))[:_MOST]
    for output, net in enumerate(wide, max(nets) + 1):
        for cell in reset_by[net]:
            cell["connections"]["LSR"] = [output]
        cells[f"global_reset_{net}"] = {
            "hide_name": 0,
            "type": "DCCA",
            "parameters": {},
            "attributes": {},
            "port_directions": {"CLKI": "input", "CE": "input", "CLKO": "output"},
            "connections": {"CLKI": [net], "CE": ["1"], "CLKO": [output]},
        }
    return [len(reset_by[net]) for net in wide]
