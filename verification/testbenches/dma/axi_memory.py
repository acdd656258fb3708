# SPDX-License-Identifier: Apache-2.0
"""Memory behind the AXI port of the DMA engine, which also checks that bursts keep the rules and stay inside the windows."""

from collections import deque

from tepin.isa import Engine

__all__ = ["MEMORY_BYTES", "AxiMemory"]

MEMORY_BYTES = 1 << 17
OKAY, SLVERR = 0, 2


class AxiMemory:
    """Answers reads of both IDs, which take turns at random, and writes.

    Parameters
    ----------
    dut
        Has the AXI port `m_axi`.
    configuration : dict
        Of the DMA engine; says what its bursts may be.
    pace : Pace
        Pauses are those of ar, r, aw, w and b.
    moved : dict from Engine to int
        Bytes that arrived: those read for the weights, and those written, are added here.

    Attributes that a test may set at any time
    -------------------------------------------
    content : bytearray
        MEMORY_BYTES, which repeat throughout the address space.
    latency : int
        Cycles from a read address to its first beat, and from a last write beat to the response, at least.
    bad : range
        Addresses that answer with SLVERR.
    read_window, write_window : range
        What no burst may leave.

    Attributes for measurements
    ---------------------------
    first_address, first_beat, last_beat, last_answer : int
        Cycles of the transfers seen so far, None before; a last answer is a response to a write.
    reads_requested, writes_requested : int
        Bursts so far.
    """

    def __init__(self, dut, configuration, pace, moved):
        self.content = bytearray(MEMORY_BYTES)
        self.latency = 1
        self.bad = range(0)
        self.read_window = self.write_window = range(1 << 32)
        self.first_address = self.last_answer = None
        self.first_beat = self.last_beat = None
        self.reads_requested = self.writes_requested = 0
        self._dut, self._pace, self._moved = dut, pace, moved
        self._beat = configuration["data_width"] // 8
        self._burst_bytes = self._beat * configuration["burst_beats"]
        self._outstanding = configuration["outstanding"]
        self._reads = {0: deque(), 1: deque()}  # by ID: [ready cycle, address, beats left]
        self._addresses = deque()
        self._write_beats = deque()
        self._answers = deque()

    def parts(self):
        """The two sides, as generators that are resumed after every edge of the clock."""
        return [self._serve_reads(), self._serve_writes()]

    def quiet(self):
        """No transaction is unfinished, as seen from here."""
        return not (self._reads[0] or self._reads[1] or self._addresses or self._write_beats or self._answers)

    def _check_burst(self, address, length, size, burst, window):
        assert 1 << size == self._beat and burst == 1
        assert address % self._beat == 0
        end = address + self._beat * (length + 1) - 1
        assert address >> 12 == end >> 12, "a burst crosses a 4 KiB boundary"
        assert self._beat * (length + 1) <= self._burst_bytes
        # Beats may stick out of the window, bytes not.
        assert address + self._beat > window.start and end - self._beat < window.stop - 1, (
            "outside of the window"
        )

    def _serve_reads(self):
        dut = self._dut
        arvalid, arready = dut.m_axi_arvalid, dut.m_axi_arready
        rvalid, rready = dut.m_axi_rvalid, dut.m_axi_rready
        reads = self._reads
        accepting = offering = False
        turn = in_flight = 0
        while True:
            yield
            if accepting and arvalid.value == 1:
                address, length, number = (
                    int(dut.m_axi_araddr.value),
                    int(dut.m_axi_arlen.value),
                    int(dut.m_axi_arid.value),
                )
                self._check_burst(
                    address,
                    length,
                    int(dut.m_axi_arsize.value),
                    int(dut.m_axi_arburst.value),
                    self.read_window,
                )
                reads[number].append([self._pace.cycle + self.latency - 1, address, length + 1])
                self.reads_requested += 1
                in_flight += 1
                assert in_flight <= self._outstanding
                if self.first_address is None:
                    self.first_address = self._pace.cycle
            if offering is not False:
                assert rready.value == 1, "read data held up"
                burst = reads[offering][0]
                burst[1] += self._beat
                burst[2] -= 1
                if offering == 1:
                    self._moved[Engine.WEIGHTS] += self._beat
                if not burst[2]:
                    reads[offering].popleft()
                    in_flight -= 1
                if self.first_beat is None:
                    self.first_beat = self._pace.cycle
                self.last_beat = self._pace.cycle
            # Data of the two IDs may take turns.
            ready = [number for number in (0, 1) if reads[number] and reads[number][0][0] <= self._pace.cycle]
            if ready and self._pace.go("r"):
                if self._pace.draw() < 0.3:
                    turn = 1 - turn
                offering = turn if turn in ready else ready[0]
                _, address, left = reads[offering][0]
                at = address % MEMORY_BYTES
                rvalid.value = 1
                dut.m_axi_rid.value = offering
                dut.m_axi_rdata.value = int.from_bytes(self.content[at : at + self._beat], "little")
                dut.m_axi_rresp.value = SLVERR if address in self.bad else OKAY
                dut.m_axi_rlast.value = int(left == 1)
            elif offering is not False:
                offering = False
                rvalid.value = 0
                dut.m_axi_rdata.value = 0
                dut.m_axi_rlast.value = 1
            accepting = self._pace.go("ar")
            arready.value = int(accepting)

    def _serve_writes(self):
        dut = self._dut
        awvalid, awready = dut.m_axi_awvalid, dut.m_axi_awready
        wvalid, wready = dut.m_axi_wvalid, dut.m_axi_wready
        bvalid, bready = dut.m_axi_bvalid, dut.m_axi_bready
        addresses, beats, answers = self._addresses, self._write_beats, self._answers
        accepting = taking = offering = False
        in_flight = 0
        while True:
            yield
            if accepting and awvalid.value == 1:
                address, length = int(dut.m_axi_awaddr.value), int(dut.m_axi_awlen.value)
                self._check_burst(
                    address,
                    length,
                    int(dut.m_axi_awsize.value),
                    int(dut.m_axi_awburst.value),
                    self.write_window,
                )
                addresses.append((address, length + 1))
                self.writes_requested += 1
                in_flight += 1
                assert in_flight <= self._outstanding
                if self.first_address is None:
                    self.first_address = self._pace.cycle
            if taking and wvalid.value == 1:
                beats.append(
                    (int(dut.m_axi_wdata.value), int(dut.m_axi_wstrb.value), int(dut.m_axi_wlast.value))
                )
                if self.first_beat is None:
                    self.first_beat = self._pace.cycle
                self.last_beat = self._pace.cycle
            if offering:
                assert bready.value == 1
                self._moved[Engine.STORES] += answers.popleft()[2]
                in_flight -= 1
                self.last_answer = self._pace.cycle
                offering = False
            while addresses and len(beats) >= addresses[0][1]:
                address, count = addresses.popleft()
                enabled = 0
                bad = False
                for left in range(count, 0, -1):
                    data, strobes, last = beats.popleft()
                    assert last == int(left == 1), "last is not where the address said"
                    enabled += strobes.bit_count()
                    for lane in range(self._beat):
                        if strobes >> lane & 1:
                            assert address + lane in self.write_window, "a strobe outside of the window"
                            if address + lane in self.bad:
                                bad = True
                            else:
                                self.content[(address + lane) % MEMORY_BYTES] = data >> 8 * lane & 255
                    address += self._beat
                answers.append((self._pace.cycle + self.latency - 1, SLVERR if bad else OKAY, enabled))
            if answers and answers[0][0] <= self._pace.cycle and self._pace.go("b"):
                bvalid.value = 1
                dut.m_axi_bresp.value = answers[0][1]
                offering = True
            else:
                bvalid.value = 0
            accepting = self._pace.go("aw")
            awready.value = int(accepting)
            taking = self._pace.go("w")
            wready.value = int(taking)
