# SPDX-License-Identifier: Apache-2.0
"""The scratchpad: on-chip memory that all engines share, one line per bank and cycle.

Byte-addressed and little-endian. The high address bits select a *bank*; each bank reads one line and writes one line
per cycle, and an access may begin at any word of it. Every port reaches every bank, so that ports which use different
banks never wait for each other; ports that meet in a bank take turns.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from .ports import ReadPort, WritePort

__all__ = ["Bank", "RoundRobin", "Scratchpad"]


def _log2(value):
    return value.bit_length() - 1


def _any(bits):
    return Cat(*bits).any()


class RoundRobin(Component):
    """Picks one of several requests, in turns.

    `grant` is combinational and has at most one bit set. After a grant the requesters behind the granted one come
    first, so that a request that stays is granted after at most `count - 1` others.

    Parameters
    ----------
    count : int
        Requesters, at least 1.

    Members
    -------
    requests : In(count)
    grant : Out(count)
    """

    def __init__(self, count):
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"count must be an integer of at least 1, not {count!r}")
        self._count = count
        super().__init__({"requests": In(count), "grant": Out(count)})

    def elaborate(self, platform):
        m = Module()
        if self._count == 1:
            m.d.comb += self.grant.eq(self.requests)
            return m
        behind = Signal(self._count)  # the requesters behind the one that was granted last
        favoured = Signal(self._count)
        m.d.comb += favoured.eq(self.requests & behind)
        candidates = Mux(favoured.any(), favoured, self.requests)
        m.d.comb += self.grant.eq(candidates & -candidates)
        with m.If(self.grant.any()):
            m.d.sync += behind.eq(~((self.grant - 1) | self.grant))
        return m


class Bank(Component):
    """One bank: a line in and a line out per cycle, each at any word address.

    The bank is `line_bytes / 4` memories of 32-bit words. Word w is in memory `w % count`, row `w // count`, so the words
    of a line that begins in the middle of a row are in different memories all the same. What passes the end of the
    bank continues at its beginning.

    Latency of a read: 1 cycle, with a rotation by whole words behind the memories. A read in the same cycle as a
    write to the same word returns the old word in simulation and either of them in hardware.

    Cost: `line_bytes / 4` memories with byte enables, two rotators of `8 * line_bytes` bits.

    Parameters
    ----------
    size : int
        Bytes, a power of two, at least two lines.
    line_bytes : int
        Bytes per line, a power of two, at least 4.

    Members
    -------
    read_enable, read_address : In
        Word address of a line. `read_data` holds it from the next cycle until the one after the next enable.
    read_data : Out(8 * line_bytes)
    write_enable, write_address, write_data, write_mask : In
        Writes the bytes of the line whose bits in the mask are set.
    """

    def __init__(self, *, size, line_bytes):
        self._size = size
        self._line_bytes = line_bytes
        address_width = _log2(size // 4)
        super().__init__(
            {
                "read_enable": In(1),
                "read_address": In(address_width),
                "read_data": Out(8 * line_bytes),
                "write_enable": In(1),
                "write_address": In(address_width),
                "write_data": In(8 * line_bytes),
                "write_mask": In(line_bytes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = self._line_bytes // 4
        offset_bits = _log2(count)
        write_offset = self.write_address[:offset_bits]
        read_offset = Signal(offset_bits)
        with m.If(self.read_enable):
            m.d.sync += read_offset.eq(self.read_address[:offset_bits])

        write_data = Signal.like(self.write_data)
        write_mask = Signal.like(self.write_mask)
        stored = Signal.like(self.read_data)
        m.d.comb += [
            write_data.eq(self._rotate_up(self.write_data, write_offset)),
            write_mask.eq(self._rotate_up(self.write_mask, write_offset)),
            self.read_data.eq(self._rotate_down(stored, read_offset)),
        ]
        for index in range(count):
            # Nobody relies on what a read returns while the word is written, so synthesis need not take care of it.
            depth = self._size // self._line_bytes
            words = Memory(shape=32, depth=depth, init=[], attrs={"no_rw_check": 1})
            m.submodules[f"words_{index}"] = words
            write_port = words.write_port(granularity=8)
            read_port = words.read_port()
            m.d.comb += [
                read_port.en.eq(self.read_enable),
                read_port.addr.eq(self._row(self.read_address, offset_bits, index)),
                stored.word_select(index, 32).eq(read_port.data),
                write_port.en.eq(Mux(self.write_enable, write_mask.word_select(index, 4), 0)),
                write_port.addr.eq(self._row(self.write_address, offset_bits, index)),
                write_port.data.eq(write_data.word_select(index, 32)),
            ]
        return m

    @staticmethod
    def _row(address, offset_bits, index):
        """Row of memory `index` that belongs to the line at `address`; the last row is followed by the first."""
        row = address[offset_bits:]
        return (row + (index < address[:offset_bits]))[: len(row)] if offset_bits else row

    @staticmethod
    def _rotate_up(line, words):
        """Word 0 of the line moves to place `words`."""
        unit = len(line) >> len(words)
        for bit, select in enumerate(words):
            line = Mux(select, line.rotate_left(unit << bit), line)
        return line

    @staticmethod
    def _rotate_down(line, words):
        """Word `words` of the line moves to place 0."""
        unit = len(line) >> len(words)
        for bit, select in enumerate(words):
            line = Mux(select, line.rotate_right(unit << bit), line)
        return line


class Scratchpad(Component):
    """Banked memory with any number of readers and writers; `ReadPort` and `WritePort` say what a port promises.

    Arbitration. Readers and writers are arbitrated separately, bank by bank and in turns: a request that is kept up is
    accepted after at most `readers - 1` (`writers - 1`) others in the same bank, whatever those do. A request out of
    range is accepted at once and answered with a fault; it touches no memory.

    Latency of a read: `ReadPort.LATENCY` cycles, one access per cycle and port. A write is in memory at the end of the
    cycle that accepted it: reads accepted in later cycles return it. A read accepted in the same cycle as a write to
    the same word may return the old or the new word (in simulation: the old one).

    Timing: requests pass arbitration and multiplexers to the memories' inputs without a register; responses are
    registered.

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

    def _arbitrate(self, m, banks, ports, addresses, kind):
        """Accept requests; returns a list of grants for each bank and, for each port, whether it is out of range."""
        bank_bits = slice(_log2(self._size // self._banks), _log2(self._size))
        outside = Signal(len(ports), name=f"{kind}_outside")
        m.d.comb += outside.eq(Cat(address[_log2(self._size) :].any() for address in addresses))
        grants = []
        for index in range(len(banks)):
            arbiter = RoundRobin(len(ports))
            m.submodules[f"{kind}_arbiter_{index}"] = arbiter
            m.d.comb += arbiter.requests.eq(
                Cat(
                    port.request.valid & ~outside[number] & (address[bank_bits] == index)
                    for number, (port, address) in enumerate(zip(ports, addresses, strict=True))
                )
            )
            grants.append(arbiter.grant)
        for number, port in enumerate(ports):
            m.d.comb += port.request.ready.eq(outside[number] | _any(grant[number] for grant in grants))
        return grants, outside

    def _elaborate_writers(self, m, banks):
        ports = list(self.writers)
        addresses = [port.request.payload.address for port in ports]
        grants, outside = self._arbitrate(m, banks, ports, addresses, "write")
        for number, port in enumerate(ports):
            m.d.sync += port.fault.eq(port.request.valid & outside[number])
        for bank, grant in zip(banks, grants, strict=True):
            m.d.comb += bank.write_enable.eq(grant.any())
            for number, port in enumerate(ports):
                with m.If(grant[number]):
                    m.d.comb += [
                        bank.write_address.eq(addresses[number][2:]),
                        bank.write_data.eq(port.request.payload.data),
                        bank.write_mask.eq(port.request.payload.mask),
                    ]

    def _elaborate_readers(self, m, banks):
        ports = list(self.readers)
        addresses = [port.request.payload for port in ports]
        grants, outside = self._arbitrate(m, banks, ports, addresses, "read")
        for bank, grant in zip(banks, grants, strict=True):
            m.d.comb += bank.read_enable.eq(grant.any())
            for number, address in enumerate(addresses):
                with m.If(grant[number]):
                    m.d.comb += bank.read_address.eq(address[2:])
        for number, port in enumerate(ports):
            # While the bank reads: which one it is, and whether there is anything to wait for.
            source = Signal(len(banks), name=f"source_{number}")
            fault = Signal(name=f"fault_{number}")
            m.d.sync += [
                source.eq(Cat(grant[number] for grant in grants)),
                fault.eq(port.request.valid & outside[number]),
                port.response_valid.eq(source.any() | fault),
                port.fault.eq(fault),
            ]
            for index, bank in enumerate(banks):
                with m.If(source[index]):
                    m.d.sync += port.response.eq(bank.read_data)
