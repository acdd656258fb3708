# SPDX-License-Identifier: Apache-2.0
"""The scratchpad: on-chip memory that all engines share, one line per bank and cycle.

Byte-addressed and little-endian. The high address bits select a *bank*; each bank reads one line and writes one line
per cycle, and an access may begin at any word of it. Every port reaches every bank, so that ports which use different
banks never wait for each other; ports that meet in a bank take turns.
"""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from .ports import ReadPort, WritePort

__all__ = ["Bank", "Scratchpad", "Turns", "line_place"]


def _log2(value):
    return value.bit_length() - 1


def _rotate(line, words, left):
    """Rotate a line by a number of words of an equal share of it each: word 0 to place `words` if `left`, or back."""
    unit = len(line) >> len(words)
    for bit, select in enumerate(words):
        turn = unit << bit
        line = Mux(select, line.rotate_left(turn) if left else line.rotate_right(turn), line)
    return line


def _select(choices):
    """The value whose condition holds, of (condition, value) pairs of which one holds at most; otherwise 0."""
    return reduce(or_, (Mux(condition, value, 0) for condition, value in choices))


class Turns(Component):
    """Decides, for several resources at once, which of the requesters of a resource gets it: they take turns.

    Each resource has an owner, who may use it in every cycle. As long as others want it, it passes on from one of them to the
    next, in the order of their numbers and around; a request that stays is granted after at most `count` others. Who
    asks for what another one owns waits for two cycles at least: one for the way to the owner's register, one for that back.
    So `ready` depends on a register here and on the requester's own `resource` alone, however far apart the requesters are.

    Parameters
    ----------
    count : int
        Requesters, at least 1. In the beginning the one with the lowest number owns everything.
    resources : int
        Resources, a power of two.

    Members
    -------
    valid : In(count)
        Who asks.
    resource : In(ArrayLayout)
        For what.
    ready : Out(count)
        This one owns what it asks for. Does not depend on `valid`. Combinational.
    """

    def __init__(self, count, *, resources=1):
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"count must be an integer of at least 1, not {count!r}")
        self._count = count
        self._resources = resources
        super().__init__(
            {
                "valid": In(count),
                "resource": In(data.ArrayLayout(_log2(resources), count)),
                "ready": Out(count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        ready = [[] for _ in range(self._count)]
        for resource in range(self._resources):
            owner = Signal(self._count, init=1, name=f"owner_{resource}")
            waiting = Signal(self._count, name=f"waiting_{resource}")
            # A cycle ago, so the owner may be among them.
            others = Signal(self._count, name=f"others_{resource}")
            m.d.comb += others.eq(waiting & ~owner)
            with m.If(others.any()):
                m.d.sync += owner.eq(_first_after(owner, others))
            wants = Cat(self.resource[number] == resource for number in range(self._count))
            m.d.sync += waiting.eq(self.valid & wants & ~owner)
            for number in range(self._count):
                ready[number].append(owner[number] & wants[number])
        m.d.comb += self.ready.eq(Cat(Cat(owned).any() for owned in ready))
        return m


def _first_after(place, bits):
    """The first of `bits` above the one that is set in `place`, from below again behind the highest. One-hot."""
    count = len(bits)
    twice = bits.replicate(2)
    # Subtraction of a bit turns all zeros from there up to the next one, and that one.
    first = twice & ~(twice - place.rotate_left(1))
    return first[:count] | first[count:]


def line_place(*, size, line_bytes):
    """Where a line begins in a bank of `size` bytes.

    Members: `row`, of the memories, that of its first word; `following`, the row behind that, or the first one; `offset`, the
    memory with its first word; `wraps`, bit i: memory i comes before that one, so that its word is in the row `following`.
    """
    count = line_bytes // 4
    row = _log2(size // line_bytes)
    return data.StructLayout({"row": row, "following": row, "offset": _log2(count), "wraps": count})


class Bank(Component):
    """One bank: a line in and a line out per cycle, each at any word address.

    The bank is `line_bytes / 4` memories of 32-bit words. Word w is in memory `w % count`, row `w // count`, so the words
    of a line that begins in the middle of a row are in different memories all the same. What passes the end of the
    bank continues at its beginning.

    Latency of a read: 4 cycles, with registers in front of the memories, behind them and behind the rotation by whole words.
    A read in the same cycle as a write to the same word returns the old word in simulation and either of them in hardware.

    Cost: `line_bytes / 4` memories with byte enables, three registers and a rotator of `8 * line_bytes` bits.

    Parameters
    ----------
    size : int
        Bytes, a power of two, at least two lines.
    line_bytes : int
        Bytes per line, a power of two, at least 4.

    Members
    -------
    read_place : In(line_place(...))
        The line to read.
    read_data : Out(8 * line_bytes)
        The line that was addressed four cycles before.
    write_place : In(line_place(...))
        The line to write.
    write_data, write_mask : In
        What is written: those bytes of the line whose bits in the mask are set. Both come rotated, so that each word
        lies where its memory is.
    """

    def __init__(self, *, size, line_bytes):
        self._size = size
        self._line_bytes = line_bytes
        place = line_place(size=size, line_bytes=line_bytes)
        super().__init__(
            {
                "read_place": In(place),
                "read_data": Out(8 * line_bytes),
                "write_place": In(place),
                "write_data": In(8 * line_bytes),
                "write_mask": In(line_bytes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = self._line_bytes // 4
        offset_bits = _log2(count)
        # Ports are selected before, memories after these registers.
        place = line_place(size=self._size, line_bytes=self._line_bytes)
        read_place, write_place = (
            data.View(place, Signal(place.size, name=name, reset_less=True))
            for name in ("read_at", "write_at")
        )
        write_data = Signal(8 * self._line_bytes, name="written", reset_less=True)
        write_mask = Signal(self._line_bytes, name="write_bytes")
        m.d.sync += [
            read_place.as_value().eq(self.read_place),
            write_place.as_value().eq(self.write_place),
            write_data.eq(self.write_data),
            write_mask.eq(self.write_mask),
        ]
        offset, stored_offset = Signal(offset_bits, reset_less=True), Signal(offset_bits, reset_less=True)
        stored, rotated = (
            Signal(8 * self._line_bytes, name=name, reset_less=True) for name in ("stored", "rotated")
        )
        m.d.sync += [offset.eq(read_place.offset), stored_offset.eq(offset)]
        m.d.sync += rotated.eq(_rotate(stored, stored_offset, left=False))
        m.d.comb += self.read_data.eq(rotated)
        for index in range(count):
            # Nobody relies on what a read returns while the word is written, so synthesis need not take care of it.
            depth = self._size // self._line_bytes
            words = Memory(shape=32, depth=depth, init=[], attrs={"no_rw_check": 1})
            m.submodules[f"words_{index}"] = words
            write_port = words.write_port(granularity=8)
            read_port = words.read_port()
            m.d.comb += [
                read_port.addr.eq(self._row(read_place, index)),
                write_port.en.eq(write_mask.word_select(index, 4)),
                write_port.addr.eq(self._row(write_place, index)),
                write_port.data.eq(write_data.word_select(index, 32)),
            ]
            m.d.sync += stored.word_select(index, 32).eq(read_port.data)
        return m

    @staticmethod
    def _row(place, index):
        """Row of memory `index` that belongs to the line at `place`."""
        return Mux(place.wraps[index], place.following, place.row)


class Scratchpad(Component):
    """Banked memory with any number of readers and writers; `ReadPort` and `WritePort` say what a port promises.

    Arbitration. Readers and writers are arbitrated separately, and those that meet in a bank take turns, see `Turns`: a
    request that is kept up is accepted after at most `readers` (`writers`) others, whatever those do. Who was the last to
    use a bank is accepted at once, another one two cycles later. A request out of range is accepted in its turn and answered
    with a fault; it touches no memory.

    Latency of a read: `ReadPort.LATENCY` cycles, one access per cycle and port. Reads that are accepted later than a write
    return what was written. A read accepted in the same cycle as a write to the same word may return the old or the new
    word (in simulation: the old one).

    Timing: from a register and the bank number of the request to `request.ready` there are two levels of logic. Ports lie all
    over a chip, so nothing passes from one of them to another without a register between. In the next cycle requests pass
    multiplexers to the banks, in the one after that they are at the memories. For reads there are registers behind the
    memories, rotators, and multiplexers of the banks.

    Parameters
    ----------
    size : int
        Bytes, a power of two.
    banks : int
        Number of banks, a power of two; each has `size / banks` bytes, at least two lines.
    line_bytes : int
        Bytes per access, a power of two, at least 4.
    readers, writers : int
        Number of ports, at least 1 each.

    Members
    -------
    readers : array of In(ReadPort(line_bytes=line_bytes))
    writers : array of In(WritePort(line_bytes=line_bytes))
    """

    def __init__(self, *, size, banks, line_bytes, readers, writers):
        for name, value in (("size", size), ("banks", banks), ("line_bytes", line_bytes)):
            if not isinstance(value, int) or value < 1 or value & (value - 1):
                raise ValueError(f"{name} must be a power of two, not {value!r}")
        for name, value in (("readers", readers), ("writers", writers)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, not {value!r}")
        if line_bytes < 4:
            raise ValueError(f"line_bytes must be at least 4, not {line_bytes}")
        if size < 2 * banks * line_bytes:
            raise ValueError(f"size must hold two lines in each bank, not {size} bytes")
        self._size = size
        self._banks = banks
        self._line_bytes = line_bytes
        super().__init__(
            {
                "readers": In(ReadPort(line_bytes=line_bytes)).array(readers),
                "writers": In(WritePort(line_bytes=line_bytes)).array(writers),
            }
        )

    @property
    def size(self):
        """Bytes."""
        return self._size

    @property
    def banks(self):
        """Number of banks."""
        return self._banks

    @property
    def line_bytes(self):
        """Bytes per access."""
        return self._line_bytes

    def elaborate(self, platform):
        m = Module()
        banks = []
        for index in range(self._banks):
            bank = Bank(size=self._size // self._banks, line_bytes=self._line_bytes)
            m.submodules[f"bank_{index}"] = bank
            banks.append(bank)

        self._elaborate_writers(m, banks)
        self._elaborate_readers(m, banks)
        return m

    def _arbitrate(self, m, ports, addresses, kind):
        """Accept requests. Returns, registered, for each port: its bank, one-hot, and whether one was out of range."""
        bank_bits = slice(_log2(self._size // self._banks), _log2(self._size))
        m.submodules[f"{kind}_turns"] = turns = Turns(len(ports), resources=self._banks)
        chosen, faults = [], []
        for number, (port, address) in enumerate(zip(ports, addresses, strict=True)):
            bank = Signal(self._banks, name=f"{kind}_bank_{number}")
            outside = Signal(name=f"{kind}_outside_{number}")
            m.d.comb += [
                turns.valid[number].eq(port.request.valid),
                turns.resource[number].eq(address[bank_bits]),
                port.request.ready.eq(turns.ready[number]),
            ]
            accepted = port.request.valid & port.request.ready
            m.d.sync += [
                bank.eq(Cat(accepted & (address[bank_bits] == index) for index in range(self._banks))),
                outside.eq(address[_log2(self._size) :].any()),
            ]
            chosen.append(bank)
            faults.append(bank.any() & outside)
        return chosen, faults

    def _place(self, m, name, address):
        """Register where in its bank the line at `address` begins."""
        layout = line_place(size=self._size // self._banks, line_bytes=self._line_bytes)
        # A view of a register without a reset.
        register = Signal(layout.size, name=name, reset_less=True)
        place = data.View(layout, register)
        offset_bits, row_bits = (layout[member].width for member in ("offset", "row"))
        offset = address[2 : 2 + offset_bits]
        row = address[2 + offset_bits : 2 + offset_bits + row_bits]
        m.d.sync += [
            place.row.eq(row),
            place.following.eq(row + 1),
            place.offset.eq(offset),
            place.wraps.eq(Cat(index < offset for index in range(self._line_bytes // 4))),
        ]
        return register

    def _elaborate_writers(self, m, banks):
        ports = list(self.writers)
        addresses = [port.request.payload.address for port in ports]
        chosen, faults = self._arbitrate(m, ports, addresses, "write")
        offset = slice(2, 2 + _log2(self._line_bytes // 4))
        places, lines, masks = [], [], []
        for number, (port, address) in enumerate(zip(ports, addresses, strict=True)):
            # While requests are arbitrated, each is brought into the order of the memories.
            line = Signal(8 * self._line_bytes, name=f"write_data_{number}", reset_less=True)
            mask = Signal(self._line_bytes, name=f"write_mask_{number}", reset_less=True)
            beyond = address[_log2(self._size) :].any()
            m.d.sync += [
                line.eq(_rotate(port.request.payload.data, address[offset], left=True)),
                mask.eq(Mux(beyond, 0, _rotate(port.request.payload.mask, address[offset], left=True))),
            ]
            m.d.comb += port.fault.eq(faults[number])
            places.append(self._place(m, f"write_place_{number}", address))
            lines.append(line)
            masks.append(mask)
        for index, bank in enumerate(banks):
            selects = [select[index] for select in chosen]
            m.d.comb += [
                bank.write_place.as_value().eq(_select(zip(selects, places, strict=True))),
                bank.write_data.eq(_select(zip(selects, lines, strict=True))),
                bank.write_mask.eq(_select(zip(selects, masks, strict=True))),
            ]

    def _elaborate_readers(self, m, banks):
        ports = list(self.readers)
        addresses = [port.request.payload for port in ports]
        chosen, faults = self._arbitrate(m, ports, addresses, "read")
        places = [self._place(m, f"read_place_{number}", address) for number, address in enumerate(addresses)]
        for index, bank in enumerate(banks):
            m.d.comb += bank.read_place.as_value().eq(
                _select((select[index], place) for select, place in zip(chosen, places, strict=True))
            )
        for number, port in enumerate(ports):
            # Which bank reads for this port travels beside the memory and its registers.
            source, fault = chosen[number], faults[number]
            for cycle in (1, 2, 3, 4):
                source_before, fault_before = source, fault
                source = Signal(self._banks, name=f"source_{cycle}_{number}")
                fault = Signal(name=f"fault_{cycle}_{number}")
                m.d.sync += [source.eq(source_before), fault.eq(fault_before)]
            response = Signal(8 * self._line_bytes, name=f"read_data_{number}", reset_less=True)
            m.d.comb += port.response.eq(response)
            m.d.sync += [
                port.response_valid.eq(source.any()),
                port.fault.eq(fault),
                response.eq(_select((source[index], bank.read_data) for index, bank in enumerate(banks))),
            ]
