# SPDX-License-Identifier: Apache-2.0
"""Verilog text, as Amaranth writes it, taken as a set of modules: merging equal ones and naming the rest.

The text has a regular form (one statement per line, instances indented by two spaces, names of nested
modules escaped and holding a full path such as `\\top.array.pe_0_0 `), and only that form is understood.
"""

import re

__all__ = ["Module", "parse", "merge", "order_ports", "readable_names", "top_down"]

_NAME = r"(?:\\\S+ |[A-Za-z_][A-Za-z0-9_$]*)"
_MODULE = re.compile(rf"module ({_NAME})\s*\((.*?)\);\n(.*?)^endmodule$", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(rf"^  ({_NAME})(?= *{_NAME} *\($)", re.MULTILINE)
# A register that only starts the `always @*` blocks at time zero; its name holds a number that runs through
# all modules.
_STARTER = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ ")
_INDEX = re.compile(r"(?:_?\[?\d+\]?)+$|\$\d+$")


class Module:
    """One module: its name, the names of its ports in order, and its body as text.

    Names are held as they are written, but without the space that ends an escaped one.
    """

    def __init__(self, name, ports, body):
        self.name = name
        self.ports = ports
        self.body = body

    def instances(self):
        """Names of the modules that this one has instances of, in order, repeated as often as they occur."""
        return [match[1].rstrip() for match in _INSTANCE.finditer(self.body)]

    def rename_instances(self, names):
        """Makes instances of `names[module]` out of those of `module`."""

        def rename(match):
            old = match[1].rstrip()
            return "  " + names[old] if old in names else match[0]

        self.body = _INSTANCE.sub(rename, self.body)

    def key(self):
        """Equal for modules that differ in nothing but their names and the order of their ports."""
        return tuple(sorted(self.ports)), self.body

    def text(self):
        """The module as Verilog."""
        space = " " if self.name.startswith("\\") else ""
        ports = ", ".join(port + " " if port.startswith("\\") else port for port in self.ports)
        return f"module {self.name}{space}({ports});\n{self.body}endmodule"


def parse(text):
    """Modules of a Verilog text by name, in order of appearance."""
    modules = {}
    for name, ports, body in _MODULE.findall(text):
        names = [port.strip() for port in ports.split(",") if port.strip()]
        body = _STARTER.sub(lambda _: r"\$start ", body)
        modules[name.rstrip()] = Module(name.rstrip(), names, body)
    return modules


def merge(modules, *, top):
    """Merges equal modules of the design below `top`, and gives those that remain readable names. In place.

    Modules are equal if their text is, given that the modules they are made of are equal. A module that
    stands for several is called after what their paths have in common, without indices: `top_array_pe` for
    `top.array.pe_0_0` and its likes; a second kind of it `top_array_pe_2`, and so on.
    """
    kinds = {}  # name of each module -> name of the first one that is equal to it
    first_of = {}  # key -> name of the first module that has it
    members = {}  # name of a first module -> names of all that equal it
    for name in _bottom_up(modules, top):
        module = modules[name]
        module.rename_instances(kinds)
        kinds[name] = first_of.setdefault(module.key(), name)
        members.setdefault(kinds[name], []).append(name)
    order = top_down({name: module.instances() for name, module in modules.items()}, top)
    kept = [name for name in order if name in members]
    names = readable_names({name: members[name] for name in kept}, top)
    result = {}
    for name in kept:
        module = modules[name]
        module.rename_instances({old: new + " " for old, new in names.items()})
        module.name = names[name]
        result[module.name] = module
    modules.clear()
    modules.update(result)


def order_ports(modules, *, top, last):
    """Sorts the ports of each module, clocks and resets first; those of `top` end in the order of `last`."""
    for module in modules.values():
        module.ports.sort(key=lambda port: (port not in ("clk", "rst"), port))
    others = [port for port in modules[top].ports if port not in last]
    modules[top].ports[:] = others + [port for port in last if port in modules[top].ports]


def _bottom_up(modules, top):
    """Names of the modules below `top`, each after all those that it is made of."""
    done = {}
    stack = [(top, False)]
    while stack:
        name, visited = stack.pop()
        if visited:
            done[name] = None
        elif name in modules and name not in done:
            stack.append((name, True))
            stack.extend((child, False) for child in reversed(modules[name].instances()))
    return list(done)


def top_down(children, top):
    """Names of the modules below `top` in the order in which an instance of them first appears.

    `children` are the names of the modules that each module has instances of.
    """
    order = {top: None}
    queue = [top]
    while queue:
        for child in children[queue.pop(0)]:
            if child in children and child not in order:
                order[child] = None
                queue.append(child)
    return list(order)


def readable_names(members, top):
    """One identifier for each module, from the paths of all the modules that it stands for.

    What the paths have in common, without indices: `top_array_pe` for `top.array.pe_0_0` and its likes; a second kind of it
    `top_array_pe_2`, and so on.
    """
    names = {top: top}
    taken = {top}
    for name, paths in members.items():
        if name != top:
            names[name] = _unused(_readable_name(paths, top), taken)
    return names


def _readable_name(names, top):
    """What the paths `names` have in common, as one identifier that begins with `top`."""
    paths = [name.lstrip("\\").split(".")[1:] for name in names]
    if len(paths) > 1:
        paths = [[_INDEX.sub("", part) or part for part in path] for path in paths]
    common = []
    for parts in zip(*(reversed(path) for path in paths), strict=False):
        if len(set(parts)) > 1:
            break
        common.insert(0, parts[0])
    return re.sub(r"\W+", "_", "_".join([top] + (common or paths[0]))).strip("_")


def _unused(name, taken):
    """`name`, or `name_2`, `name_3`, ... if that is taken; the result is added to `taken`."""
    number = 1
    result = name
    while result in taken:
        number += 1
        result = f"{name}_{number}"
    taken.add(result)
    return result
