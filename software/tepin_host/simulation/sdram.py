# SPDX-License-Identifier: Apache-2.0
"""The SDRAM controller and the model of its part, as a memory for the chip's compiled simulation."""

from pathlib import Path

from tepin.memory.sdram_axi import AXI4Sdram
from tepin.memory.sdram_parts import PARTS
from tepin_host.errors import UserError
from tepin_host.simulation.build import cached_verilog

__all__ = ["WRAPPER", "SdramMemory", "model_files"]

WRAPPER = Path(__file__).with_name("sdram_memory.sv")
"""The module `sdram_memory`: controller and part as an AXI4 slave."""

_MODULE = "sdram_controller"


def model_files(parameters):
    """What a wrapper includes, by name: the parameters of its instance of the model, a dict."""
    lines = (f"    .{name}({value})" for name, value in parameters.items())
    return {"sdram_parameters.svh": ",\n".join(lines) + "\n"}


class SdramMemory:
    """What `build_simulator` puts in place of its own memory.

    Parameters
    ----------
    part : str
        One of `tepin.memory.sdram_parts.PARTS`, as wide as the chip's port.
    clock_hz : int
        Frequency of the clock, that of the chip.

    Raises
    ------
    UserError
        If the package with the model of the part is not installed.
    """

    def __init__(self, part="ulx3s", clock_hz=100_000_000):
        try:
            from tepin_testbench.models import sdram as model
        except ImportError as error:
            raise UserError(f"the model of the SDRAM is not installed: {error}") from error
        self.name = part
        self.part = PARTS[part]
        self.clock_hz = clock_hz
        self.timing = self.part.timing(clock_hz)
        self._source = model.SOURCE
        self.violations = model.VIOLATIONS
        self._parameters = model.model_parameters(self.part, self.timing)

    @property
    def files(self):
        """What the wrapper includes, by name."""
        return model_files(self._parameters)

    @property
    def models(self):
        """Verilog beside the controller's."""
        return (WRAPPER, self._source)

    @property
    def defines(self):
        """Macros of the harness."""
        return {
            "SDRAM": 1,
            "BANK_BITS": self.part.bank_bits,
            "ADDRESS_WIDTH": self.part.address_width,
        }

    @property
    def postponed(self):
        """REFRESH commands that the controller owes at most."""
        return self.timing.postponed

    def refresh_cycles(self, refreshes):
        """Cycles that so many REFRESH commands take, in bundles as large as they may be."""
        return refreshes * (self.timing.rfc + self.timing.rp / self.postponed)

    @property
    def timing_share(self):
        """Of the cycles, how many bundles of refreshes leave for data."""
        return 1 - self.refresh_cycles(1) / self.timing.refresh_interval

    def verilog(self, progress=None):
        """The controller, from the cache if nothing has changed."""
        description = [self.name, self.clock_hz]
        make = lambda: AXI4Sdram(part=self.part, clock_hz=self.clock_hz)  # noqa: E731
        return cached_verilog(_MODULE, description, make, progress=progress)

    def refreshes_due(self, cycles):
        """REFRESH commands that the part needs in so many cycles, rounded down."""
        return cycles * self.part.refreshes // self.timing.refresh_window
