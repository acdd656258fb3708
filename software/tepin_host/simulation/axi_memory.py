# SPDX-License-Identifier: Apache-2.0
"""A memory on an AXI4 port, for simulations in Python. It objects to whatever a master must not do."""

from collections import deque

__all__ = ["AxiMemory"]

_OKAY, _SLVERR = 0, 2
_INCR = 1


class AxiMemory:
    """Plays the memory of a component in Amaranth's simulator: `simulator.add_testbench(memory.run, background=True)`.

    The first beat of a read comes `latency` cycles after its address, one beat per cycle, bursts in order; a write is
    answered `latency` cycles after its last beat. Reads and writes do not slow each other down.

    Parameters
    ----------
    port : `AXI4Signature` interface
        The master's; IDs are returned, addresses wrap at the memory's size.
    data : bytearray
        Contents, changed by writes. A power of two long.
    latency : int
        At least 1.
    pause : float
        Probability that a handshake is withheld in a cycle, on each channel.
    rng : numpy Generator
        Draws pauses.
    bad : range
        Addresses that are answered with SLVERR.

    Attributes
    ----------
    first_address, last_answer : int or None
        Cycles of the first read address and of the last write response.
    in_flight : int
        Bursts that have not been answered.
    cycle : int
    """

    def __init__(self, port, data, *, latency=1, pause=0.0, rng=None, bad=range(0)):
        if len(data) & (len(data) - 1):
            raise ValueError(f"the memory must be a power of two long, not {len(data)}")
        self.port, self.data, self.latency, self.pause, self.bad = port, data, latency, pause, bad
        self.beat = len(port.w.payload.strb)
        self.first_address = self.last_answer = None
        self.cycle = 0
        self._rng = rng
        self._reads, self._writes, self._answers = deque(), deque(), deque()
        self._held = {}  # what a channel offered in the last cycle and could not deliver

    @property
    def in_flight(self):
        return len(self._reads) + len(self._writes) + len(self._answers)

    def _paused(self):
        return self.pause and self._rng.random() < self.pause

    async def run(self, ctx):
        """The testbench."""
        port = self.port
        outputs = [
            port.ar.valid,
            port.ar.payload,
            port.aw.valid,
            port.aw.payload,
            port.w.valid,
            port.w.payload,
        ]
        outputs += [port.r.ready, port.b.ready]
        ready = dict.fromkeys(("ar", "aw", "w"), 0)
        beat = answer = None
        while True:
            ready["ar"], ready["aw"] = not self._paused(), not self._paused()
            ready["w"] = bool(self._writes) and not self._paused()
            if beat is None and self._reads and self._reads[0][2] <= self.cycle and not self._paused():
                beat = self._read_beat()
            if answer is None and self._answers and self._answers[0][1] <= self.cycle and not self._paused():
                answer = self._answers[0]
            for name, value in ready.items():
                ctx.set(getattr(port, name).ready, value)
            ctx.set(port.r.valid, beat is not None)
            if beat is not None:
                data, last, response, identifier = beat
                ctx.set(port.r.payload.data, data)
                ctx.set(port.r.payload.last, last)
                ctx.set(port.r.payload.resp.as_value(), response)
                ctx.set(port.r.payload.id, identifier)
            ctx.set(port.b.valid, answer is not None)
            if answer is not None:
                ctx.set(port.b.payload.resp.as_value(), answer[2])
                ctx.set(port.b.payload.id, answer[0])
            _, reset, *sampled = await ctx.tick().sample(*outputs)
            if not reset:
                beat, answer = self._edge(sampled, ready, beat, answer)
            self.cycle += 1

    def _edge(self, sampled, ready, beat, answer):
        """What has moved in this cycle."""
        ar_valid, ar, aw_valid, aw, w_valid, w, r_ready, b_ready = sampled
        for name, valid, payload in (("ar", ar_valid, ar), ("aw", aw_valid, aw), ("w", w_valid, w)):
            bits = payload.as_bits()
            if name in self._held:
                assert valid and bits == self._held[name], f"{name} changed before it was accepted"
            self._held.pop(name, None)
            if valid and not ready[name]:
                self._held[name] = bits
        if w_valid and ready["w"]:
            self._write_beat(w)
        if ar_valid and ready["ar"]:
            self._check(ar)
            if self.first_address is None:
                self.first_address = self.cycle
            self._reads.append([ar.addr, ar.len + 1, self.cycle + self.latency, ar.id])
        if aw_valid and ready["aw"]:
            self._check(aw)
            self._writes.append([aw.addr, aw.len + 1, _OKAY, aw.id])
        if beat is not None and r_ready:
            burst = self._reads[0]
            burst[0], burst[1] = burst[0] + self.beat, burst[1] - 1
            if burst[1] == 0:
                self._reads.popleft()
            beat = None
        if answer is not None and b_ready:
            self._answers.popleft()
            self.last_answer, answer = self.cycle, None
        return beat, answer

    def _check(self, address):
        """Bursts of whole beats that do not cross a 4 KiB boundary."""
        first, last = address.addr, address.addr + (address.len + 1) * self.beat - 1
        assert first % self.beat == 0 and 1 << address.size == self.beat, (
            f"burst at {first:#x} is not of whole beats"
        )
        assert address.burst.value == _INCR and first >> 12 == last >> 12, f"burst {first:#x} to {last:#x}"

    def _response(self, address):
        return _SLVERR if address in self.bad else _OKAY

    def _read_beat(self):
        address, left, _, identifier = self._reads[0]
        start = address % len(self.data)
        data = int.from_bytes(self.data[start : start + self.beat], "little")
        return data, left == 1, self._response(address), identifier

    def _write_beat(self, beat):
        burst = self._writes[0]
        address, left, _, identifier = burst
        assert beat.last == (left == 1), f"last beat of the burst at {address:#x} in the wrong place"
        burst[2] = max(burst[2], self._response(address))
        for byte in range(self.beat):
            if beat.strb >> byte & 1 and not self._response(address):
                self.data[(address + byte) % len(self.data)] = beat.data >> 8 * byte & 0xFF
        burst[0], burst[1] = address + self.beat, left - 1
        if burst[1] == 0:
            self._writes.popleft()
            self._answers.append((identifier, self.cycle + self.latency, burst[2]))
