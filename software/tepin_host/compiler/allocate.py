# SPDX-License-Identifier: Apache-2.0
"""Places buffers: regions in external memory, buffers in the banks of the scratchpad."""

from dataclasses import dataclass

from tepin_host.errors import UserError

__all__ = ["MemoryMap", "Region", "ScratchpadMap"]


def _align(value, alignment):
    return -(-value // alignment) * alignment


@dataclass(frozen=True)
class Region:
    """A named range of addresses."""

    name: str
    address: int
    size: int

    @property
    def end(self):
        return self.address + self.size


class MemoryMap:
    """Regions of external memory, one behind the other from address 0.

    Parameters
    ----------
    alignment : int
        Every region starts at a multiple of this many bytes.
    """

    def __init__(self, alignment):
        self.alignment = alignment
        self.regions = {}

    def add(self, name, size):
        """Append a region; returns its address."""
        address = _align(self.size, self.alignment)
        self.regions[name] = Region(name, address, size)
        return address

    @property
    def size(self):
        return max((region.end for region in self.regions.values()), default=0)


class ScratchpadMap:
    """Buffers in the scratchpad; none crosses a bank.

    Operands that are read in the same cycle are fastest in different banks: `add` takes the bank to try first. A buffer
    may be in use in some phases of a program only; two that are never in use in the same phase may share their place.
    """

    def __init__(self, size, banks):
        self.bank_bytes = size // banks
        self._banks = [[] for _ in range(banks)]
        self.buffers = {}

    def add(self, name, size, bank=0, phases=None):
        """Reserve `size` bytes in the preferred bank, or in the emptiest other one; returns the address.

        `phases` is a set of names, or None for all. Raises `UserError` if no bank has room.
        """
        used = [max((end for _, end, _ in buffers), default=0) for buffers in self._banks]
        order = [bank % len(used)] + sorted(range(len(used)), key=used.__getitem__)
        for candidate in order:
            start = self._free(self._banks[candidate], size, phases)
            if start is not None:
                self._banks[candidate].append((start, start + size, phases))
                address = candidate * self.bank_bytes + start
                self.buffers[name] = Region(name, address, size)
                return address
        raise UserError(
            f"the scratchpad is too small for this model: {size} bytes for {name} fit in none of its "
            f"{len(used)} banks of {self.bank_bytes} bytes (in use: {used}); choose a configuration with "
            "a larger scratchpad, for example --config sim,scratchpad_bytes=262144"
        )

    def _free(self, buffers, size, phases):
        """The lowest place in a bank that is free in these phases, or None."""
        rivals = [
            (start, end)
            for start, end, other in buffers
            if phases is None or other is None or not phases.isdisjoint(other)
        ]
        for start in sorted({0, *(_align(end, 16) for _, end in rivals)}):
            if start + size > self.bank_bytes:
                return None
            if all(start + size <= begin or end <= start for begin, end in rivals):
                return start
        return None
