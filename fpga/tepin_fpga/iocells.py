# SPDX-License-Identifier: Apache-2.0
"""Moves the flip-flops behind pins into the I/O cells of an ECP5.

A flip-flop there has the same delay to its pin on every build, however the rest is placed, and the shortest there is. The
system keeps a flip-flop at every pin (see `tepin.memory.sdram_pins`); synthesis puts it into the fabric, merges those
that are equal and puts the inverter of a tristate enable behind it. So this works on the netlist after synthesis:

* An output or enable that comes straight from a flip-flop without enable and reset, and only goes to that pin, is moved.
* Any other gets a flip-flop of its own in the cell, beside the one in the fabric, fed by a LUT with what the latter will
  hold next: `reset ? value : enable ? d : q`, inverted if need be.
* An input that goes to nothing but one flip-flop is moved.
"""

from tepin_host.errors import UserError

__all__ = ["CannotRegister", "register_pins"]

_FLIP_FLOP, _LUT, _PAD = "TRELLIS_FF", "LUT4", "TRELLIS_IO"
_MARK = {"syn_useioff": "00000000000000000000000000000001"}
_INPUTS = "ABCD"
_ALWAYS = "1 "  # The text "1" in Yosys' JSON: the space tells it from a number.


class CannotRegister(UserError):
    """A pin has no flip-flop that could be moved into its I/O cell. An error of the design, not of the user's."""

    exit_status = 1


def register_pins(module, ports):
    """Move flip-flops into I/O cells.

    Parameters
    ----------
    module : dict
        The flattened top module of a netlist in Yosys' JSON; changed in place. Its pads are TRELLIS_IO cells.
    ports : list of str
        Ports all of whose pins are to be registered, in every direction that is not constant.

    Returns
    -------
    dict from str to int
        How many flip-flops are in I/O cells now: "input", "output", "enable".

    Raises
    ------
    CannotRegister
        With the name of a pin that has no suitable flip-flop.
    """
    netlist = _Netlist(module)
    counts = dict.fromkeys(("input", "output", "enable"), 0)
    wanted = {bit: name for port in ports for bit, name in netlist.port_bits(port)}
    for name, cell in list(module["cells"].items()):
        if cell["type"] != _PAD or _only(cell, "B") not in wanted:
            continue
        pin = wanted[_only(cell, "B")]
        for kind, port in (("output", "I"), ("enable", "T")):
            if isinstance(_only(cell, port), int):
                netlist.register_output(name, port, pin)
                counts[kind] += 1
        if isinstance(_only(cell, "O"), int) and netlist.users.get(_only(cell, "O")):
            netlist.register_input(cell, pin)
            counts["input"] += 1
    return counts


def _only(cell, port):
    """The one bit at a port, "x" if the port is not connected: an int for a net, "0", "1" or "x" for a constant."""
    bits = cell["connections"].get(port) or ["x"]
    return bits[0]


def _disconnect(cell, *ports):
    """Leave ports open. The flip-flops of an I/O cell share a reset, and one that is tied to 0 is a reset, too."""
    for port in ports:
        cell["connections"].pop(port, None)
        cell["port_directions"].pop(port, None)


