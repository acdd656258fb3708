# SPDX-License-Identifier: Apache-2.0
"""The matrices of an executable, as its program's matmul commands have them."""

from tepin_host.compiler.plan import MATRICES
from tepin_reference.weights import unpack

__all__ = ["matrices"]


def matrices(executable):
    """Yield int8 [K, N] of every matrix that a token is multiplied with, in the order in which the program does that."""
    plan, image = executable.plan, executable.image
    columns, dim = plan.config.columns, plan.model.dim

    def decoded(address, n, k):
        size = plan.matrix_bytes(n, k)
        return unpack(image[address : address + size], k, n, columns, plan.weight_type, True)[0]

    address = plan.memory["weights"].address
    for _ in range(plan.layers):
        for name in MATRICES:
            yield decoded(address + plan.offsets[name], *plan.shapes[name])
        address += plan.offsets["end"]
    for _, tokens in plan.chunks:
        yield decoded(address, tokens, dim)
        address += plan.matrix_bytes(tokens, dim)
