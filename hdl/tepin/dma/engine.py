# SPDX-License-Identifier: Apache-2.0
"""The DMA engine: weight loads, general loads and stores on one AXI4 port."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.clock import add_clock_gated
from tepin.control.engine import EngineSignature
from tepin.dma.axi import AXI4Signature
from tepin.dma.bursts import check_bursts
from tepin.dma.index import IndexReader
from tepin.dma.loads import Loads
from tepin.dma.read import ReadChannel
from tepin.dma.stores import Stores
from tepin.dma.weights import WeightLoads
from tepin.memory.ports import ReadPort, WritePort

__all__ = ["DmaEngine"]


def _is_power_of_two(value):
    return value > 0 and value & (value - 1) == 0


class DmaEngine(wiring.Component):
    """Three engines that move data between memory, weight FIFO and scratchpad.

    Commands are those of `tepin.isa.COMMANDS`, with `DmaFlags`. Each engine executes its own in order; the bursts of a
    command are issued while data of former ones are still on their way. A weight load signals when its last word is in the
    FIFO, a load when its last byte is in the scratchpad, a store when its last write has been answered.

    Memory and scratchpad addresses and lengths of loads and stores are arbitrary. Weight runs start at multiples of
    `fifo_word_bytes` and are multiples of it long.

    Towards memory: INCR bursts of whole beats, which never cross a 4 KiB boundary; read IDs 0 (loads) and 1 (weights), write
    ID 0. Data of different IDs may come in any order. `m_axi.r.ready` and `m_axi.b.ready` are always high, because
    reads are requested only against reserved space.

    Errors, each reported once by the engine concerned (address means memory address unless noted):

    ======================  =====================================================================================
    code                    cause and `info`
    ======================  =====================================================================================
    READ_WINDOW,            a byte of a burst outside of the window, of which nothing leaves; first such byte's address
    WRITE_WINDOW
    READ_RESPONSE           SLVERR or DECERR; address of the beat
    WRITE_RESPONSE          SLVERR or DECERR; address of the burst's first beat
    SCRATCHPAD              address out of range (address of the line in the scratchpad), or index list misaligned
    ALIGNMENT               weight run not aligned; its address, or its length
    PARAMETER               three counted loops, or an index list without a loop; the flags
    ILLEGAL_INSTRUCTION     length of the command contradicts its flags
    ======================  =====================================================================================

    Soon after an error of any engine, or after `stop`, no burst is issued any more, nothing is signalled and read data are
    dropped; bursts that have been issued are finished in due form. When all answers are in, `idle` rises, and the component
    may be reset without the memory noticing.

    Parameters
    ----------
    data_width : int
        Bits per beat: 16, 32, 64, 128, 256 or 512.
    address_width : int
        32.
    line_bytes : int
        Bytes per scratchpad line: a power of two, at least 4 and at least a beat.
    fifo_word_bytes : int
        Bytes per word of the weight FIFO: a power of two, at least a beat.
    weight_fifo_bytes : int
        Capacity of the weight FIFO: a power of two, at least 4 words.
    outstanding : int
        Most bursts in flight per direction, 1 to 64.
    burst_beats : int
        Beats of the longest burst: a power of two, 2 to 256; not more than 4 KiB.
    load_buffer_beats : int, optional
        Buffer for data of general loads: a power of two, at least `burst_beats`. To keep the port busy it must cover the
        memory latency. By default, as much as may be in flight, but not more than 256 beats.

    Members
    -------
    weights_control, loads_control, stores_control : Out `EngineSignature`
    m_axi : Out `AXI4Signature`
    weights : Out stream of FIFO words
    write : Out `WritePort`, for loads
    read : Out `ReadPort`, for stores
    index : Out `ReadPort`, for index lists
    read_base, read_limit, write_base, write_limit : In(32)
        First and last byte that may be read and written. A base above its limit allows nothing. Constant while the DMA is
        busy.
    flush, flush_done : In, Out
        See `WeightLoads`.
    stop : In
    idle : Out
    read_beat, write_beat : Out
        A beat was received, sent, in the last cycle.
    """

    def __init__(
        self,
        *,
        data_width,
        address_width=32,
        line_bytes,
        fifo_word_bytes,
        weight_fifo_bytes,
        outstanding,
        burst_beats=16,
        load_buffer_beats=None,
    ):
        check_bursts("the DMA", data_width=data_width, burst_beats=burst_beats, outstanding=outstanding)
        beat_bytes = data_width // 8
        if address_width != 32:
            raise ValueError(f"Address width of the DMA must be 32, not {address_width}")
        if not _is_power_of_two(line_bytes) or line_bytes < max(4, beat_bytes):
            raise ValueError(
                f"Bytes of a scratchpad line must be a power of two, at least {max(4, beat_bytes)}, not {line_bytes}"
            )
        if not _is_power_of_two(fifo_word_bytes) or fifo_word_bytes < beat_bytes:
            raise ValueError(
                f"Bytes of a weight FIFO word must be a power of two, at least {beat_bytes}, not {fifo_word_bytes}"
            )
        if not _is_power_of_two(weight_fifo_bytes) or weight_fifo_bytes < 4 * fifo_word_bytes:
            raise ValueError(
                f"Bytes of the weight FIFO must be a power of two, at least {4 * fifo_word_bytes}, "
                f"not {weight_fifo_bytes}"
            )
        if load_buffer_beats is None:
            wanted = max(min(outstanding * burst_beats, 256), burst_beats)
            load_buffer_beats = 1 << (wanted - 1).bit_length()
        if not _is_power_of_two(load_buffer_beats) or load_buffer_beats < burst_beats:
            raise ValueError(
                f"Beats of the load buffer must be a power of two, at least {burst_beats}, not {load_buffer_beats}"
            )
        self.data_width = data_width
        self.address_width = address_width
        self.line_bytes = line_bytes
        self.fifo_word_bytes = fifo_word_bytes
        self.weight_fifo_bytes = weight_fifo_bytes
        self.outstanding = outstanding
        self.burst_beats = burst_beats
        self.load_buffer_beats = load_buffer_beats
        super().__init__(
            {
                "weights_control": Out(EngineSignature()),
                "loads_control": Out(EngineSignature()),
                "stores_control": Out(EngineSignature()),
                "m_axi": Out(AXI4Signature(addr_width=address_width, data_width=data_width, id_width=1)),
                "weights": Out(stream.Signature(8 * fifo_word_bytes)),
                "write": Out(WritePort(line_bytes=line_bytes)),
                "read": Out(ReadPort(line_bytes=line_bytes)),
                "index": Out(ReadPort(line_bytes=line_bytes)),
                "read_base": In(32),
                "read_limit": In(32),
                "write_base": In(32),
                "write_limit": In(32),
                "flush": In(1),
                "flush_done": Out(1),
                "stop": In(1),
                "idle": Out(1),
                "read_beat": Out(1),
                "write_beat": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        common = {
            "data_width": self.data_width,
            "burst_beats": self.burst_beats,
            "outstanding": self.outstanding,
        }
        m.submodules.weights = weights = WeightLoads(
            word_bytes=self.fifo_word_bytes, fifo_bytes=self.weight_fifo_bytes, **common
        )
        loads = Loads(line_bytes=self.line_bytes, buffer_beats=self.load_buffer_beats, **common)
        stores = Stores(line_bytes=self.line_bytes, **common)
        add_clock_gated(m, platform, "loads", loads, resting=loads.control.resting)
        add_clock_gated(m, platform, "stores", stores, resting=stores.control.resting)
        m.submodules.indices = indices = IndexReader(line_bytes=self.line_bytes, clients=3)
        m.submodules.reads = reads = ReadChannel(data_width=self.data_width, outstanding=self.outstanding)

        connect(m, weights.control, flipped(self.weights_control))
        connect(m, loads.control, flipped(self.loads_control))
        connect(m, stores.control, flipped(self.stores_control))
        connect(m, loads.request, reads.loads)
        connect(m, weights.request, reads.weights)
        connect(m, reads.ar, flipped(self.m_axi.ar))
        connect(m, reads.r, flipped(self.m_axi.r))
        connect(m, reads.load_beats, loads.beats)
        connect(m, reads.weight_beats, weights.beats)
        connect(m, weights.o, flipped(self.weights))
        connect(m, loads.write, flipped(self.write))
        connect(m, stores.read, flipped(self.read))
        connect(m, stores.aw, flipped(self.m_axi.aw))
        connect(m, stores.w, flipped(self.m_axi.w))
        connect(m, stores.b, flipped(self.m_axi.b))
        connect(m, loads.index, indices.clients[0])
        connect(m, stores.index, indices.clients[1])
        connect(m, weights.index, indices.clients[2])
        connect(m, indices.read, flipped(self.index))

        halt = Signal()
        with m.If(self.stop | weights.failed | loads.failed | stores.failed):
            m.d.sync += halt.eq(1)
        # What was issued in the cycle in which `halt` rose counts as being in flight two cycles later.
        halted = Signal(2)
        flush, flushed = Signal(), Signal()
        m.d.sync += [
            halted.eq(Cat(halt, halted)),
            flush.eq(self.flush),
            flushed.eq(weights.flush_done & self.flush),
        ]
        m.d.comb += [
            weights.flush.eq(flush),
            self.flush_done.eq(flushed & self.flush),
            weights.halt.eq(halt),
            loads.halt.eq(halt),
            stores.halt.eq(halt),
            self.idle.eq(halted[-1] & reads.idle & stores.idle),
        ]
        for engine in (weights, loads):
            m.d.comb += [engine.base.eq(self.read_base), engine.limit.eq(self.read_limit)]
        m.d.comb += [stores.base.eq(self.write_base), stores.limit.eq(self.write_limit)]
        m.d.sync += [
            self.read_beat.eq(self.m_axi.r.valid),
            self.write_beat.eq(self.m_axi.w.valid & self.m_axi.w.ready),
        ]
        return m