class _Netlist:
    """A module with the cells at each net."""

    def __init__(self, module):
        self._module = module
        self._cells = module["cells"]
        self.users = {}  # net -> (cell, port) that it goes to
        self._driver = {}  # net -> (cell, port) that it comes from
        nets = [0]
        for name, cell in self._cells.items():
            for port, bits in cell["connections"].items():
                for bit in bits:
                    nets.append(bit if isinstance(bit, int) else 0)
                    if cell["port_directions"][port] == "output":
                        self._driver[bit] = name, port
                    else:
                        self.users.setdefault(bit, []).append((name, port))
        for port in module["ports"].values():
            nets += [bit for bit in port["bits"] if isinstance(bit, int)]
        self._unused = max(nets) + 1

    def port_bits(self, port):
        """(net, name of the pin) for every bit of a port."""
        bits = self._module["ports"][port]["bits"]
        return [(bit, f"{port}[{index}]" if len(bits) > 1 else port) for index, bit in enumerate(bits)]

    def register_input(self, pad, pin):
        users = self.users[_only(pad, "O")]
        cell = self._cells[users[0][0]]
        if len(users) > 1 or (cell["type"], users[0][1]) != (_FLIP_FLOP, "DI"):
            raise CannotRegister(
                f"Pin {pin} does not go to one flip-flop alone, and cannot have it in its I/O cell"
            )
        cell["attributes"] |= _MARK | {"ioff_dir": "input"}
        if _reset(cell) is None:
            _disconnect(cell, "LSR")

    def register_output(self, pad, port, pin):
        source, inverted = self._flip_flop(_only(self._cells[pad], port), pin)
        flip_flop = self._cells[source]
        free = _enable(flip_flop) is None and _reset(flip_flop) is None and not inverted
        if free and self.users[_only(flip_flop, "Q")] == [(pad, port)]:
            flip_flop["attributes"] |= _MARK | {"ioff_dir": "output"}
            _disconnect(flip_flop, "CE", "LSR")
            return
        name = f"{pad}$registered_{port}"
        output = self._new_net()
        copy = {
            **flip_flop,
            "parameters": {**flip_flop["parameters"], "CEMUX": _ALWAYS, "LSRMUX": "LSR"},
            "attributes": _MARK | {"ioff_dir": "output"},
            "connections": {"CLK": flip_flop["connections"]["CLK"], "Q": [output]},
            "port_directions": {"CLK": "input", "DI": "input", "Q": "output"},
        }
        if inverted:
            other = {"SET": "RESET", "RESET": "SET"}
            copy["parameters"]["REGSET"] = other[flip_flop["parameters"].get("REGSET", "RESET")]
        copy["connections"]["DI"] = [self._next_value(name, flip_flop, inverted)]
        self._cells[name] = copy
        self._cells[pad]["connections"][port] = [output]

    def _flip_flop(self, net, pin):
        """Name of the flip-flop that a net comes from, and whether there is an inverter between them."""
        name, port = self._driver.get(net, (None, None))
        inverted = False
        if name and self._cells[name]["type"] == _LUT:
            lut = self._cells[name]
            inputs = [entry for entry in _INPUTS if isinstance(_only(lut, entry), int)]
            if len(inputs) == 1 and _evaluate(lut, inputs[0], 0) > _evaluate(lut, inputs[0], 1):
                inverted = True
                name, port = self._driver.get(_only(lut, inputs[0]), (None, None))
        if name is None or (self._cells[name]["type"], port) != (_FLIP_FLOP, "Q"):
            raise CannotRegister(f"Pin {pin} does not come from a flip-flop")
        if self._cells[name]["parameters"].get("SRMODE") == "ASYNC" and _reset(self._cells[name]):
            raise CannotRegister(f"Pin {pin} comes from a flip-flop with an asynchronous reset")
        return name, inverted

    def _next_value(self, name, flip_flop, inverted):
        """Net with what a flip-flop holds after the next edge."""
        enable, reset = _enable(flip_flop), _reset(flip_flop)
        if enable is None and reset is None and not inverted:
            return _only(flip_flop, "DI")
        value = flip_flop["parameters"].get("REGSET", "RESET") == "SET"
        over_enable = flip_flop["parameters"].get("SRMODE") == "LSR_OVER_CE"
        table = 0
        for row in range(16):
            d, q, e, r = (row >> bit & 1 for bit in range(4))
            enabled = enable is None or e == enable[1]
            in_reset = reset is not None and r == reset[1] and (over_enable or enabled)
            result = value if in_reset else d if enabled else q
            table |= (result ^ inverted) << row
        output = self._new_net()
        inputs = {
            "A": _only(flip_flop, "DI"),
            "B": _only(flip_flop, "Q") if enable else "0",
            "C": enable[0] if enable else "0",
            "D": reset[0] if reset else "0",
        }
        self._cells[f"{name}_next"] = {
            "hide_name": 0,
            "type": _LUT,
            "parameters": {"INIT": f"{table:016b}"},
            "attributes": {},
            "port_directions": {**dict.fromkeys(_INPUTS, "input"), "Z": "output"},
            "connections": {**{key: [bit] for key, bit in inputs.items()}, "Z": [output]},
        }
        return output

    def _new_net(self):
        self._unused += 1
        return self._unused - 1


def _enable(flip_flop):
    """(net, active level) of a flip-flop's clock enable, or None if it is always enabled."""
    mode = flip_flop["parameters"].get("CEMUX", "CE")
    net = _only(flip_flop, "CE")
    if mode == _ALWAYS or not isinstance(net, int):
        return None
    return net, int(mode != "INV")


def _reset(flip_flop):
    """(net, active level) of a flip-flop's reset, or None if it has none."""
    net = _only(flip_flop, "LSR")
    if not isinstance(net, int):
        return None
    return net, int(flip_flop["parameters"].get("LSRMUX", "LSR") != "INV")


def _evaluate(lut, port, value):
    """Output of a LUT with one input at `value` and all others constant."""
    row = 0
    for bit, entry in enumerate(_INPUTS):
        level = value if entry == port else int(_only(lut, entry) == "1")
        row |= level << bit
    return int(lut["parameters"]["INIT"], 2) >> row & 1
