# SPDX-License-Identifier: Apache-2.0
"""The weight decoder in Verilog: streams of every kind from both sources, against numpy."""

import cocotb
import numpy as np
import pytest
from cocotb.triggers import RisingEdge

from tepin.isa import WeightSource, WeightType
from tepin.matmul.decoder import WeightDecoder
from tepin.matmul.dequantiser import scale_row, weight_row
from tepin.matmul.requests import WeightJob
from tepin.matmul.weight_reader import WeightAddress
from tepin_reference import weights as reference
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import StreamSink, StreamSource, check_streams, start
from verification.testbenches.matmul.bench import ScratchpadModel
from verification.testbenches.matmul.model import int4_weights, pack, random_matrix

PARAMETERS = ("rows", "columns", "word_bytes", "line_bytes", "tiles")
MEMORY = 1 << 15


@pytest.mark.parametrize(
    "shape",
    [
        (2, 8, 8, 8, False),
        (4, 4, 16, 16, False),
        (2, 12, 16, 32, False),
        (4, 8, 8, 8, True),
        (8, 4, 8, 16, True),
        (8, 12, 16, 32, True),
    ],
    ids=lambda shape: f"{shape[0]}x{shape[1]}{' by lines' * shape[4]}",
)
def test_weight_decoder(shape):
    arguments = dict(zip(PARAMETERS, shape, strict=True))
    run_cocotb(WeightDecoder(**arguments), top="weight_decoder", test_module=__name__, parameters=arguments)


class Bench:
    """Sends matrices, and knows the rows that come of them."""

    def __init__(self, dut, *, pause=0.0, sink_pause=0.0):
        for name, value in parameters().items():
            setattr(self, name, value)
        self.memory = bytearray(MEMORY)
        self.expected = []
        self.expected_scales = []
        self._free = 0
        self._jobs = StreamSource(dut, "i_jobs", shape=WeightJob, pause=pause)
        self._addresses = StreamSource(dut, "i_addresses", shape=WeightAddress, pause=pause)
        self._words = StreamSource(dut, "i", pause=pause)
        shape = weight_row(self.columns, tiles=self.tiles)
        self._rows = StreamSink(dut, "o", shape=shape, pause=sink_pause)
        self._scales = StreamSink(dut, "o_scales", shape=scale_row(self.columns), pause=sink_pause)
        self.scratchpad = ScratchpadModel(
            dut, self.memory, reads=["scratchpad"], writes=[], line_bytes=self.line_bytes, pause=pause
        )
        self.checkers = check_streams(dut)
        self.words = 0
        self.certain = []  # whether each tile was
        if self.tiles:
            cocotb.start_soon(self._watch_tiles(dut, shape))

    def align(self):
        """The next matrix in the scratchpad begins with a line."""
        self._free += -self._free % self.line_bytes

    def send(self, w8, pieces, scale, kind, source):
        k, n = w8.shape
        stream = pack(pieces, scale, self.columns, self.word_bytes)
        job = {"source": source, "weights": kind, "scales": scale is not None, "k": k, "n": n}
        self._jobs.send([job])
        if source == WeightSource.SCRATCHPAD:
            self._addresses.send([{"address": self._free, "slot": 0}])
            self.memory[self._free : self._free + len(stream)] = stream
            self._free += len(stream) - self.word_bytes + 4 * -(-self.word_bytes // 4)
        else:
            size = self.word_bytes
            words = [stream[place : place + size] for place in range(0, len(stream), size)]
            self._words.send(int.from_bytes(word, "little") for word in words)
            self.words += len(words)
        for first in range(0, n, self.columns):
            tile = w8[:, first : first + self.columns].astype(int)
            tile = np.pad(tile, ((0, 0), (0, self.columns - tile.shape[1])))
            for row in range(k):
                last = row == k - 1 or row % self.rows == self.rows - 1
                self.expected.append((tile[row].tolist(), int(last)))
            if scale is not None:
                bits = scale[first : first + self.columns].view(np.uint32).tolist()
                piece = self.columns // 4
                for place in range(0, len(bits), piece):
                    self.expected_scales.append(
                        (bits[place : place + piece], int(place + piece >= len(bits)))
                    )

    async def _watch_tiles(self, dut, shape):
        """Of a tile that is certain there is a row in every cycle from the first one on."""
        begins, certain = True, False
        while True:
            await RisingEdge(dut.clk)
            valid = dut.o__valid.value == 1
            assert valid or begins or not certain, f"no row of tile {len(self.certain)}, which was certain"
            if valid and dut.o__ready.value == 1:
                row = shape.from_bits(int(dut.o__payload.value))
                if begins:
                    certain = bool(row.certain)
                    self.certain.append(certain)
                begins = bool(row.last)

    async def finish(self):
        rows = await self._rows.receive(len(self.expected))
        for number, (row, (weights, last)) in enumerate(zip(rows, self.expected, strict=True)):
            got = [row.weights[column] for column in range(self.columns)]
            assert (got, row.last) == (weights, last), f"row {number}"
        pieces = await self._scales.receive(len(self.expected_scales))
        for row, (scales, last) in zip(pieces, self.expected_scales, strict=True):
            assert ([row.scales[place] for place in range(len(scales))], row.last) == (scales, last)
        assert self._rows.waiting() == 0 and self._scales.waiting() == 0
        assert self.checkers["i"].transfers == self.words


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.6], sink_pause=[0.0, 0.6])
async def random_matrices(dut, pause, sink_pause):
    await start(dut)
    rng = options.generator("matrices", pause, sink_pause)
    bench = Bench(dut, pause=pause, sink_pause=sink_pause)
    sizes = [1, 2, 7, bench.columns - 1, bench.columns, bench.columns + 1, 33]
    for _ in range(14):
        k = int(rng.choice([1, 2, 7, 31, 32, 33, 64, 70]))
        n = int(rng.choice(sizes))
        kind = WeightType(int(rng.integers(2)))
        w8, pieces = random_matrix(rng, k, n, kind)
        scale = rng.integers(0, 1 << 32, n, dtype=np.uint32).view(np.float32) if rng.integers(2) else None
        bench.send(w8, pieces, scale, kind, WeightSource(int(rng.integers(2))))
        stream = np.frombuffer(pack(pieces, scale, bench.columns, 1), np.uint8)
        unpacked = reference.unpack(stream, k, n, bench.columns, kind, scale is not None)[0]
        assert (unpacked == w8).all(), "the two definitions of the stream differ"
    await bench.finish()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_int4_weight(dut):
    """All 4096 combinations of code, zero point and step."""
    await start(dut)
    bench = Bench(dut)
    for start_s in range(1, 17, 4):
        z, s = np.meshgrid(np.arange(16), np.arange(start_s, start_s + 4))
        z, s = z.reshape(1, -1), s.reshape(1, -1)
        q = np.repeat(np.arange(16)[:, None], z.size, axis=1)
        w8 = int4_weights(q, z, s)
        assert start_s < 13 or {-128, 127} <= set(w8.ravel().tolist())
        bench.send(w8, (q, z, s), None, WeightType.INT4, WeightSource.FIFO)
    await bench.finish()


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(source=list(WeightSource), kind=list(WeightType))
async def a_row_per_cycle(dut, source, kind):
    """Codes, parameters and scales: nothing takes more than one cycle per row, and jobs follow each other directly."""
    await start(dut)
    rng = options.generator("rate", source, kind)
    bench = Bench(dut)
    k, n, count = 40, 2 * bench.columns, 4
    for _ in range(count):
        w8, pieces = random_matrix(rng, k, n, kind)
        bench.send(w8, pieces, np.ones(n, np.float32), kind, source)
    cycles = 0
    while bench.checkers["o"].transfers == 0:
        await RisingEdge(dut.clk)
    while bench.checkers["o"].transfers < len(bench.expected):
        await RisingEdge(dut.clk)
        cycles += 1
    await bench.finish()
    groups = -(-k // 32) if kind == WeightType.INT4 else 0
    assert cycles <= count * 2 * (k + groups + 4)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.1, 0.5], sink_pause=[0.0, 0.5])
