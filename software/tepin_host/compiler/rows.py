# SPDX-License-Identifier: Apache-2.0
"""What a network does with each row of activations for itself: norms, products with weights, feed-forward, quantisation.

A *row* belongs to one token. A program has one row at a time, or up to `plan.rows` of them; then a register holds how many.
Row by row the buffers lie behind each other, so that one command treats all rows, and every weight is read once for all.
"""

from tepin.isa import DataType, Function, Reduction
from tepin_host.assembler import Assembler, Scalar, Strided, Vector
from tepin_host.compiler.conventions import CONSTANTS

__all__ = ["RowProgram"]


class RowProgram:
    """Base of the programs: names of places, and the commands for a row or for all rows.

    Parameters
    ----------
    plan : Plan
    semaphores : sequence of str
        Names to reserve; ACTIVATIONS and PRODUCTS are among them.
    registers : iterable of str
        Names to reserve; `count` among them is the number of rows, without it there is one.
    """

    def __init__(self, plan, semaphores, registers):
        self.plan = plan
        self.model = plan.model
        self.memory = plan.memory
        self.pad = plan.scratchpad
        self.a = Assembler()
        self.semaphore = {name: self.a.semaphore(name) for name in semaphores}
        self.r = {name: self.a.register(name) for name in registers}
        self.count = self.r.get("count")

    # Places

    def constant(self, name):
        """Scratchpad operand of a scalar constant."""
        return Scalar(self.pad["constants"] + 4 * CONSTANTS.index(name))

    def chunk_start(self, index):
        """Scratchpad operand of the first token id of a classifier chunk."""
        return Scalar(self.pad["constants"] + 4 * (len(CONSTANTS) + index))

    @property
    def final_norm(self):
        """Scratchpad address of the last norm's weights."""
        return self.pad["constants"] + 4 * (len(CONSTANTS) + len(self.plan.chunks))

    def address(self, region):
        return self.memory[region].address

    # Operands

    @property
    def _rows(self):
        return {} if self.count is None else {"rows": self.count}

    def _for_all(self, address):
        """The same elements in every row."""
        return Vector(address) if self.count is None else Strided(address, stride=4, row_stride=0)

    def _per_row(self, address):
        """One number for all elements of a row."""
        return Scalar(address) if self.count is None else Strided(address, stride=0, row_stride=4)

    def _numbers(self, address):
        """Numbers of all rows, as elements of one row."""
        return Scalar(address) if self.count is None else Vector(address)

    def _quantised(self, n):
        """Rows of n quantised activations in `xq`."""
        if self.count is None:
            return Vector(self.pad["xq"])
        return Strided(self.pad["xq"], stride=self.plan.activation_bytes, row_stride=self.plan.row_bytes(n))

    def _scalar_address(self, index):
        """Of three numbers for each row."""
        return self.pad["scalars"] + 4 * self.plan.rows * index

    @property
    def _one_each(self):
        """How many elements one number for each row are."""
        return 1 if self.count is None else self.count

    # Commands

    def project(self, name, output, *, wait=0, signal="PRODUCTS"):
        """One matrix of the layer from the weight FIFO, times the activations in `xq`."""
        n, k = self.plan.shapes[name]
        self.matmul(k, n, output, wait=wait, signal=signal)

    def matmul(self, k, n, output, *, wait=0, signal="PRODUCTS", observe=False):
        """A weight matrix from the FIFO times the rows in `xq`."""
        self.a.matmul(
            m=self._one_each,
            k=k,
            n=n,
            activations=self.pad["xq"],
            activation_stride=0 if self.count is None else self.plan.row_bytes(k),
            scale=self.pad["scale"],
            output=output,
            output_stride=0 if self.count is None else 4 * n,
            weights=self.plan.weight_type,
            activation_type=self.plan.activation_type,
            observe=observe,
            wait=wait,
            signal=self.semaphore[signal],
        )

    def add_to_x(self, products, *, wait):
        """x += the rows at this address."""
        x = Vector(self.pad["x"])
        self.a.vector(
            Function.ADD,
            self.model.dim,
            **self._rows,
            a=x,
            b=Vector(products),
            d=x,
            wait=self.semaphore[wait],
        )

    def norm_and_quantize(self, weight, *, wait=0):
        """xq, scale = quantise(rms_norm(x) * the weights at this address).

        The normaliser is one positive number for the whole row, so it goes into the scale: xq = quantise(x * weight),
        scale = step * normaliser. That takes a pass less than normalising first.
        """
        a, pad, dim, rows, each = self.a, self.pad, self.model.dim, self._rows, self._one_each
        x, u = Vector(pad["x"]), Vector(pad["u"])
        square, normaliser, maximum = (self._scalar_address(index) for index in range(3))
        a.vector(
            Function.MUL,
            dim,
            **rows,
            a=x,
            b=self._for_all(weight),
            d=u,
            reduce=(Reduction.ABSMAX, maximum),
            wait=wait,
        )
        a.vector(Function.MUL, dim, **rows, a=x, b=x, reduce=(Reduction.SUM, square))
        step, _ = self.step_of(self._numbers(maximum), each)
        a.vector(
            Function.MUL,
            dim,
            **rows,
            a=u,
            b=self._per_row(pad["inverse"]),
            d=self._quantised(dim),
            d_type=self.plan.activation_data_type,
        )
        a.vector(
            Function.MADD,
            each,
            a=self._numbers(square),
            b=self.constant("inverse_dim"),
            c=self.constant("epsilon"),
            d=self._numbers(normaliser),
        )
        a.vector(Function.RSQRT, each, a=self._numbers(normaliser), d=self._numbers(normaliser))
        a.vector(
            Function.MUL,
            each,
            a=step,
            b=self._numbers(normaliser),
            d=self._numbers(pad["scale"]),
            signal=self.semaphore["ACTIVATIONS"],
        )

    def quantize_rows(self, source, n, maximum):
        """xq, scale = quantise(rows of n whose largest magnitudes are known); both are addresses."""
        a, pad, each = self.a, self.pad, self._one_each
        scale, inverse = self._numbers(pad["scale"]), self._numbers(pad["inverse"])
        a.vector(Function.MUL, each, a=self._numbers(maximum), b=self.constant("activation_step"), d=scale)
        a.vector(Function.RECIPROCAL, each, a=scale, d=inverse)
        a.vector(
            Function.MUL,
            n,
            **self._rows,
            a=Vector(source),
            b=self._per_row(pad["inverse"]),
            d=self._quantised(n),
            d_type=self.plan.activation_data_type,
            signal=self.semaphore["ACTIVATIONS"],
        )

    def step_of(self, maximum, n, constant="activation_step", *, at=None):
        """steps = maximum * constant, inverse = 1 / steps for n numbers; returns both operands.

        `at` has the addresses of steps and inverse, if they are not those of the scratchpad's buffers.
        A row of zeros has step 0 and inverse infinity; 0 * infinity is NaN, which converts to the integer 0.
        """
        a, walk = self.a, Scalar if n == 1 else Vector
        steps, inverse = (walk((at or self.pad)[name]) for name in ("steps", "inverse"))
        a.vector(Function.MUL, n, a=maximum, b=self.constant(constant), d=steps)
        a.vector(Function.RECIPROCAL, n, a=steps, d=inverse)
        return steps, inverse

    def silu_times(self, gate, up, sigmoid, *, reduce=None, signal=0):
        """gate = silu(gate) * up, silu(g) = g / (1 + exp(-g)), as soon as each of the two is there; addresses."""
        hidden, rows, ready = self.plan.hidden, self._rows, self.semaphore["PRODUCTS"]
        a, g, s = self.a, Vector(gate), Vector(sigmoid)
        a.vector(Function.EXPM, hidden, **rows, a=Vector(gate, negate=True), d=s, wait=ready)
        a.vector(Function.ADD, hidden, **rows, a=s, b=self.constant("one"), d=s)
        a.vector(Function.RECIPROCAL, hidden, **rows, a=s, d=s)
        a.vector(Function.MUL, hidden, **rows, a=g, b=s, d=g)
        a.vector(
            Function.MUL, hidden, **rows, a=g, b=Vector(up), d=g, reduce=reduce, wait=ready, signal=signal
        )

    def embed(self, found, stride, *, wait):
        """x = the rows of the embedding that lie at this address, each int8 with its scale at the end."""
        alone = self.count is None
        scale = found + (stride - 4)
        self.a.vector(
            Function.MUL,
            self.model.dim,
            **self._rows,
            a=Vector(found) if alone else Strided(found, stride=1, row_stride=stride),
            a_type=DataType.INT8,
            b=Scalar(scale) if alone else Strided(scale, stride=0, row_stride=stride),
            d=Vector(self.pad["x"]),
            wait=self.semaphore[wait],
        )
