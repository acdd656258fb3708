# SPDX-License-Identifier: Apache-2.0
"""The PLL of the ECP5: dividers and phase for a clock.

    input / reference_divider = PFD clock = output / feedback_divider        3.125 to 400 MHz
    VCO = output * output_divider                                            400 to 800 MHz

The feedback is taken from the first output, so that this one stands still relative to the input. The second output has
the same frequency and is late by `phase` degrees, in steps of an eighth of a VCO period.
"""

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Pll", "solve_pll"]

_MOST_DIVIDER = 128
_PFD_HZ = 3_125_000, 400_000_000
_VCO_HZ = 400_000_000, 800_000_000
_OUTPUT_HZ = 5_000_000, 400_000_000  # the hardware could do 3.125 MHz, with a slower VCO
_STEPS = 8  # of phase in a VCO period


@dataclass(frozen=True, kw_only=True)
class Pll:
    """Settings of an EHXPLLL.

    Members
    -------
    input_hz : int
    reference_divider, feedback_divider, output_divider : int
        CLKI_DIV, CLKFB_DIV, CLKOP_DIV (which is CLKOS_DIV as well).
    phase_steps : int
        By how many eighths of a VCO period the second output is late.
    """

    input_hz: int
    reference_divider: int
    feedback_divider: int
    output_divider: int
    phase_steps: int = 0

    @property
    def output_hz(self):
        """Frequency of both outputs, a `Fraction`."""
        return Fraction(self.input_hz * self.feedback_divider, self.reference_divider)

    @property
    def vco_hz(self):
        """Frequency of the oscillator, a `Fraction`."""
        return self.output_hz * self.output_divider

    @property
    def phase(self):
        """Degrees by which the second output is late."""
        return 360 * self.phase_steps / (_STEPS * self.output_divider)

    def parameters(self):
        """Parameters of the primitive."""
        # An output divider that starts at its highest count gives phase zero; a higher start means a later edge.
        zero = self.output_divider - 1
        return {
            "CLKI_DIV": self.reference_divider,
            "CLKFB_DIV": self.feedback_divider,
            "FEEDBK_PATH": "CLKOP",
            "CLKOP_ENABLE": "ENABLED",
            "CLKOP_DIV": self.output_divider,
            "CLKOP_CPHASE": zero,
            "CLKOP_FPHASE": 0,
            "CLKOS_ENABLE": "ENABLED",
            "CLKOS_DIV": self.output_divider,
            "CLKOS_CPHASE": zero + self.phase_steps // _STEPS,
            "CLKOS_FPHASE": self.phase_steps % _STEPS,
        }


def solve_pll(input_hz, output_hz, *, phase=0):
    """The settings whose output is nearest to `output_hz`.

    Of equally near ones the lower frequency is taken, then the fastest phase detector, which has the least jitter. The VCO
    runs near the middle of its range.

    Parameters
    ----------
    input_hz, output_hz : int
        The output is 5 to 400 MHz.
    phase : number
        Of the second output, degrees, 0 to 360 (excluded), rounded to what the PLL can do.

    Raises
    ------
    ValueError
        If the output is out of range, or cannot be reached within 2 %.
    """
    if not _OUTPUT_HZ[0] <= output_hz <= _OUTPUT_HZ[1]:
        raise ValueError(f"A PLL makes 5 to 400 MHz, not {output_hz / 1e6:g} MHz")
    if not 0 <= phase < 360:
        raise ValueError(f"A phase is 0 to 360 degrees (excluded), not {phase:g}")
    solutions = []
    for reference in range(1, _MOST_DIVIDER + 1):
        pfd = Fraction(input_hz, reference)
        if not _PFD_HZ[0] <= pfd <= _PFD_HZ[1]:
            continue
        for feedback in {int(output_hz / pfd), int(output_hz / pfd) + 1}:
            hz = pfd * feedback
            if not (1 <= feedback <= _MOST_DIVIDER and _OUTPUT_HZ[0] <= hz <= _OUTPUT_HZ[1]):
                continue
            # There is a divider for every such output: the VCO's range is an octave.
            divider = round(Fraction(sum(_VCO_HZ), 2) / hz)
            rank = abs(hz - output_hz), hz, reference
            solutions.append((rank, reference, feedback, divider))
    if not solutions or min(solutions)[0][0] > output_hz / 50:
        raise ValueError(f"No PLL setting makes {output_hz / 1e6:g} MHz from {input_hz / 1e6:g} MHz")
    _, reference, feedback, divider = min(solutions)
    return Pll(
        input_hz=input_hz,
        reference_divider=reference,
        feedback_divider=feedback,
        output_divider=divider,
        phase_steps=round(Fraction(phase) / 360 * divider * _STEPS) % (divider * _STEPS),
    )
