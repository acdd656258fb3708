# SPDX-License-Identifier: Apache-2.0
"""Address channels of the AXI port."""

from amaranth.hdl import Cat, Const
from amaranth.lib import data

from tepin.dma.axi import Burst
from tepin.dma.bursts import first_beat, later_beats
from tepin.stream import StreamFifo

__all__ = ["address_constants", "address_queue", "send_addresses"]


def address_constants(address, data_width):
    """Statements for what never changes on an AXI address channel."""
    return [
        address.size.eq((data_width // 8).bit_length() - 1),
        address.burst.eq(Burst.INCR),
        address.cache.eq(0b0011),  # normal memory, may be buffered
        address.prot.eq(0),
    ]


def address_queue(data_width):
    """A queue of two for `send_addresses`, to be added as a submodule. It has room while `i.ready`."""
    beat_bits = (data_width // 8).bit_length() - 1
    return StreamFifo(shape=data.StructLayout({"address": 32 - beat_bits, "len": 8}), depth=2)


def send_addresses(queue, channel, burst, issue, data_width):
    """Statements that send the addresses of bursts through an `address_queue` to an AXI channel, with ID 0.

    Parameters
    ----------
    queue : StreamFifo
    channel : stream of addresses
    burst : burst_layout
        What is issued.
    issue : Signal
        It is, in this cycle; only when there is room in the queue.
    data_width : int
        Bits per beat.
    """
    beat_bytes = data_width // 8
    beat_bits = beat_bytes.bit_length() - 1
    return [
        queue.i.valid.eq(issue),
        queue.i.payload.address.eq(first_beat(burst, beat_bytes)),
        queue.i.payload.len.eq(later_beats(burst, beat_bytes)),
        channel.valid.eq(queue.o.valid),
        queue.o.ready.eq(channel.ready),
        channel.payload.id.eq(0),
        channel.payload.addr.eq(Cat(Const(0, beat_bits), queue.o.payload.address)),
        channel.payload.len.eq(queue.o.payload.len),
        *address_constants(channel.payload, data_width),
    ]
