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

    Operands that are read in the same cycle are fastest in different banks: `add` takes the bank to try first.
    """

    def __init__(self, size, banks):
        self.bank_bytes = size // banks
        self._used = [0] * banks
        self.buffers = {}

    def add(self, name, size, bank=0):
        """Reserve `size` bytes in the preferred bank, or in the emptiest other one; returns the address.

        Raises `UserError` if no bank has room.
        """
        order = [bank % len(self._used)] + sorted(range(len(self._used)), key=self._used.__getitem__)
        for candidate in order:
            start = _align(self._used[candidate], 16)
            if start + size <= self.bank_bytes:
                self._used[candidate] = start + size
                address = candidate * self.bank_bytes + start
                self.buffers[name] = Region(name, address, size)
                return address
        raise UserError(
            f"the scratchpad is too small for this model: {size} bytes for {name} fit in none of its "
            f"{len(self._used)} banks of {self.bank_bytes} bytes (in use: {self._used}); choose a configuration with "
            "a larger scratchpad, for example --config sim,scratchpad_bytes=262144"
        )
