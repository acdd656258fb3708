# SPDX-License-Identifier: Apache-2.0
"""Runs cocotb tests on a component: exports its Verilog, compiles it, or finds it compiled, and simulates.

A test file holds both the cocotb tests and the pytest functions that run them:

    @cocotb.test()
    async def order_is_kept(dut): ...

    @pytest.mark.parametrize("depth", [2, 8])
    def test_fifo(depth):
        run_cocotb(StreamFifo(shape=8, depth=depth), top="fifo", test_module=__name__, parameters={"depth": depth})
"""

import contextlib
import json
import os
import shutil
import tempfile
import xml.etree.ElementTree
from pathlib import Path
from unittest import mock

from cocotb_tools import runner as cocotb_runner

from tepin import verilator, verilog
from tepin.export.convert import convert
from tepin.export.text import RANDOM_START
from tepin_testbench import gates, mutants, options

__all__ = ["run_cocotb", "parameters", "ports"]

PARAMETERS = "TEPIN_PARAMETERS"
PORTS = "TEPIN_PORTS"

_TIMESCALE = ("1ns", "1ps")
_OPTIMISATION = "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1"
# cocotb's runner makes every signal of the design accessible, which keeps Verilator from optimising any of them away. Tests
# touch the ports and nothing else, and a design of which only these are accessible compiles in half the time.
_PORTS_ONLY = ["--no-public-flat-rw", "--public-depth", "1"]
# Registers begin with random bits.
_RANDOM_START = {"verilator": ["--x-initial", "unique"], "icarus": [f"-D{RANDOM_START}"]}
# Writes the waveforms under Icarus; cocotb's own module for that is SystemVerilog, which -g2005 rules out.
_ICARUS_WAVES = """
module tepin_waves;
  initial begin
    $dumpfile("waves.fst");
    $dumpvars(0, %s);
  end
endmodule
"""


def run_cocotb(
    component,
    *,
    top,
    test_module,
    test_filter=None,
    parameters=None,
    port_names=None,
    text=None,
    extra_sources=(),
    extra_env=None,
    clock_gates=False,
    family=None,
    part=None,
    exported=None,
    sim=None,
    waves=None,
):
    """Runs the cocotb tests of a module on a component.

    Parameters
    ----------
    component : `amaranth.lib.wiring.Component`
        The design, not elaborated before.
    top : str
        Name of its top module in Verilog.
    test_module : str
        The module with the cocotb tests: `__name__` in a test file.
    test_filter : str, optional
        Regular expression that the names of the tests to run match; all of them by default.
    parameters : mapping, optional
        What the tests find in `parameters()`. Anything that JSON can hold.
    port_names : mapping from str to str, optional
        As in `tepin.verilog.convert`.
    text : str, optional
        What `tepin.verilog.convert` gives for all this, if it has been called already.
    extra_sources : sequence of path
        Verilog of the modules that the design instantiates and does not contain.
    extra_env : mapping from str to str, optional
        Further environment variables for the simulation.
    clock_gates : bool
        As in `tepin.verilog.convert`.
    family : str, optional
        One of `tepin_testbench.gates.FAMILIES`: the design is synthesised for it, and the netlist is simulated. The one of
        the command line by default, which is none; `""` for none in any case.
    part : str, optional
        Instance in the top module that becomes a netlist; the rest, which then is testbench, stays as it is. By default,
        all of the design does.
    exported : bool, optional
        Simulate what `tepin verilog` writes (`tepin.export`), in which no register has an initial value: they begin with
        random bits. As the command line says by default, which is no.
    sim : str, optional
        `"verilator"` or `"icarus"`; the one of the command line by default.
    waves : path, optional
        File for the waveforms; the one of the command line by default.

    Raises
    ------
    AssertionError
        A test failed, or there was none.
    tepin.verilator.ToolError
        The design does not compile, or a tool is missing.
    """
    __tracebackhide__ = True
    sim = sim or options.simulator()
    waves = waves or options.waves()
    if sim == "icarus" and waves and Path(waves).suffix != ".fst":
        raise ValueError(f"Icarus writes waveforms as .fst, not {Path(waves).suffix}")
    port_list = verilog.ports(component, port_names)
    family = options.gates() if family is None else family
    device = gates.DEVICES[family] if family else None
    exported = options.exported() if exported is None else exported
    if exported:
        if family:
            raise ValueError("What `tepin verilog` writes has no cells of a family")
        text = convert(component, name=top, port_names=port_names, clock_gates=clock_gates).text()
    text = text or verilog.convert(
        component, name=top, port_names=port_names, device=device, clock_gates=clock_gates
    )
    environment = {
        options.SEED: str(options.seed()),
        PARAMETERS: json.dumps(dict(parameters or {})),
        PORTS: json.dumps(port_list),
        **(extra_env or {}),
    }
    with tempfile.TemporaryDirectory(prefix="tepin-") as scratch:
        mutant = mutants.replacement(text, top)
        source = text if mutant is None else mutant
        extra = {Path(path).name: Path(path).read_text() for path in extra_sources}
        if family:
            source = gates.synthesise(source, top, part)
            extra[f"{family}_cells.v"] = gates.cell_models(source)
        arguments = _RANDOM_START[sim] if exported else []
        if mutant is None:
            build = _cached_build(source, extra, top, sim, waves, arguments)
        else:
            build = Path(scratch) / "build"
            build.mkdir()
            _build(build, source, extra, top, sim, waves, arguments)
        run = _random_start_arguments() if arguments and sim == "verilator" else []
        _simulate(build, Path(scratch) / "run", top, sim, waves, test_module, test_filter, environment, run)


