# SPDX-License-Identifier: Apache-2.0
"""The layers that one row of activations passes through, on one chip or divided among several.

In each layer, in order: norm, projections, rotary embedding, insertion of the new key and value into their pages,
attention (`attention.py`), output projection, feed-forward network. What belongs to the next layer is fetched meanwhile.

Every engine works through its own commands; these semaphores order them:

    LAYER        loads -> vector      the layer's norms and current KV pages are in the scratchpad
    ACTIVATIONS  vector -> matmul     the next activations are quantised
    PRODUCTS     matmul -> vector     the next products are in the scratchpad
    INSERTED     vector -> stores     key and value have been inserted into their pages
    STORED       stores -> weights    ... and written to memory, from where full pages stream later
    SAVED        stores -> loads      ... and the page buffers may be overwritten
    ATTENDED     vector -> loads      attention has read the page buffers
    STEPPED      vector -> loads      the rotary row and the embedding may be overwritten
    CHOSEN       vector -> sequencer  the next token is known
    FETCHED      loads -> sequencer   a word that the sequencer asked for is in the scratchpad
    SCALES, SCALES_FREE               see `attention.py`

If each chip computes some output channels of every matrix (`shard.py`), then they gather the row. Two more:

    SLICE     vector, matmul, loads -> link    the chip's own slot of the row is in the scratchpad
    GATHERED  link -> vector                   the other chips' slots are, too

A row is gathered only when the chip's own slot of it is there, so its former content has been read by then.
"""

from abc import ABC, abstractmethod

from tepin.isa import Engine, Function, Reduction, ScalarOp
from tepin_host.assembler import Vector
from tepin_host.compiler.attention import Attention
from tepin_host.compiler.rows import RowProgram
from tepin_host.compiler.sampling import Sampler

__all__ = ["LayerProgram"]

_SEMAPHORES = (
    "LAYER",
    "ACTIVATIONS",
    "PRODUCTS",
    "INSERTED",
    "STORED",
    "SAVED",
    "ATTENDED",
    "STEPPED",
    "CHOSEN",
    "FETCHED",
    "SCALES",
    "SCALES_FREE",
)

_LINK_SEMAPHORES = ("SLICE", "GATHERED")

_REGISTERS = {
    "position": "of the token in the network",
    "slot": "position within its block of 64",
    "blocks": "full blocks before the current one",
    "layers": "layers still to do, counting down",
    "page": "address in memory of the current (block, layer)",
    "next_weights": "address of the weights to prefetch next",
    "next_pages": "address of the first block of the layer to prefetch next",
    "norms": "scratchpad address of the present layer's norms",
}


