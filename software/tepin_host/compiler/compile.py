# SPDX-License-Identifier: Apache-2.0
"""From a model and a configuration to an `Executable`."""

from tepin_host.compiler.batch import BatchProgram
from tepin_host.compiler.executable import Executable
from tepin_host.compiler.image import build_image
from tepin_host.compiler.llama import LlamaProgram
from tepin_host.compiler.pipeline import PipelineProgram
from tepin_host.compiler.plan import Plan
from tepin_host.errors import UserError

__all__ = ["compile_chips", "compile_model", "write_program"]


def compile_model(
    model,
    config,
    *,
    weights="int8",
    activations="int16",
    chunk=4096,
    rank=0,
    chips=1,
    topology="ring",
    rows=1,
    parallel="tensor",
    progress=None,
):
    """Compile a model for a chip, or for one of several.

    Parameters
    ----------
    model : Model
    config : ChipConfig
    weights : "int8" or "int4"
    activations : "int16" or "int8"
    chunk : int
        Most logits that are in the scratchpad at a time.
    rank, chips, topology : int, int, str
        Which chip, of how many, and how they are wired (`tepin_reference.network`).
    rows : int
        With more than one, the program is that of a batch: up to so many texts, and tokens of a prompt, at a time.
    parallel : "tensor" or "pipeline"
        What several chips divide: every layer, or the layers among them. The program of a pipeline is one of many texts.
    progress : callable(fraction), optional

    Raises
    ------
    UserError
        If the model does not fit the chip.
    """
    plan = Plan(model.config, config, weights, activations, chunk, rank, chips, topology, rows, parallel)
    program = write_program(plan).words
    if len(program) > config.program_words:
        raise UserError(
            f"the program has {len(program)} words, the program memory of this configuration {config.program_words}; "
            "use a larger program_words"
        )
    return Executable(plan, program, build_image(model, plan, progress), model.name)


def write_program(plan):
    """The program for a `Plan`, of the kind that it asks for; `words` are its words."""
    if plan.parallel == "pipeline":
        return PipelineProgram(plan)
    return (LlamaProgram if plan.rows == 1 else BatchProgram)(plan)


def compile_chips(model, config, *, chips, progress=None, **settings):
    """Compile a model for several chips: an `Executable` for each, by rank. `settings` as for `compile_model`."""

    def part(rank):
        return progress and (lambda fraction: progress((rank + fraction) / chips))

    return [
        compile_model(model, config, rank=rank, chips=chips, progress=part(rank), **settings)
        for rank in range(chips)
    ]
