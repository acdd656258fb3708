# SPDX-License-Identifier: Apache-2.0
"""LibreLane takes the configuration of every top: it knows all settings, and finds all files.

LibreLane is not installed with the rest, being large; without it there is nothing to do here. A process is not needed: two
empty files stand for it, and its own settings are left out.
"""

from pathlib import Path

import pytest

from tepin.tops import TOPS
from verification.testbenches.exported.directory import written

SMALL = ("array", "link", "softmax")


def load(directory, name):
    from librelane.config import Config
    from librelane.flows import Flow
    from librelane.flows.flow import universal_flow_config_variables

    flow = Flow.factory.get("Classic")
    variables = {v.name: v for v in (*universal_flow_config_variables, *flow.config_vars)}
    variables |= {v.name: v for step in flow.Steps for v in step.get_all_config_variables()}
    wanted = [v for v in variables.values() if not v.pdk or v.name.startswith("STD_CELL_LIBRARY")]
    process = directory / "process" / "none" / "libs.tech" / "librelane"
    (process / "cells").mkdir(parents=True, exist_ok=True)
    (process / "config.tcl").write_text("set ::env(STD_CELL_LIBRARY) cells\n")
    (process / "cells" / "config.tcl").write_text("\n")
    root = str(directory / "process")
    return Config.load(str(directory / name), wanted, pdk="none", pdk_root=root)[0]


def check(directory, top):
    config = load(written(directory, top), f"{TOPS[top].module}.librelane.json")
    assert config["DESIGN_NAME"] == TOPS[top].module
    assert {Path(str(path)) for path in config["VERILOG_FILES"]} == set((directory / "rtl").iterdir())
    assert config["CLOCK_PORT"] == "clk"


@pytest.mark.parametrize("top", SMALL)
def test_configuration(tmp_path, top):
    pytest.importorskip("librelane", reason="needs the Python package librelane")
    check(tmp_path, top)


@pytest.mark.slow
@pytest.mark.parametrize("top", [top for top in TOPS if top not in SMALL])
def test_other_configuration(tmp_path, top):
    pytest.importorskip("librelane", reason="needs the Python package librelane")
    check(tmp_path, top)


def test_mistakes_are_found(tmp_path):
    pytest.importorskip("librelane", reason="needs the Python package librelane")
    from librelane.config import InvalidConfig

    name = "tepin_link.librelane.json"
    path = written(tmp_path, "link") / name
    path.write_text(path.read_text().replace("rtl/", "missing/", 1))
    with pytest.raises(InvalidConfig):
        load(tmp_path, name)
