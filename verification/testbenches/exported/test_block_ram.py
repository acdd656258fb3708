# SPDX-License-Identifier: Apache-2.0
"""The memories that `tepin verilog` writes become block RAM of an ECP5, as many as the boards' build counts on."""

import json
import subprocess
import sys

import pytest

from tepin.export.memories import Memory
from tepin_fpga.primitives import block_rams

TABLE = tuple(f"{(index * 0x9E3779B97F4A7C15) % (1 << 72):072b}" for index in range(512))
MEMORIES = (
    Memory(width=32, depth=1024, parts=(4,), reads=1, clocked=True, relaxed=True),
    Memory(width=32, depth=4096, parts=(1,), reads=1, clocked=True, relaxed=True),
    Memory(width=128, depth=1024, parts=(1,), reads=1, clocked=True),
    Memory(width=64, depth=256, parts=(1,), reads=1, clocked=True, through=True),
    Memory(width=72, depth=512, parts=(), reads=1, clocked=True, contents=TABLE),
)


@pytest.mark.parametrize("memory", MEMORIES, ids=lambda memory: memory.name)
def test_block_ram(tmp_path, memory):
    (tmp_path / "memory.v").write_text(memory.text())
    script = f"read_verilog memory.v\nsynth_ecp5 -top {memory.name} -json memory.json\n"
    program = (
        "import sys; from pyosys import libyosys; d = libyosys.Design()\n"
        "for line in sys.stdin: libyosys.run_pass(line.strip(), d)"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        input=script,
        cwd=tmp_path,
        text=True,
        check=True,
        capture_output=True,
    )
    cells = json.loads((tmp_path / "memory.json").read_text())["modules"][memory.name]["cells"].values()
    found = [cell["type"] for cell in cells if cell["type"] in ("DP16KD", "PDPW16KD")]
    assert len(found) == block_rams(memory.width, memory.depth)
