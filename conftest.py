# SPDX-License-Identifier: Apache-2.0
"""Options of the test suite, and the random generator that every randomised test draws from.

A test that fails prints the one command that repeats it. Seeds reach simulations as environment variables,
because cocotb tests run in the simulator's process.
"""

import os
import shlex
import warnings
from pathlib import Path

import pytest
from amaranth.hdl import UnusedElaboratable

from tepin_testbench import gates, options

SEED = 20260101


def pytest_addoption(parser):
    group = parser.getgroup("tepin")
    group.addoption(
        "--seed", type=int, default=SEED, metavar="S", help=f"seed of every randomised test (default {SEED})"
    )
    group.addoption(
        "--waves", metavar="FILE", help="write the waveforms of the simulations to FILE (.fst or .vcd)"
    )
    group.addoption(
        "--sim",
        choices=options.SIMULATORS,
        default=options.SIMULATORS[0],
        help="simulator of the cocotb tests",
    )
    group.addoption(
        "--gates", choices=gates.FAMILIES, help="run the cocotb tests on netlists for an FPGA of this family"
    )
    group.addoption(
        "--exported",
        action="store_true",
        help="run the cocotb tests on the files that `tepin verilog` writes",
    )
    group.addoption("--slow", action="store_true", help="run the tests marked slow, too")


def pytest_configure(config):
    seed = config.getoption("--seed")
    if seed < 0:
        raise pytest.UsageError("--seed must not be negative")
    waves = config.getoption("--waves")
    if waves is not None:
        if Path(waves).suffix not in (".fst", ".vcd"):
            raise pytest.UsageError("--waves needs a file name that ends in .fst or .vcd")
        os.environ[options.WAVES] = str(Path(waves).absolute())
    os.environ[options.SEED] = str(seed)
    os.environ[options.SIMULATOR] = config.getoption("--sim")
    os.environ[options.GATES] = config.getoption("--gates") or ""
    os.environ[options.EXPORTED] = "1" if config.getoption("--exported") else ""
    # A component whose constructor raises is never elaborated, and that is what the test wants. Amaranth warns
    # when Python frees the object, which may be after the last test.
    warnings.filterwarnings("ignore", category=UnusedElaboratable)
    config.addinivalue_line("filterwarnings", "ignore::amaranth.hdl.UnusedElaboratable")


def pytest_report_header(config):
    return f"tepin: seed {config.getoption('--seed')}, cocotb tests on {config.getoption('--sim')}"


def pytest_collection_modifyitems(config, items):
    """Leaves the slow tests out, unless they are asked for."""
    if config.getoption("--slow") or "slow" in config.getoption("markexpr"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the command that repeats a failed test to its report."""
    report = yield
    if report.failed:
        report.sections.append(("To repeat it", _command(item)))
    return report


def _command(item):
    words = ["scripts/test", item.nodeid, "--seed", str(item.config.getoption("--seed"))]
    if item.config.getoption("--sim") != options.SIMULATORS[0]:
        words += ["--sim", item.config.getoption("--sim")]
    if item.config.getoption("--gates"):
        words += ["--gates", item.config.getoption("--gates")]
    if item.config.getoption("--exported"):
        words.append("--exported")
    if item.get_closest_marker("slow"):
        words.append("--slow")
    return shlex.join(words)


@pytest.fixture
def rng(request):
    """A numpy generator that depends on `--seed` and on the name of the test, and on nothing else."""
    return options.generator(request.node.nodeid)
