# SPDX-License-Identifier: Apache-2.0
"""What one DMA descriptor moves: the runs it visits and the windows it must stay in."""

from dataclasses import dataclass

__all__ = ["Window", "runs"]

_ADDRESSES = 1 << 32


@dataclass(frozen=True)
class Window:
    """Addresses that the host allows a program to touch: base <= address < limit."""

    base: int = 0
    limit: int = _ADDRESSES

    def first_outside(self, address, length):
        """Address of the first byte of a run that lies outside, or None; a run never wraps around the address space."""
        limit = min(self.limit, _ADDRESSES)
        if self.base <= address and address + length <= limit:
            return None
        return limit if self.base <= address < limit else address


def runs(flags, fields, read_word):
    """List the contiguous runs of a descriptor as (memory address, scratchpad address) in order.

    There are none, and the index list is not looked at, if the length or a count is 0.

    Parameters
    ----------
    flags : DmaFlags constant
    fields : dict of resolved field values
    read_word : callable(scratchpad address) -> int
        Fetches entries of the index list.
    """
    get = fields.get
    dimensions = flags.dimensions
    count = get("count") if dimensions >= 1 else 1
    count2 = get("count2") if dimensions >= 2 else 1
    if get("length") == 0:
        return
    for outer in range(count2):
        for inner in range(count):
            step = read_word(get("index") + 4 * inner) if flags.indexed else inner
            memory = get("memory") + step * get("memory_stride", 0) + outer * get("memory_stride2", 0)
            local = get("local", 0) + inner * get("local_stride", 0) + outer * get("local_stride2", 0)
            yield memory % _ADDRESSES, local % _ADDRESSES
