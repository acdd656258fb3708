# SPDX-License-Identifier: Apache-2.0
"""The scratchpad: on-chip memory that all engines share, one line per bank and cycle.

Byte-addressed and little-endian. The high address bits select a *bank*; each bank reads one line and writes one line
per cycle, and an access may begin at any word of it. Every port reaches every bank, so that ports which use different
banks never wait for each other; ports that meet in a bank take turns.
"""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from .bank import Bank, line_place, log2, rotate
from .ports import ReadPort, WritePort

__all__ = ["Scratchpad", "Turns"]


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
                "resource": In(data.ArrayLayout(log2(resources), count)),
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

    Clearing. As long as `clear` is high, in which time nobody may ask for anything, zeros are written to one row of all banks
    in each cycle; `size / banks / line_bytes + 1` cycles after `clear` has risen, `cleared` does, and falls after `clear`. It
    takes the way of the first writer, from the registers behind its request on, so that the others' is not longer for it, and
    that one's `fault` means nothing meanwhile. Afterwards all banks belong to the first ports, as after a reset: not even
    the next accesses' cycles tell who was there before.

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
    parity : bool
        Each byte has a parity bit, see `Bank`.

    Members
    -------
    readers : array of In(ReadPort(line_bytes=line_bytes))
    writers : array of In(WritePort(line_bytes=line_bytes))
    clear, cleared : In(1), Out(1)
    parity_errors : Out(range(banks + 1))
        Lines with wrong parity bits that banks read in a former cycle. The whole line counts, whatever the reader wants of
        it. Only with `parity`.
    """

    def __init__(self, *, size, banks, line_bytes, readers, writers, parity=False):
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
        self._parity = parity
        super().__init__(
            {
                "readers": In(ReadPort(line_bytes=line_bytes)).array(readers),
                "writers": In(WritePort(line_bytes=line_bytes)).array(writers),
                "clear": In(1),
                "cleared": Out(1),
                **({"parity_errors": Out(range(banks + 1))} if parity else {}),
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
            bank = Bank(size=self._size // self._banks, line_bytes=self._line_bytes, parity=self._parity)
            m.submodules[f"bank_{index}"] = bank
            banks.append(bank)

        # Which row is cleared, and above it whether all of them are.
        clearing, progress = Signal(), Signal(range(2 * self._size // self._banks // self._line_bytes))
        row, done = progress[:-1], progress[-1]
        erase = clearing & ~done
        m.d.sync += clearing.eq(self.clear)
        with m.If(erase):
            m.d.sync += progress.eq(progress + 1)
        with m.If(~clearing):
            m.d.sync += progress.eq(0)
        m.d.comb += self.cleared.eq(done)

        self._elaborate_writers(m, banks, erase, row)
        self._elaborate_readers(m, banks, erase)
        return m

    def _arbitrate(self, m, ports, addresses, kind, erase):
        """Accept requests. Returns, registered, for each port: its bank, one-hot, and whether one was out of range."""
        bank_bits = slice(log2(self._size // self._banks), log2(self._size))
        turns = Turns(len(ports), resources=self._banks)
        m.submodules[f"{kind}_turns"] = ResetInserter(erase)(turns)
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
                outside.eq(address[log2(self._size) :].any()),
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

    def _elaborate_writers(self, m, banks, erase, row):
        ports = list(self.writers)
        addresses = [port.request.payload.address for port in ports]
        chosen, faults = self._arbitrate(m, ports, addresses, "write", erase)
        offset = slice(2, 2 + log2(self._line_bytes // 4))
        places, lines, masks = [], [], []
        for number, (port, address) in enumerate(zip(ports, addresses, strict=True)):
            # While requests are arbitrated, each is brought into the order of the memories.
            line = Signal(8 * self._line_bytes, name=f"write_data_{number}", reset_less=True)
            mask = Signal(self._line_bytes, name=f"write_mask_{number}", reset_less=True)
            beyond = address[log2(self._size) :].any()
            m.d.sync += [
                line.eq(rotate(port.request.payload.data, address[offset], left=True)),
                mask.eq(Mux(beyond, 0, rotate(port.request.payload.mask, address[offset], left=True))),
            ]
            m.d.comb += port.fault.eq(faults[number])
            places.append(self._place(m, f"write_place_{number}", address))
            lines.append(line)
            masks.append(mask)
        # What is cleared looks like lines that the first port writes to all banks.
        place = data.View(line_place(size=self._size // self._banks, line_bytes=self._line_bytes), places[0])
        with m.If(erase):
            m.d.sync += [
                chosen[0].eq(-1),
                lines[0].eq(0),
                masks[0].eq(-1),
                place.row.eq(row),
                place.wraps.eq(0),
            ]
        for index, bank in enumerate(banks):
            selects = [select[index] for select in chosen]
            m.d.comb += [
                bank.write_place.as_value().eq(_select(zip(selects, places, strict=True))),
                bank.write_data.eq(_select(zip(selects, lines, strict=True))),
                bank.write_mask.eq(_select(zip(selects, masks, strict=True))),
            ]

    def _elaborate_readers(self, m, banks, erase):
        ports = list(self.readers)
        addresses = [port.request.payload for port in ports]
        chosen, faults = self._arbitrate(m, ports, addresses, "read", erase)
        places = [self._place(m, f"read_place_{number}", address) for number, address in enumerate(addresses)]
        for index, bank in enumerate(banks):
            m.d.comb += bank.read_place.as_value().eq(
                _select((select[index], place) for select, place in zip(chosen, places, strict=True))
            )
            if self._parity:
                m.d.comb += bank.read_valid.eq(Cat(select[index] for select in chosen).any())
        if self._parity:
            m.d.sync += self.parity_errors.eq(sum(bank.parity_error for bank in banks))
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
