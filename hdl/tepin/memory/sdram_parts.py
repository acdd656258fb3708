# SPDX-License-Identifier: Apache-2.0
"""SDR SDRAM parts: geometry and timing by the names of the datasheets, and what becomes of them at a clock."""

from dataclasses import dataclass

__all__ = ["BURST", "PARTS", "SdramPart", "SdramTiming"]

BURST = 2
"""Words of a read burst, as the mode register is programmed; writes are single words."""

_MOST_POSTPONED = 8


@dataclass(frozen=True, kw_only=True)
class SdramPart:
    """A part, or several parts of one footprint that a board may carry: then the slowest of each figure.

    Members
    -------
    data_width : int
        Bits of a word: 8, 16 or 32.
    bank_bits, row_bits, column_bits : int
        log2 of banks, of rows per bank and of words per row. Words are ordered by row, bank, column.
    t_rcd, t_rp, t_ras, t_rc, t_rfc, t_rrd, t_wr : float
        ACTIVATE to READ or WRITE, PRECHARGE to ACTIVATE, ACTIVATE to PRECHARGE, ACTIVATE to ACTIVATE of one bank,
        REFRESH to any command, ACTIVATE to ACTIVATE of two banks, last written word to PRECHARGE; ns, at least.
    t_ras_max : float
        Longest time for which a row may stay open, ns.
    t_mrd : int
        MODE REGISTER SET to any command, cycles, at least 2.
    refreshes, t_ref : int, float
        So many REFRESH commands in each such time, ns.
    t_init : float
        Stable clock before the first command, ns.
    cas_hz : dict from int to int
        Highest clock for each CAS latency, Hz.
    """

    data_width: int
    bank_bits: int
    row_bits: int
    column_bits: int
    t_rcd: float
    t_rp: float
    t_ras: float
    t_rc: float
    t_rfc: float
    t_rrd: float
    t_wr: float
    t_ras_max: float = 100_000
    t_mrd: int = 2
    refreshes: int
    t_ref: float = 64e6
    t_init: float = 200_000
    cas_hz: dict

    @property
    def bytes(self):
        """Capacity."""
        return self.data_width // 8 << (self.bank_bits + self.row_bits + self.column_bits)

    @property
    def address_width(self):
        """Address pins: rows, and columns around A10."""
        return max(self.row_bits, self.column_bits + (self.column_bits > 10), 11)

    def timing(self, clock_hz, *, cas_latency=3, power_up=None):
        """Its figures in cycles of a clock, as `SdramTiming`.

        `power_up` replaces the number of cycles before the first command, to shorten simulations.

        Raises ValueError if the part cannot do that clock with that CAS latency.
        """
        if cas_latency not in self.cas_hz:
            raise ValueError(f"CAS latency must be one of {sorted(self.cas_hz)}, not {cas_latency}")
        if clock_hz > self.cas_hz[cas_latency]:
            most = self.cas_hz[cas_latency]
            raise ValueError(
                f"With a CAS latency of {cas_latency} the clock is at most {most} Hz, not {clock_hz}"
            )

        def cycles(time):
            # In picoseconds: a time that is a whole number of cycles must not be rounded up.
            return max(1, -(-round(time * 1000) * round(clock_hz) // 10**12))

        # The last of `refreshes + 1` commands may come late by all that are postponed, and they take their time:
        # with nine intervals in hand each row is refreshed in time whatever the traffic.
        window = round(self.t_ref * 1000) * round(clock_hz) // 10**12
        interval = window // (self.refreshes + _MOST_POSTPONED + 1)
        longest = round(self.t_ras_max * 1000) * round(clock_hz) // 10**12
        # Refreshing closes all rows, and does so within an interval from when the last one that is postponed falls due.
        postponed = max(1, min(_MOST_POSTPONED, longest // interval - 1))
        return SdramTiming(
            rcd=cycles(self.t_rcd),
            rp=cycles(self.t_rp),
            ras=cycles(self.t_ras),
            rc=cycles(self.t_rc),
            rfc=cycles(self.t_rfc),
            rrd=cycles(self.t_rrd),
            wr=cycles(self.t_wr),
            mrd=self.t_mrd,
            cas=cas_latency,
            refresh_interval=interval,
            refresh_window=window,
            ras_max=longest,
            postponed=postponed,
            power_up=cycles(self.t_init) if power_up is None else power_up,
        )


@dataclass(frozen=True, kw_only=True)
class SdramTiming:
    """A part's figures in clock cycles; names as in `SdramPart`.

    Members
    -------
    cas : int
        CAS latency.
    refresh_interval : int
        Cycles between REFRESH commands, on average.
    refresh_window : int
        Cycles in which all rows must be refreshed.
    postponed : int
        REFRESH commands that are postponed at most, and then come in one bundle.
    power_up : int
        Cycles before the first command.
    """

    rcd: int
    rp: int
    ras: int
    rc: int
    rfc: int
    rrd: int
    wr: int
    mrd: int
    cas: int
    refresh_interval: int
    refresh_window: int
    ras_max: int
    postponed: int
    power_up: int

    @property
    def rtp(self):
        """READ to PRECHARGE of the bank: the strictest of the datasheets, CAS latency + burst - 2."""
        return self.cas + BURST - 2

    @property
    def rtw(self):
        """READ to WRITE: a cycle lies between the burst's last word and the written one, in which nobody drives."""
        return self.cas + BURST + 1


PARTS = {
    # What ULX3S boards carry: IS42S16160G-7, AS4C16M16SA-7 or MT48LC16M16A2-75.
    "ulx3s": SdramPart(
        data_width=16, bank_bits=2, row_bits=13, column_bits=9,
        t_rcd=21, t_rp=21, t_ras=44, t_rc=66, t_rfc=66, t_rrd=15, t_wr=15,
        refreshes=8192, cas_hz={2: 100_000_000, 3: 133_000_000},
    ),
    # What Colorlight i5 boards carry: M12L64322A-7 or EM638325-7.
    "colorlight": SdramPart(
        data_width=32, bank_bits=2, row_bits=11, column_bits=8,
        t_rcd=21, t_rp=21, t_ras=49, t_rc=70, t_rfc=70, t_rrd=14, t_wr=14,
        refreshes=4096, cas_hz={2: 100_000_000, 3: 143_000_000},
    ),
    # In the package of the GW2AR-18 of a Tang Nano 20K. The maker of the die is not told: figures of slow 64 Mbit parts.
    "tangnano20k": SdramPart(
        data_width=32, bank_bits=2, row_bits=11, column_bits=8,
        t_rcd=21, t_rp=21, t_ras=49, t_rc=70, t_rfc=70, t_rrd=14, t_wr=14,
        refreshes=4096, cas_hz={2: 100_000_000, 3: 143_000_000},
    ),
}  # fmt: skip
"""Parts by the name of the board that they are on."""
