# SPDX-License-Identifier: Apache-2.0
"""Takes memories out of modules: each becomes an instance of a module whose name says size and ports.

Whoever makes silicon replaces those modules, and nothing else, by SRAM macros; FPGA tools make block RAM of them as they are.
Equal memories are instances of one module, also across designs, since its name says all that it is:

    tepin_ram_1r1w_1024x32       1,024 words of 32 bits, one port that reads and one that writes
    tepin_ram_1r1w_1024x32_m4    the same, whose words are written in four parts
    tepin_regs_2r1w_16x32        read without a clock: registers rather than RAM
    tepin_ram_1r1w_128x66_wf     a word that is read while it is written is the new one
    tepin_rom_1r_512x72_6b1f03a2 never written; the last part stands for the contents
"""

import hashlib
from dataclasses import dataclass

from tepin.export.rtlil import Cell, Const, bits_of, cut, join, width_of
from tepin.export.text import RANDOM_START, declaration, random_bits

__all__ = ["Memory", "extract"]


@dataclass(frozen=True)
class Memory:
    """A memory as a module. It relies on no initial contents, and a word that is read stays until the next read.

    Members
    -------
    width, depth : int
        Bits of a word; words.
    parts : tuple of int
        For each port that writes, into how many parts with an enable of their own it divides a word.
    reads : int
        Ports that read.
    clocked : bool
        Whether a word comes in the cycle after its address (then, with an enable), or at once.
    contents : tuple of str
        Bits of the words that are never written; empty for all others.
    relaxed : bool
        A word is never read in the cycle in which it is written, or nobody looks at what comes. Otherwise the old
        contents are read,
    through : bool
        or, if this is set, the new ones.
    """

    width: int
    depth: int
    parts: tuple
    reads: int
    clocked: bool
    contents: tuple = ()
    relaxed: bool = False
    through: bool = False

    @property
    def name(self):
        """Name of the module."""
        kind = "rom" if self.contents else "ram" if self.clocked else "regs"
        ports = f"{self.reads}r" + (f"{len(self.parts)}w" if self.parts else "")
        name = f"tepin_{kind}_{ports}_{self.depth}x{self.width}"
        if any(part > 1 for part in self.parts):
            name += "_m" + "_".join(map(str, self.parts))
        if self.contents:
            name += "_" + hashlib.sha256(" ".join(self.contents).encode()).hexdigest()[:8]
            name += "" if self.clocked else "_async"
        return name + ("_wf" if self.through else "_nc" if self.relaxed else "")

    @property
    def collision(self):
        """What a port reads while another one writes the same word."""
        if not self.parts:
            return "never written"
        if self.through:
            return "the new contents"
        return "does not matter" if self.relaxed else "the old contents"

    def ports(self):
        """{name: (direction, width)}."""
        address = max(1, (self.depth - 1).bit_length())
        result = {"clk": ("input", 1)} if self.clocked or self.parts else {}
        for prefix in _prefixes("r", self.reads):
            if self.clocked:
                result[f"{prefix}_en"] = ("input", 1)
            result[f"{prefix}_addr"] = ("input", address)
            result[f"{prefix}_data"] = ("output", self.width)
        for prefix, parts in zip(_prefixes("w", len(self.parts)), self.parts, strict=True):
            result[f"{prefix}_en"] = ("input", parts)
            result[f"{prefix}_addr"] = ("input", address)
            result[f"{prefix}_data"] = ("input", self.width)
        return result

    def text(self):
        """The module as Verilog."""
        ports = [(f"{direction} wire", width, port) for port, (direction, width) in self.ports().items()]
        lines = "\n".join(f"  {line}".rstrip() for line in self._body()).rstrip()
        if not self.contents:
            lines += (
                f"\n\n`ifdef {RANDOM_START}\n  integer index;\n  initial\n"
                f"    for (index = 0; index < {self.depth}; index = index + 1)\n"
                f"      words[index] = {random_bits(self.width)};\n`endif"
            )
        return (
            f"// SPDX-License-Identifier: Apache-2.0\n// {self.depth} words of {self.width} bits. "
            f"A word that is read while it is written: {self.collision}.\n\n"
            f"{declaration(self.name, ports)}{lines}\nendmodule\n"
        )

    def _body(self):
        word = _range(self.width)
        if not self.contents:
            if self.relaxed:
                yield "(* no_rw_check *)"
            yield f"reg {word}words [0:{self.depth - 1}];"
            yield ""
        for prefix, parts in zip(_prefixes("w", len(self.parts)), self.parts, strict=True):
            yield "always @(posedge clk) begin"
            size = self.width // parts
            for part in range(parts):
                bits = f"[{(part + 1) * size - 1}:{part * size}]" if parts > 1 else ""
                enable = f"{prefix}_en[{part}]" if parts > 1 else f"{prefix}_en"
                yield f"  if ({enable}) words[{prefix}_addr]{bits} <= {prefix}_data{bits};"
            yield "end"
            yield ""
        for prefix in _prefixes("r", self.reads):
            source = f"words[{prefix}_addr]"
            if self.contents:
                source = f"{prefix}_word"
                yield f"reg {word}{source};"
                yield "always @* begin"
                yield f"  case ({prefix}_addr)"
                address = max(1, (self.depth - 1).bit_length())
                for index, bits in enumerate(self.contents):
                    value = f"{self.width}'h{int(bits, 2):0{-(-self.width // 4)}x}"
                    yield f"    {address}'d{index}: {source} = {value};"
                yield f"    default: {source} = {self.width}'d0;"
                yield "  endcase"
                yield "end"
            if self.through:
                source = f"w_en && w_addr == {prefix}_addr ? w_data : {source}"
            if self.clocked:
                yield f"reg {word}{prefix}_held;"
                yield f"always @(posedge clk) if ({prefix}_en) {prefix}_held <= {source};"
                yield f"assign {prefix}_data = {prefix}_held;"
            else:
                yield f"assign {prefix}_data = {source};"
            yield ""


