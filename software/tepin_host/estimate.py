# SPDX-License-Identifier: Apache-2.0
"""How long a program takes, without simulating the chip: its commands, each with what the blocks' pages say it costs.

The program is executed in order, as by the functional simulator, but no data move: for each command it is worked out when
its engine begins with it and when it ends, from when it was issued, when its semaphore was signalled, and what the engine
does before. No weights are needed, and no constant is fitted to a result: the numbers below are depths of pipelines, asked of
the blocks or taken from docs/control.md, docs/vector.md, docs/matmul.md, docs/dma.md and docs/chips.md.

Of the ports that meet in a bank of the scratchpad, the sequencer's and the vector unit's take turns here, and the latter's
among themselves; other conflicts are left out, and writes on the memory port.
"""

import warnings
from collections import defaultdict, deque
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import UnusedElaboratable

from tepin.isa import (
    SEMAPHORE_COUNT,
    ActivationType,
    DataType,
    Engine,
    EngineOp,
    Function,
    Mode,
    Reduction,
    ScalarOp,
    WeightSource,
    WeightType,
)
from tepin.memory.ports import ReadPort
from tepin.vector.lane import FUNCTIONS, Lane
from tepin.vector.sum import tree_latency
from tepin_host.batch import encode
from tepin_host.compiler import Request
from tepin_host.compiler.compile import write_program
from tepin_host.compiler.kv_cache import KvCache
from tepin_host.compiler.plan import Plan
from tepin_reference.network import run_together
from tepin_reference.simulator import FunctionalSimulator
from tepin_reference.weights import GROUP, stream_bytes

__all__ = ["Estimate", "estimate"]

_SCALAR = defaultdict(
    lambda: 3,
    {
        ScalarOp.SHL: 4,
        ScalarOp.SHR: 4,
        ScalarOp.MUL: 7,
        ScalarOp.LOAD: ReadPort.LATENCY + 3,
        ScalarOp.STORE: 4,
        ScalarOp.WAIT: 4,
    },
)
_JUMPS = (ScalarOp.BEQ, ScalarOp.BNE, ScalarOp.BLT, ScalarOp.BGE, ScalarOp.DBNZ, ScalarOp.JUMP)
_TAKEN = 2  # more for a jump that is taken
_TO_ENGINE = 5  # from the sequencer to the engine
_READER = 5  # of a command, besides its words
_SIGNAL = 6  # from a signal to the start of a command that waited for it


def _lane_latencies():
    warnings.filterwarnings("ignore", category=UnusedElaboratable)  # It only says how long it takes.
    lane = Lane()
    return {
        function: lane.latency(function) + 2 + 20 * (function == Function.RANDOM) for function in FUNCTIONS
    }


_LANE = _lane_latencies()
_VECTOR = ReadPort.LATENCY + 5  # reading and writing
_TURN = 2  # until a bank of the scratchpad belongs to another port
_INTEGER_IN, _INTEGER_OUT = 7, 6
_RANDOM_BEAT = 22

_MATMUL = (
    67  # from the start to the signal, besides work: 79 from an idle engine, less the words of its command
)
_DRAIN = 51  # of these, behind the last weights

_DMA = 24  # from a command to its first address, and from the last beat to the signal
_BURST_BEATS = 16
_REUSE = 3  # from a burst's last beat to the address that takes its place
_CHUNK = 64  # bytes of weights that are followed at a time

_SEND, _HOP, _RECEIVED = (
    12,
    8,
    4,
)  # from a command to its first word; from a word to the same one sent on; to the signal


@dataclass(frozen=True)
class Estimate:
    """What a model takes on a configuration.

    Members
    -------
    first_token_cycles, cycles_per_token : float
        As in `tepin_host.runtime.Report`.
    bytes_per_token : float
        Useful bytes of all chips, as in `Report`.
    link_words : float
        64-bit words that a chip sends per token, the mean of all chips.
    """

    first_token_cycles: float
    cycles_per_token: float
    bytes_per_token: float
    link_words: float


