# SPDX-License-Identifier: Apache-2.0
"""The host link at the end of a UART: two pins on one side, the chip's buses on the other."""

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.dma.axi import AXI4LiteSignature, AXI4Signature
from tepin.io.host_link import HostLink
from tepin.io.uart import UartReceiver, UartTransmitter

__all__ = ["SerialHost"]


class SerialHost(Component):
    """A `HostLink` on a serial line.

    Parameters
    ----------
    baud : int
        Bits per second, at most a quarter of the clock.
    config_hash, clock_hz, memory_bytes, data_width, receive_bytes
        As of `HostLink`; `clock_hz` is the frequency of the domain `sync`.

    Members
    -------
    rx : In(1)
        The line from the host, asynchronous.
    tx : Out(1)
        The line to the host, out of a flip-flop.
    registers, memory, irq, self_test
        As of `HostLink`.
    """

    def __init__(self, *, clock_hz, baud, config_hash, memory_bytes, data_width, receive_bytes=2048):
        self._receiver = UartReceiver(clock_hz=clock_hz, baud=baud)
        self._transmitter = UartTransmitter(clock_hz=clock_hz, baud=baud)
        self._link = HostLink(
            config_hash=config_hash,
            clock_hz=clock_hz,
            memory_bytes=memory_bytes,
            data_width=data_width,
            receive_bytes=receive_bytes,
        )
        self._baud = baud
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "registers": Out(AXI4LiteSignature(addr_width=16)),
                "memory": Out(AXI4Signature(addr_width=32, data_width=data_width, id_width=1)),
                "irq": In(1),
                "self_test": In(32),
            }
        )

    @property
    def baud(self):
        """Bits per second."""
        return self._baud

    @property
    def identity(self):
        """The `Identity` that it answers with."""
        return self._link.identity

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.transmitter = transmitter = self._transmitter
        m.submodules.link = link = self._link
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx), link.irq.eq(self.irq)]
        m.d.comb += link.self_test.eq(self.self_test)
        connect(m, receiver.o, link.i)
        connect(m, link.o, transmitter.i)
        connect(m, link.registers, flipped(self.registers))
        connect(m, link.memory, flipped(self.memory))
        return m
