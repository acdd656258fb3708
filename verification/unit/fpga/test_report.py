# SPDX-License-Identifier: Apache-2.0
"""What is read out of the tools' reports, and when a build fails because of it."""

import pytest

from tepin_fpga.ecp5 import DEVICES
from tepin_fpga.report import BuildFailed, Clock, Resource, check_fits, check_timing, parse_report

REPORT = {
    "critical_paths": [
        {
            "from": "posedge $glbnet$clk",
            "path": [
                {"from": {"cell": "host.link.buffer.0.0"}, "to": {"cell": "host.link.buffer.0.0"}},
                {"from": {"cell": "host.link.buffer.0.0"}, "to": {"cell": "some_LUT4_Z"}},
                {"from": {"cell": "some_LUT4_Z"}, "to": {"cell": "host.crc.bits_TRELLIS_FF_Q_7_DI"}},
            ],
            "to": "posedge $glbnet$clk",
        },
        {
            "from": "<async>",
            "path": [{"from": {"cell": "pad"}, "to": {"cell": "stage0"}}],
            "to": "posedge $glbnet$clk",
        },
    ],
    "fmax": {
        "$glbnet$clk": {"achieved": 125.10946655273438, "constraint": 100},
        "clk25$TRELLIS_IO_IN": {"achieved": 301.5, "constraint": 25},
    },
    "utilization": {
        "DP16KD": {"available": 208, "used": 36},
        "MULT18X18D": {"available": 156, "used": 110},
        "TRELLIS_COMB": {"available": 83640, "used": 47000},
        "TRELLIS_FF": {"available": 83640, "used": 27383},
        "EHXPLLL": {"available": 4, "used": 1},
    },
}
LIMITS = {"DP16KD": 212_000_000, "EXTREFB": 10_000_000}


def test_parse_report():
    usage = parse_report(REPORT, LIMITS)
    assert usage.resources == {
        "LUT4": Resource(47000, 83640),
        "FF": Resource(27383, 83640),
        "DSP": Resource(110, 156),
        "block RAM": Resource(36, 208),
    }
    assert usage.resources["DSP"].free == 46
    # A clock meets no more than the primitives can do; those that the design does not use bound nothing.
    assert usage.clocks == {
        "clk": Clock(100, 125.10946655273438, 125.10946655273438),
        "clk25": Clock(25, 301.5, 212),
    }
    check_timing(usage)
    assert usage.as_dict()["resources"]["FF"] == {"used": 27383, "available": 83640, "free": 56257}
    assert usage.as_dict()["clocks_mhz"]["clk25"] == {"asked": 25, "reached": 301.5, "met": 212}


def test_unused_primitives_bound_nothing():
    report = {**REPORT, "utilization": REPORT["utilization"] | {"DP16KD": {"available": 208, "used": 0}}}
    assert parse_report(report, LIMITS).clocks["clk25"].met == 301.5


@pytest.mark.parametrize("achieved, limit, within_reach", [(99.9, 212, 94), (150, 90, 85)])
def test_missed_timing(achieved, limit, within_reach):
    report = {**REPORT, "fmax": {"$glbnet$clk": {"achieved": achieved, "constraint": 100}}}
    with pytest.raises(BuildFailed) as error:
        check_timing(parse_report(report, {"DP16KD": limit * 1_000_000}))
    path = "from host.link.buffer.0.0 to host.crc.bits"
    advice = f"try another --seed, or --clock {within_reach}"
    assert (
        str(error.value) == f"timing is not met: clk {min(achieved, limit):.1f} of 100.0 MHz {path}; {advice}"
    )
    assert error.value.exit_status == 1


def test_fits():
    device = DEVICES["LFE5U-25F"]
    check_fits({"LUT4": 24288, "TRELLIS_FF": 24288, "MULT18X18D": 28, "DP16KD": 56}, device)
    cells = {"LUT4": 20000, "CCU2C": 2000, "TRELLIS_DPR16X4": 100, "MULT18X18D": 29, "PDPW16KD": 57}
    with pytest.raises(BuildFailed) as error:
        check_fits(cells, device)
    assert str(error.value) == (
        "the design does not fit: it needs 24,600 LUT4 of 24,288, 29 DSPs of 28, 57 block RAMs of 56"
    )