def estimate(
    model, config, *, weights="int8", activations="int16", chips=1, topology="ring", parallel="tensor", tokens=4,
    latency=100, link_latency=20, link_words_per_cycle=1.0, chunk=4096, context=0, memory_share=1.0,
):  # fmt: skip
    """Estimate the cycles of the first `tokens` tokens after BOS; of a pipeline, of each of the texts that fill it.

    Parameters
    ----------
    model : ModelConfig
    config : ChipConfig
    weights, activations, chips, topology, parallel, chunk
        As for the compiler. With a pipeline, cycles per token are those between any two tokens, whosever they are.
    latency, link_latency : int
        Cycles of memory and of links.
    link_words_per_cycle : float
        Rate of a link, at most 1.
    context : int
        Tokens before the first one, whose keys and values are there already.
    memory_share : float
        Of the port's beats that the memory can bring; what refreshes leave.

    Raises
    ------
    UserError
        If the model does not fit.
    """
    plans = [
        Plan(model, config, weights, activations, chunk, rank, chips, topology, parallel=parallel)
        for rank in range(chips)
    ]
    prompt = [1] * (context + 1)
    cache = KvCache(prompt, context, np.zeros(0, np.uint8), "") if context else None
    request = Request(prompt, tokens, stop=(), cache=cache)
    texts = plans[0].slots
    data, region = (
        (request.encode(model), "request") if texts == 1 else (encode([request] * texts, model), "requests")
    )
    machines = [
        _Machine(
            plan, data, plan.memory[region].address, latency, memory_share, link_latency, link_words_per_cycle
        )
        for plan in plans
    ]
    programs = [write_program(plan).words for plan in plans]
    stamps = defaultdict(list)
    if chips == 1:
        stamps[0] = [machines[0].now for _ in machines[0].run(programs[0])]
    else:
        for rank, ports in enumerate(plans[0].shard.network.ports()):
            machines[rank].ports = ports
        for chip, _ in run_together(machines, programs):
            stamps[chip].append(machines[chip].now)
    times = np.max([stamps[chip] for chip in range(chips)], axis=0)
    # From the first token of the first text to its last: then all texts are on their way.
    intervals = texts * (tokens - 1)
    positions = range(context + int(tokens > 1), context + tokens)
    return Estimate(
        float(times[0]),
        float((times[intervals] - times[0]) / intervals if intervals else times[0]),
        sum(plan.useful_bytes(position) for plan in plans for position in positions) / len(positions),
        sum(machine.sent for machine in machines) / chips / tokens / texts,
    )


class _Weights:
    """The weight FIFO: when its bytes come, given when they are taken."""

    def __init__(self, config, latency, memory_share):
        port = config.port_bytes
        # One of the bursts in flight is kept for general loads.
        in_flight = max(1, config.outstanding - 1) * _BURST_BEATS / (latency + _BURST_BEATS + _REUSE)
        self.cycles = _CHUNK / port / min(memory_share, in_flight)
        self.latency = latency
        self.places = config.weight_fifo_bytes // _CHUNK
        self.commands = deque()  # (when it may begin, bytes left)
        self.taken = deque()  # when the last chunks were
        self.at = 0.0
        self.loads = deque()  # (time, cycles) of general loads, which go first

    def come(self):
        """When the next chunk is there."""
        begin, left = self.commands[0]
        arrival = max(self.at + self.cycles, begin + _DMA + self.latency)
        if len(self.taken) >= self.places:
            arrival = max(arrival, self.taken[-self.places] + self.latency + _DMA / 2)
        while self.loads and self.loads[0][0] <= arrival:
            arrival += self.loads.popleft()[1]
        self.at = arrival
        if left > _CHUNK:
            self.commands[0] = (begin, left - _CHUNK)
        else:
            self.commands.popleft()
        return arrival

    def take(self, time):
        self.taken.append(time)
        if len(self.taken) > self.places:
            self.taken.popleft()


