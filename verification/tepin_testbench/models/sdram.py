# SPDX-License-Identifier: Apache-2.0
"""The SDRAM model of sdram.sv in an Amaranth design: an instance wired to a controller's pins."""

from pathlib import Path

from amaranth.hdl import ClockSignal, Const, Instance

from tepin.memory.sdram_parts import BURST

__all__ = ["SOURCE", "STRICTER_BITS", "VIOLATIONS", "model_parameters", "sdram_model"]

SOURCE = Path(__file__).with_name("sdram.sv")

VIOLATIONS = (
    "T_RCD", "T_RP", "T_RAS", "T_RC", "T_RFC", "T_RRD", "T_WR", "T_MRD", "T_RTP", "T_CAS", "T_RAS_MAX", "T_POWER_UP",
    "T_REFRESH", "T_TURN", "CLOSED", "OPEN", "INIT", "MASK", "MODE", "DRIVE",
)  # fmt: skip
"""Names of the bits of `violations`."""

STRICTER_BITS = 14
"""Bits of `stricter`: the first ones of these."""


def model_parameters(part, timing):
    """Parameters of the model: the part as the controller was told that it is."""
    return {
        "DATA_WIDTH": part.data_width,
        "BANK_BITS": part.bank_bits,
        "ROW_BITS": part.row_bits,
        "COLUMN_BITS": part.column_bits,
        "ADDRESS_WIDTH": part.address_width,
        "T_RCD": timing.rcd,
        "T_RP": timing.rp,
        "T_RAS": timing.ras,
        "T_RC": timing.rc,
        "T_RFC": timing.rfc,
        "T_RRD": timing.rrd,
        "T_WR": timing.wr,
        "T_MRD": timing.mrd,
        "T_RTP": timing.cas + BURST - 2,
        "T_CAS": timing.cas,
        "T_RAS_MAX": timing.ras_max,
        "T_POWER_UP": timing.power_up,
        "T_REFRESH": timing.refresh_window,
        "REFRESHES": part.refreshes,
    }


def sdram_model(pins, part, timing, *, error, violations=None, stricter=None):
    """An `Instance` of the model.

    Parameters
    ----------
    pins : interface with signature `SdramPins(part)`
        The controller's.
    part, timing : `SdramPart`, `SdramTiming`
    error : Signal
        Goes high, for good, with the first violation.
    violations : Signal, optional
        len(VIOLATIONS) bits: the violations of this cycle.
    stricter : Value, optional
        See the model.
    """
    outputs = {} if violations is None else {"o_violations": violations}
    return Instance(
        "sdram_model",
        *(("p", name, value) for name, value in model_parameters(part, timing).items()),
        i_clk=ClockSignal(),
        i_cke=pins.cke,
        i_cs_n=pins.cs_n,
        i_ras_n=pins.ras_n,
        i_cas_n=pins.cas_n,
        i_we_n=pins.we_n,
        i_ba=pins.ba,
        i_a=pins.a,
        i_dqm=pins.dqm,
        i_dq_o=pins.dq_o,
        i_dq_oe=pins.dq_oe,
        i_stricter=Const(0, STRICTER_BITS) if stricter is None else stricter,
        o_dq_i=pins.dq_i,
        o_error=error,
        **outputs,
    )
