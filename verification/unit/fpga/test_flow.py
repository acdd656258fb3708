# SPDX-License-Identifier: Apache-2.0
"""A small design through the real tools, from Verilog to a bitstream."""

import pytest

from tepin.config import PRESETS
from tepin_fpga.build import build_board, file_names
from tepin_fpga.report import BuildFailed
from verification.unit.fpga.small import EXPECTED, small_board


def test_bitstream(tmp_path):
    said = []
    board = small_board()
    output = tmp_path / "out"
    built = build_board(board, PRESETS["board"], output, expected=EXPECTED, say=said.append)
    assert sorted(path.name for path in output.iterdir()) == sorted(file_names(board))
    assert built.bitstream == output / "ulx3s-12f.bit" and built.clock_hz == 50_000_000
    # The preamble that starts the configuration logic.
    assert b"\xff\xff\xbd\xb3" in built.bitstream.read_bytes()[:1000]
    resources = built.usage.resources
    assert (resources["DSP"].used, resources["DSP"].available) == (1, 28)
    assert (resources["block RAM"].used, resources["block RAM"].available) == (1, 56)
    assert 50 < resources["LUT4"].used < 400 and 50 < resources["FF"].used < 400
    # The system's, and before its gate that of two flip-flops.
    assert set(built.usage.clocks) == {"clk", "pll_clk"}
    assert all(clock.asked == 50 and clock.met >= 50 for clock in built.usage.clocks.values())
    # All 38 pins of the SDRAM and its clock.
    log = (output / "nextpnr.log").read_text()
    assert log.count("Info: IOLOGIC component") == 39
    assert {"synthesis", "placing", "routing", "bitstream"} <= set(said)


@pytest.mark.slow
def test_missed_timing(tmp_path):
    """Twelve adders between two registers do not do 200 MHz."""
    board = small_board(long=12, clock_hz=200_000_000)
    with pytest.raises(BuildFailed, match=r"^timing is not met: clk \d+\.\d of 200\.0 MHz from "):
        build_board(board, PRESETS["board"], tmp_path, expected=EXPECTED)
    assert {path.name for path in tmp_path.iterdir()} == {"yosys.log", "nextpnr.log", "report.json"}
