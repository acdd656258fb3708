# SPDX-License-Identifier: Apache-2.0
"""A step of a selective state-space model (Mamba): mathematics that the chip was not made for, in eight instructions.

For each channel d with its states n (Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023,
equation 2 with the discretisation of section 3.2):

    delta[d] = softplus(raw[d])
    h[d][n]  = exp(delta[d] * A[d][n]) * h[d][n] + delta[d] * B[n] * x[d]
    y[d]     = sum over n of C[n] * h[d][n]
"""

from tepin.isa import Function, Reduction
from tepin_host.assembler import Strided, Vector
from tepin_host.kernels.kernel import Kernel

__all__ = ["state_space_step"]


def state_space_step(raw, x, A, B, C, h):
    """One token.

    Parameters
    ----------
    raw, x : float32 [channels]
        `raw` below 88, where exp overflows.
    A, h : float32 [channels, states]
    B, C : float32 [states]

    Returns
    -------
    Kernel
        With outputs `y` [channels] and the new `h`.
    """
    channels, states = h.shape

    def emit(a, pad):
        per_channel = lambda name: Strided(pad[name], stride=0, row_stride=4)  # noqa: E731
        per_state = lambda name: Strided(pad[name], stride=4, row_stride=0)  # noqa: E731
        whole = {"rows": channels}
        delta, h, decay = Vector(pad["raw"]), Vector(pad["h"]), Vector(pad["decay"])
        a.vector(Function.EXPM, channels, a=delta, d=delta)
        a.vector(Function.LOG1P, channels, a=delta, d=delta)
        a.vector(Function.MUL, channels, a=delta, b=Vector(pad["x"]), d=Vector(pad["x"]))
        a.vector(Function.MUL, states, **whole, a=Vector(pad["A"]), b=per_channel("raw"), d=decay)
        a.vector(Function.EXPM, states, **whole, a=decay, d=decay)
        a.vector(Function.MUL, states, **whole, a=decay, b=h, d=h)
        a.vector(Function.MADD, states, **whole, a=per_state("B"), b=per_channel("x"), c=h, d=h)
        a.vector(Function.MUL, states, **whole, a=h, b=per_state("C"), reduce=(Reduction.SUM, pad["y"]))

    inputs = {"raw": raw, "x": x, "A": A, "B": B, "C": C, "h": h}
    outputs = {"y": (raw.shape, "<f4"), "h": (h.shape, "<f4")}
    return Kernel(emit, inputs, outputs, {"decay": h.nbytes})
