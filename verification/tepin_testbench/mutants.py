# SPDX-License-Identifier: Apache-2.0
"""How `scripts/mutate` reaches into the testbenches: it collects their designs, then has one replaced by a mutant.

A testbench may run several designs, such as one for each depth. A design is known by its name and a hash of
its Verilog, and so is the mutant made of it.
"""

import hashlib
import os
from pathlib import Path

import pytest

__all__ = ["COLLECT", "MUTANT", "design_name", "replacement"]

COLLECT = (
    "TEPIN_COLLECT"  # A directory: designs go there with the names of their tests; nothing is simulated.
)
MUTANT = "TEPIN_MUTANT"  # A file named `<design name>.v`: replaces that design; tests of others are skipped.


def design_name(text, top):
    """Name of the design with the Verilog `text` and the top module `top`."""
    return f"{top}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def replacement(text, top):
    """The Verilog to simulate in the place of `text`, or None if that is to be simulated itself.

    Skips the test that calls this if designs are only collected, or if it is another design that is replaced.
    """
    name = design_name(text, top)
    if os.environ.get(COLLECT):
        Path(os.environ[COLLECT], f"{name}.v").write_text(text)
        with open(Path(os.environ[COLLECT], f"{name}.tests"), "a") as tests:
            tests.write(os.environ["PYTEST_CURRENT_TEST"].rsplit(" ", 1)[0] + "\n")
        pytest.skip("designs are only collected")
    if not os.environ.get(MUTANT):
        return None
    mutant = Path(os.environ[MUTANT])
    if mutant.stem != name:
        pytest.skip("another design is replaced by a mutant")
    return mutant.read_text()