class _Machine(FunctionalSimulator):
    """Executes a program for its times alone."""

    def __init__(self, plan, request, address, latency, memory_share, link_latency, link_rate):
        # Of memory only the request is there.
        super().__init__(plan.config, np.frombuffer(request, np.uint8).copy())
        self.address = address
        self.plan, self.latency, self.link_latency, self.link_rate = plan, latency, link_latency, link_rate
        self.now = 0.0  # of the sequencer
        self.free = defaultdict(float)  # when an engine can begin with its next command
        self.ended = defaultdict(float)  # when it has ended the last one
        self.semaphores = [deque() for _ in range(SEMAPHORE_COUNT)]
        self.stream = _Weights(plan.config, latency, memory_share)
        self.reading = deque([0.0] * plan.config.outstanding)  # when the places of reads are free
        self.owners = {}  # of the banks of the scratchpad
        self.uses = defaultdict(
            lambda: deque(maxlen=256)
        )  # when, of a bank by the vector unit, behind the sequencer
        self.arrived = 0.0
        self.surplus = 0  # bytes of the last chunk that belong to the next job
        self.sent = 0

    # Sequencer

    def _execute_scalar(self, instruction, pc):
        op = instruction.op
        before = self._pc
        self.now += _SCALAR[op] + (instruction.immediate is not None)
        if op in (ScalarOp.LOAD, ScalarOp.STORE):
            self._meet_vector("read" if op == ScalarOp.LOAD else "write", instruction)
        if op == ScalarOp.FLUSH:
            self.stream.commands.clear()
        super()._execute_scalar(instruction, pc)
        if op in _JUMPS and self._pc != before:
            self.now += _TAKEN

    def _clear(self):
        """Behind everything else; what it takes by itself does not count."""
        super()._clear()
        self.now = max([self.now, *self.ended.values()])
        self.semaphores = [deque() for _ in range(SEMAPHORE_COUNT)]
        self.stream.commands.clear()

    def _meet_vector(self, direction, instruction):
        """A bank that the vector unit has used since costs the sequencer a turn, and that one, if it works, another."""
        offset = instruction.immediate
        offset = self.registers[instruction.rt] if offset is None else offset
        address = (self.registers[instruction.rs] + offset) & 0xFFFFFFFF
        uses = self.uses[direction, address // self.config.bank_bytes]
        if uses and uses[0] <= self.now:
            while uses and uses[0] <= self.now:
                uses.popleft()
            self.now += _TURN
            if uses:
                self.free[Engine.VECTOR] += _TURN

    def _wait(self, semaphore, pc):
        if semaphore:
            self.now = max(self.now, self.semaphores[semaphore].popleft() + 2)

    def _signal(self, semaphore, pc):
        if semaphore:
            self.semaphores[semaphore].append(self.now)

    def _execute_command(self, instruction, flags):
        fields = {
            name: (self.registers[operand.register] + operand.immediate) & 0xFFFFFFFF
            for name, operand in instruction.fields.items()
        }
        words = 1 + (instruction.op == EngineOp.RUN) + len(fields)
        self.now += words
        engine = instruction.engine
        # Its words are read while the engine works on the command before.
        start = max(self.now + _TO_ENGINE, self.free[engine])
        if instruction.wait:
            start = max(start, self.semaphores[instruction.wait].popleft() + _SIGNAL)
        reading = words + _READER
        if instruction.op == EngineOp.NOP:
            self.free[engine], end = start + reading, max(start, self.ended[engine])
        elif engine == Engine.LINK:
            end = yield from self._exchange_times(flags, fields, start)
            self.free[engine] = max(self.free[engine], start + reading)
        else:
            times = {
                Engine.WEIGHTS: self._weights_times,
                Engine.LOADS: self._load_times,
                Engine.STORES: self._store_times,
                Engine.MATMUL: self._matmul_times,
                Engine.VECTOR: self._vector_times,
            }
            busy, end = times[engine](flags, fields, start)
            self.free[engine] = max(busy, start + reading)
        self.ended[engine] = end
        if instruction.signal:
            self.semaphores[instruction.signal].append(end)

    # Engines: when the next command can begin, when this one signals

    def _turn(self, direction, port, address):
        """Cycles until `port` may use the bank of an address, if nobody else wants it now."""
        bank = direction, address // self.config.bank_bytes
        changed = self.owners.get(bank) != port
        self.owners[bank] = port
        return _TURN * changed

    @staticmethod
    def _size(flags, fields):
        runs = (fields["count"] if flags.dimensions >= 1 else 1) * (
            fields["count2"] if flags.dimensions >= 2 else 1
        )
        return runs, runs * fields["length"]

    def _weights_times(self, flags, fields, start):
        _, size = self._size(flags, fields)
        if size:
            self.stream.commands.append((start, size))
        return start, start

    def _load_times(self, flags, fields, start):
        at = fields["memory"] - self.address
        if at >= 0 and at + fields["length"] <= len(self.memory):
            self._load(flags, fields | {"memory": at})
        # Bursts wait for places among those that are in flight; weights wait for loads.
        time, held = start, 0
        for beats in self._bursts(flags, fields):
            time = max(time, self.reading.popleft())
            self.reading.append(time + self.latency + beats + _REUSE)
            held += max(beats, (self.latency + beats + _REUSE) / self.config.outstanding)
            time += max(beats, 2)
        self.stream.loads.append((start + self.latency, held))
        return time, time + (_DMA + self.latency + 20) * (held > 0)

    def _bursts(self, flags, fields):
        """Beats of each burst of a load; none leaves its aligned block of memory."""
        port = self.config.port_bytes
        block = _BURST_BEATS * port
        for address, _ in self._runs(flags, fields):
            end = address + fields["length"]
            for start in range(address // block * block, end, block):
                yield -(-min(end, start + block) // port) - max(address, start) // port

    def _store_times(self, flags, fields, start):
        runs, size = self._size(flags, fields)
        move = max(runs * 2, size / self.config.port_bytes)
        return start + move, start + _DMA + self.latency + move

    def _vector_times(self, flags, fields, start):
        lanes, n, rows = self.config.lanes, fields["n"], fields.get("rows", 1)
        if not n or not rows:
            return start, start
        slow = flags.d_mode == Mode.STRIDED and fields["d_stride"] != (4, 4, 2, 1)[flags.d_type.value]
        for name, size in (("a", (4, 4, 2, 1)[flags.a_type.value]), ("b", 4), ("c", 4)):
            if getattr(flags, f"{name}_mode") == Mode.STRIDED:
                slow |= fields[f"{name}_stride"] not in (0, size)
        beats = rows * (n if slow else -(-n // lanes))
        time = _VECTOR + _LANE[flags.function]
        time += max((self._turn("read", name, fields[name]) for name in "abc" if name in fields), default=0)
        time += max(
            (self._turn("write", name, fields[name]) for name in ("d", "result") if name in fields), default=0
        )
        for direction, names, at in (("read", "abc", start), ("write", ("d", "result"), start + time)):
            for name in names:
                if name in fields:
                    self.uses[direction, fields[name] // self.config.bank_bytes].append(at)
        time += beats - 1 if flags.function != Function.RANDOM else beats * _RANDOM_BEAT
        time += (_INTEGER_IN if flags.a_type != DataType.FLOAT32 else 0) + (
            _INTEGER_OUT if flags.d_type != DataType.FLOAT32 else 0
        )
        tree = lanes.bit_length() - 1
        if flags.reduction == Reduction.SUM:
            time += (tree_latency(lanes) - 2) * rows + 1
        elif flags.reduction == Reduction.FIXED_SUM:
            time += 10 + tree
        elif flags.reduction != Reduction.NONE:
            time += 2 + tree
        return start + time, start + time

    def _matmul_times(self, flags, fields, start):
        c = self.config
        m, k, n = fields["m"], fields["k"], fields["n"]
        passes = m * (2 if flags.activations == ActivationType.INT16 and c.activation_width == 8 else 1)
        tiles = -(-n // c.columns)
        rows = -(-k // c.rows) * max(c.rows, passes) if passes > c.rows else k
        work = tiles * rows
        if flags.weights == WeightType.INT4:
            work += tiles * -(-k // GROUP)
        if flags.scales:
            work += 4 * n / c.fifo_word_bytes
        drain = m * n + tiles
        begin = max(self.arrived, start + _MATMUL - _DRAIN)
        if flags.source == WeightSource.FIFO:
            size = stream_bytes(k, n, c.columns, flags.weights, bool(flags.scales))
            size = -(-size // c.fifo_word_bytes) * c.fifo_word_bytes
            per_chunk = work * _CHUNK / size
            left = size - self.surplus
            time = begin + per_chunk * min(self.surplus, size) / _CHUNK
            while left > 0:
                time = max(time, self.stream.come()) + per_chunk * min(left, _CHUNK) / _CHUNK
                self.stream.take(time)
                left -= _CHUNK
            self.surplus = -left if left < 0 else 0
        else:
            time = begin + work
        time = max(time, begin + drain)
        self.arrived = time
        return start, time + _DRAIN

    def _exchange_times(self, flags, fields, start):
        """Messages are sent as the times at which their first and last words leave."""
        words = lambda name: -(-fields.get(f"{name}_length", 0) // 8)  # noqa: E731
        end = start
        if words("source"):
            count = words("source")
            self.sent += count
            first = max(start + _SEND, self.free["send"])
            last = first + count / self.link_rate
            if flags.follows:
                came_first, came_last = self.came
                first = max(first, came_first + _HOP)
                last = max(first + count / self.link_rate, came_last + _HOP)
            self.free["send"] = end = last
            self.ports[flags.send_port].send(np.array([first, last]).tobytes())
        if words("target"):
            port, count = self.ports[flags.receive_port], words("target")
            self._awaited = flags.receive_port
            while not port.holds(16):
                yield None
            first, last = np.frombuffer(port.receive(16)) + self.link_latency
            first = max(first, self.free["receive"], start)
            last = max(last, first + count)
            self.came = (first, last)
            self.free["receive"] = last + 3
            end = max(end, last + _RECEIVED)
        return max(end, self.ended[Engine.LINK])