def _random_start_arguments():
    return [f"+verilator+seed+{options.seed() % (1 << 31) or 1}", "+verilator+rand+reset+2"]


def parameters():
    """In a cocotb test: what `run_cocotb` was given as `parameters`."""
    return json.loads(os.environ[PARAMETERS])


def ports():
    """In a cocotb test: the ports of the design, `{name: (width, "input" or "output")}`, without clocks and resets."""
    return {name: tuple(port) for name, port in json.loads(os.environ[PORTS]).items()}


def _cached_build(text, extra, top, sim, waves, arguments):
    """Directory of the compiled design. Waveforms need code of their own, so they make it another build."""
    suffix = Path(waves).suffix if waves else ""
    more = [part for item in sorted(extra.items()) for part in item]
    key = verilator.content_key("cocotb 1", sim, suffix, top, text, *more, *arguments)
    return verilator.cached_build(
        "cocotb", key, lambda build: _build(build, text, extra, top, sim, waves, arguments)
    )


def _build(build, text, extra, top, sim, waves, more_arguments):
    """Compiles the design in the empty directory `build`, with a log beside it."""
    source = build / f"{top}.v"
    source.write_text(text)
    sources = [source]
    for name, content in extra.items():
        sources.append(build / name)
        sources[-1].write_text(content)
    log = build / "build.log"
    runner = _runner(sim)
    if sim == "verilator":
        arguments = [*verilator.warning_arguments(), *_PORTS_ONLY, *more_arguments]
        if waves and Path(waves).suffix == ".fst":
            arguments = [*arguments, "--trace-fst"]
        environment = verilator.environment()
        # Compiled once and run briefly: the compiler's time counts for more than that of the simulation.
        environment["MAKEFLAGS"] += f" {_OPTIMISATION}"
        runtime = verilator.shared_runtime(build, *arguments, str(bool(waves)), _OPTIMISATION)
    else:
        # Without -g2005 some combinational outputs of Yosys' Verilog stay X from the start.
        arguments = ["-g2005", *more_arguments]
        environment = dict(os.environ)
        runtime = contextlib.nullcontext()
        if waves:
            source.write_text(text + _ICARUS_WAVES % top)
            arguments += ["-s", "tepin_waves"]
    try:
        with runtime, mock.patch.dict(os.environ, environment):
            runner.build(
                sources=sources,
                hdl_toplevel=top,
                build_dir=build,
                build_args=arguments,
                timescale=_TIMESCALE,
                waves=bool(waves) and sim == "verilator",
                always=True,
                log_file=log,
            )
    except (RuntimeError, SystemExit) as error:
        text = log.read_text() if log.exists() else str(error)
        raise verilator.ToolError(f"{sim} could not compile {top}:\n{_tail(text)}") from None
    for path in build.iterdir():
        if path.suffix in (".a", ".cpp", ".d", ".gch", ".h", ".o"):
            path.unlink()


def _simulate(build, directory, top, sim, waves, test_module, test_filter, environment, more_arguments):
    __tracebackhide__ = True
    directory.mkdir()
    log = directory / "simulation.log"
    results = directory / "results.xml"
    runner = _runner(sim)
    trace = directory / f"waves{Path(waves).suffix}" if waves else None
    arguments = ["--trace-file", trace.name] if sim == "verilator" and waves else []
    arguments = [*arguments, *more_arguments]
    failure = None
    try:
        runner.test(
            test_module=test_module,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=build,
            test_dir=directory,
            results_xml=str(results),
            seed=options.seed(),
            test_filter=os.environ.get("COCOTB_TEST_FILTER", test_filter),  # scripts/mutate --only
            extra_env=environment,
            timescale=_TIMESCALE,
            waves=bool(waves),
            test_args=arguments,
            log_file=log,
        )
    except (RuntimeError, SystemExit) as error:
        failure = str(error)
    print(log.read_text() if log.exists() else "", end="")  # pytest shows it if the test fails, or with -s.
    if waves and trace.exists():
        shutil.copyfile(trace, waves)
    passed, failed = _results(results)
    if failed or failure or not passed:
        what = ", ".join(failed) or failure or f"{test_module} has no cocotb test to run"
        raise AssertionError(f"cocotb on {sim}, {top}: {what}")


def _runner(sim):
    """cocotb's runner for a simulator; the tools are looked for when it is made."""
    if sim not in options.SIMULATORS:
        raise ValueError(f"The simulator must be one of {', '.join(options.SIMULATORS)}, not {sim!r}")
    if sim == "icarus" and shutil.which("iverilog") is None:
        raise verilator.ToolError("Icarus Verilog is not installed: apt-get install iverilog")
    runner = cocotb_runner.get_runner(sim)
    runner.log.setLevel("WARNING")
    return runner


def _results(path):
    """Names of the tests that passed, and of those that failed, by the results file."""
    passed, failed = [], []
    if path.exists():
        for case in xml.etree.ElementTree.parse(path).iter("testcase"):
            if case.find("skipped") is None:
                bad = case.find("failure") is not None or case.find("error") is not None
                (failed if bad else passed).append(case.get("name"))
    return passed, failed


def _tail(text, lines=40):
    return "\n".join(text.splitlines()[-lines:])
