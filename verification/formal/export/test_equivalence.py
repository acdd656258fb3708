# SPDX-License-Identifier: Apache-2.0
"""What `tepin verilog` writes, read back by slang and by Yosys, is proven to be the netlist that Amaranth made.

Both sides are flattened, memories become registers, and registers, which keep their names, are matched. Every register and
output is then proven equal to its counterpart by induction, whatever the contents at power-up.
"""

import re
import subprocess
import sys

import pytest
from amaranth.back import rtlil

from tepin import verilog
from tepin.config import PRESETS
from tepin.export.convert import convert
from tepin.float.add import FloatAdd
from tepin.float.format import FLOAT32
from tepin.stream import StreamFifo
from tepin.tops import TOPS

COMPONENTS = {
    "fifo": lambda: StreamFifo(shape=8, depth=4),
    "add": lambda: FloatAdd(FLOAT32),
    "array": lambda: TOPS["array"].make(PRESETS["tiny"]),
}

_PREPARE = """\
{read}
hierarchy -top top
proc
flatten
memory -nomap
opt_clean
memory_map
setattr -unset init w:*
opt_clean
rename top {side}
write_rtlil {side}.il
"""

_PROVE = """\
read_rtlil gold.il
read_rtlil gate.il
equiv_make gold gate equiv
hierarchy -top equiv
opt -share_all
equiv_simple -undef
equiv_induct -undef
equiv_status -assert
"""


def yosys(directory, script):
    """Whether Yosys gets through a script; what it says."""
    program = (
        "import sys; from pyosys import libyosys; d = libyosys.Design()\n"
        "for line in sys.stdin: libyosys.run_pass(line.strip(), d)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], input=script, cwd=directory, capture_output=True, text=True
    )
    return result.returncode == 0, result.stdout + result.stderr


def equivalent(directory, name, *, reader, change=lambda text: text):
    """Whether the Verilog of a component, after a change, is proven to do what the component does; what Yosys says."""
    flat = verilog.Flat(COMPONENTS[name](), {})
    platform = verilog.Target("", False)
    text = rtlil.convert(flat, name="top", platform=platform, ports=flat.ports, emit_src=False)
    (directory / "top.il").write_text(text)
    (directory / "top.v").write_text(change(convert(COMPONENTS[name](), name="top").text()))
    for side, read in (("gold", "read_rtlil top.il"), ("gate", f"{reader} top.v")):
        done, log = yosys(directory, _PREPARE.format(read=read, side=side))
        assert done, log
    # The names of registers, as the Verilog spells them.
    gold = (directory / "gold.il").read_text()
    gold = re.sub(r"\\\$(\w+)", r"\\\1", gold)
    (directory / "gold.il").write_text(re.sub(r"(\\[\w.]+)\$(\d+)\b", r"\1_\2", gold))
    gate = (directory / "gate.il").read_text()
    (directory / "gate.il").write_text(gate.replace(".words", ""))
    return yosys(directory, _PROVE)


@pytest.mark.parametrize(
    "name, reader", [("fifo", "read_verilog"), *((name, "read_slang") for name in COMPONENTS)]
)
def test_equivalent(tmp_path, name, reader):
    proven, log = equivalent(tmp_path, name, reader=reader)
    assert proven, log
    found = int(re.search(r"Of those cells (\d+) are proven and 0 are unproven", log)[1])
    assert found > 50


@pytest.mark.parametrize("old, new", [(" + ", " - "), ("o__ready", "clear"), ("3'd0;", "3'd1;")])
def test_difference_is_found(tmp_path, old, new):
    def change(text):
        place = text.index(old, text.index("assign"))
        return text[:place] + new + text[place + len(old) :]

    proven, log = equivalent(tmp_path, "fifo", reader="read_verilog", change=change)
    assert not proven and "unproven" in log