async def whole_tiles_are_certain(dut, pause, sink_pause):
    """Those that begin with a line, with int8 weights in the scratchpad; without pauses all of them."""
    if not parameters()["tiles"]:
        return
    await start(dut)
    rng = options.generator("tiles", pause, sink_pause)
    bench = Bench(dut, pause=pause, sink_pause=sink_pause)
    allowed = []
    for k_tiles, n_tiles, extra in [(3, 2, 0), (1, 1, 0), (2, 1, 1), (3, 1, 0), (1, 2, 0)]:
        k, n = k_tiles * bench.rows + extra, n_tiles * bench.columns
        w8, pieces = random_matrix(rng, k, n, WeightType.INT8)
        bench.align()
        bench.send(w8, pieces, None, WeightType.INT8, WeightSource.SCRATCHPAD)
        column = [True] * k_tiles + [False] * extra
        whole = bench.columns * extra % bench.line_bytes == 0
        allowed += column + (n_tiles - 1) * [tile and whole for tile in column]
    await bench.finish()
    assert all(may or not certain for may, certain in zip(allowed, bench.certain, strict=True))
    assert any(bench.certain)
    if not pause:
        assert bench.certain == allowed


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def fault_names_its_address(dut):
    await start(dut)
    bench = Bench(dut)
    bench.scratchpad.limit = 0x100
    faults = []
    bench._jobs.send(
        [{"source": WeightSource.SCRATCHPAD, "weights": WeightType.INT8, "k": 40, "n": bench.columns}]
    )
    bench._addresses.send([{"address": 0x100 - 2 * bench.line_bytes, "slot": 3}])
    for _ in range(60):
        await RisingEdge(dut.clk)
        if dut.fault.value == 1:
            faults.append((int(dut.fault_address.value), int(dut.fault_slot.value)))
    size = bench.line_bytes if bench.tiles else bench.word_bytes
    assert faults[:2] == [(0x100, 3), (0x100 + size, 3)]