def _prefixes(letter, count):
    return [letter] if count == 1 else [f"{letter}{index}" for index in range(count)]


def _range(width):
    return f"[{width - 1}:0] " if width > 1 else ""


def extract(module):
    """Replaces the memories of a module by instances, called after them. In place.

    Returns
    -------
    dict from str to Memory
        By the name of its module.

    Raises
    ------
    ValueError
        A memory has contents and is written, too, or its ports differ in clock or in what they read while it is written.
    """
    result = {}
    for name in module.memories:
        cells = [cell for cell in module.cells if cell.parameters.get("MEMID") == name]
        memory, ports = _take(module, name, cells)
        module.cells = [cell for cell in module.cells if cell not in cells]
        module.cells.append(Cell(memory.name, name, ports=ports))
        result[memory.name] = memory
    module.memories = {}
    return result


def _take(module, name, cells):
    width, depth, attributes = module.memories[name]
    reads = [cell for cell in cells if cell.kind == "$memrd_v2"]
    writes = [cell for cell in cells if cell.kind == "$memwr_v2"]
    (contents,) = (cell.ports["DATA"] for cell in cells if cell.kind == "$meminit_v2")
    where = f"memory {name} of {module.name}"
    bits = "".join(chunk.bits for chunk in contents)
    words = ()
    if not writes:
        words = tuple(bits[end - width : end] for end in range(len(bits), 0, -width))
    elif "1" in bits:
        raise ValueError(f"{where} is written but has contents at power-up, which silicon has not")
    clocked = {bool(cell.parameters["CLK_ENABLE"]) for cell in reads}
    if len(clocked) != 1:
        raise ValueError(f"{where} is read both with and without a clock")
    clocks = {cell.ports["CLK"] for cell in (*reads, *writes) if cell.parameters["CLK_ENABLE"]}
    if len(clocks) > 1:
        raise ValueError(f"{where} has more than one clock")
    through = {"1" in cell.parameters["TRANSPARENCY_MASK"] for cell in reads}
    if True in through and (len(through) > 1 or len(writes) != 1 or _parts(writes[0].ports["EN"]) > 1):
        raise ValueError(f"{where} has ports that read while it is written, and others that do not, or masks")
    memory = Memory(
        width,
        depth,
        tuple(_parts(cell.ports["EN"]) for cell in writes),
        len(reads),
        clocked.pop(),
        contents=words,
        relaxed=bool(attributes.get("no_rw_check")) and bool(writes),
        through=through == {True},
    )
    ports = dict(zip(["clk"], clocks, strict=False))
    address = max(1, (depth - 1).bit_length())
    for prefix, cell in zip(_prefixes("r", len(reads)), reads, strict=True):
        if memory.clocked:
            ports[f"{prefix}_en"] = cell.ports["EN"]
        ports[f"{prefix}_addr"] = _fit(cell.ports["ADDR"], address)
        ports[f"{prefix}_data"] = cell.ports["DATA"]
    for prefix, parts, cell in zip(_prefixes("w", len(writes)), memory.parts, writes, strict=True):
        enables = list(bits_of(cell.ports["EN"]))
        ports[f"{prefix}_en"] = join(enables[:: width // parts])
        ports[f"{prefix}_addr"] = _fit(cell.ports["ADDR"], address)
        ports[f"{prefix}_data"] = cell.ports["DATA"]
    return memory, ports


def _parts(enables):
    """Into how many equal parts the enables of single bits divide a word."""
    bits = list(bits_of(enables))
    count = 1
    while any(
        len(set(bits[start : start + len(bits) // count])) > 1
        for start in range(0, len(bits), len(bits) // count)
    ):
        count = next(more for more in range(count + 1, len(bits) + 1) if len(bits) % more == 0)
    return count


def _fit(signal, width):
    """An address with a given number of bits."""
    missing = width - width_of(signal)
    return join((Const("0" * missing), *signal)) if missing > 0 else cut(signal, 0, width)