class LayerProgram(RowProgram, ABC):
    """Base of the programs with one row: they say where rows come from and where they go. `words` is the result.

    Parameters
    ----------
    plan : Plan
    semaphores : sequence of str
        Names of those that the program has besides.
    """

    def __init__(self, plan, *semaphores):
        links = () if plan.chips == 1 else _LINK_SEMAPHORES
        super().__init__(plan, (*semaphores, *_SEMAPHORES, *links), _REGISTERS)
        self.attention = Attention(self)
        self.sampler = Sampler(self)
        self._emit()
        self.words = self.a.assemble()

    @abstractmethod
    def _emit(self):
        """Write the program."""

    @abstractmethod
    def request_word(self, name):
        """Scratchpad address of a word of the request whose token is chosen."""

    @abstractmethod
    def _prefetch_next_row(self):
        """In the last layer: start to fetch what comes after it."""

    def _layer(self):
        a, s, pad, m = self.a, self.semaphore, self.pad, self.model
        ready = "GATHERED" if self.plan.gathers else "PRODUCTS"
        self.norm_and_quantize(self.r["norms"], wait=s["LAYER"])
        if self.plan.heads:
            self.project("wk", pad["k"], wait=s["ACTIVATIONS"])
            self.project("wv", pad["v"])
            self.project("wq", pad["q"])
        else:
            a.nop(Engine.MATMUL, wait=s["ACTIVATIONS"])
        self._attend()
        self._project_and_gather("wo")
        self._prefetch_next_layer()
        self.add_to_x(pad["o"], wait=ready)
        self.norm_and_quantize(self.r["norms"] + 4 * m.dim)
        self._feed_forward()
        self.add_to_x(pad["o"], wait=ready)
        with a.temporary("other") as other:
            self._other_norms(other)
            a.move(self.r["norms"], other)

    def _attend(self):
        self.attention.emit()

    def _feed_forward(self):
        """o = w2 @ (silu(w1 @ x) * (w3 @ x))."""
        s, pad = self.semaphore, self.pad
        gate, up, maximum = self.plan.own("gate"), pad["up"], pad["maxima"]
        self.project("w1", gate, wait=s["ACTIVATIONS"])
        self.project("w3", up)
        if self.plan.gathers:
            self.silu_times(gate, up, pad["sigmoid"], signal=s["SLICE"])
            self.gather_and_quantize("gate", self.model.hidden_dim, maximum)
        else:
            self.silu_times(gate, up, pad["sigmoid"], reduce=(Reduction.ABSMAX, maximum))
            self.quantize_rows(gate, self.plan.hidden, maximum)
        self._project_and_gather("w2")

    # Several chips

    def _project_and_gather(self, name):
        """A whole row of products in `o`, from all chips."""
        ready, gathers = self.semaphore["ACTIVATIONS"], self.plan.gathers
        self.project(name, self.plan.own("o"), wait=ready, signal="SLICE" if gathers else "PRODUCTS")
        if gathers:
            self.gather("o")

    def gather(self, name):
        """Complete a buffer of which each chip has its slot, once SLICE tells so; GATHERED when all is there."""
        plan, address = self.plan, self.pad[name]
        slots = plan.shard.slots(name)
        steps = list(plan.shard.network.gather_steps(plan.rank))
        for index, ((to, sent, follows), (source, received)) in enumerate(steps):
            self.a.exchange(
                send=(to, address + slots[sent].start, slots[sent].count),
                receive=(source, address + slots[received].start, slots[received].count),
                follows=follows,
                wait=self.semaphore["SLICE"] if index == 0 else 0,
                signal=self.semaphore["GATHERED"] if index == len(steps) - 1 else 0,
            )

    def gather_and_quantize(self, name, n, maximum):
        """xq, scale = quantise(the row of n that the chips gather); `maximum` is the address of a number to use."""
        self.gather(name)
        self.a.vector(
            Function.COPY,
            n,
            a=Vector(self.pad[name]),
            reduce=(Reduction.ABSMAX, maximum),
            wait=self.semaphore["GATHERED"],
        )
        self.quantize_rows(self.pad[name], n, maximum)

    # Prefetch

    @property
    def _norm_bytes(self):
        return 2 * self.model.dim * 4

    def _other_norms(self, register):
        """register = scratchpad address of the norm buffer that the present layer does not use."""
        self.a.move(register, 2 * self.pad["norms"] + self._norm_bytes)
        self.a.scalar(ScalarOp.SUB, register, register, self.r["norms"])

    def _prefetch_weights(self, blocks):
        """Queue the weights of one layer, and between them its full KV pages, in the order of their use."""
        self.a.weights(self.r["next_weights"], self.plan.offsets["wo"])
        self._prefetch_behind_projections(blocks)

    def _prefetch_behind_projections(self, blocks):
        """The part of it from the full KV pages on."""
        a, r, plan = self.a, self.r, self.plan
        before, end = plan.offsets["wo"], plan.offsets["end"]
        a.weights(
            r["next_pages"],
            plan.pages_bytes,
            repeat=(blocks, plan.cache_block_bytes),
            wait=self.semaphore["STORED"],
        )
        a.weights(r["next_weights"] + before, end - before)

    def _prefetch_next_layer(self):
        """Start to fetch what follows this layer."""
        a, r, plan = self.a, self.r, self.plan
        done, last = a.label("prefetched"), a.label("last_layer")
        with a.temporary("one") as one:
            a.move(one, 1)
            a.branch(ScalarOp.BEQ, r["layers"], one, last)
        a.scalar(ScalarOp.ADD, r["next_weights"], r["next_weights"], plan.offsets["end"])
        a.scalar(ScalarOp.ADD, r["next_pages"], r["next_pages"], plan.cache_layer_bytes)
        a.scalar(ScalarOp.ADD, r["page"], r["page"], plan.cache_layer_bytes)
        self._prefetch_weights(r["blocks"])
        with a.temporary("norm") as norm:
            a.scalar(ScalarOp.SUB, norm, r["layers"], plan.layers + 1)
            a.scalar(ScalarOp.MUL, norm, norm, -self._norm_bytes)
            a.scalar(ScalarOp.ADD, norm, norm, self.address("norms"))
            self._load_layer(norm, r["slot"])
        a.jump(done)
        a.place(last)
        self._prefetch_next_row()
        a.place(done)

    def _load_layer(self, norm, slot):
        """Load norms and current pages of the next layer, once the present layer is done with the page buffers."""
        a, s = self.a, self.semaphore
        a.nop(Engine.LOADS, wait=s["SAVED"])
        with a.temporary("other") as other:
            self._other_norms(other)
            a.load(norm, other, self._norm_bytes, wait=s["ATTENDED"])
        self.attention.load_current_pages(slot)
        a.nop(Engine.LOADS, signal=s["LAYER"])
