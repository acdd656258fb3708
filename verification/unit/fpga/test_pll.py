# SPDX-License-Identifier: Apache-2.0
"""The PLL solver: legal settings, the nearest frequency, the asked phase."""

from fractions import Fraction

import pytest

from tepin_fpga.pll import Pll, solve_pll

MHZ = 1_000_000


@pytest.mark.parametrize("output", [50, 75, 80, 100, 105, 110, 125, 150])
def test_frequencies_that_can_be_had_exactly(output):
    pll = solve_pll(25 * MHZ, output * MHZ)
    assert pll.output_hz == output * MHZ
    assert pll.phase == 0


def test_settings_are_legal_and_the_nearest(rng):
    for _ in range(8):
        source, wanted = int(rng.integers(25, 51)) * MHZ, int(rng.integers(20 * MHZ, 300 * MHZ))
        pll = solve_pll(source, wanted)
        assert 3_125_000 <= Fraction(source, pll.reference_divider) <= 400 * MHZ
        assert 400 * MHZ <= pll.vco_hz <= 800 * MHZ
        assert {pll.reference_divider, pll.feedback_divider, pll.output_divider} <= set(range(1, 129))
        assert pll.output_hz == Fraction(source * pll.feedback_divider, pll.reference_divider)
        # Any output up to 400 MHz has a divider that puts the VCO into its range.
        pfds = [source / reference for reference in range(1, source // 3_125_000 + 1)]
        nearest = min(abs(pfd * feedback - wanted) for pfd in pfds for feedback in range(1, 129))
        assert abs(pll.output_hz - wanted) == pytest.approx(nearest, abs=1e-3), (source, wanted)


@pytest.mark.parametrize("phase", [0, 45, 90, 180, 270, 292.5, 359])
def test_phase_is_within_half_a_step(phase):
    pll = solve_pll(25 * MHZ, 100 * MHZ, phase=phase)
    distance = abs(pll.phase - phase)
    assert min(distance, 360 - distance) <= 360 / (8 * pll.output_divider) / 2
    parameters = pll.parameters()
    late = 8 * (parameters["CLKOS_CPHASE"] - parameters["CLKOP_CPHASE"]) + parameters["CLKOS_FPHASE"]
    assert late == pll.phase_steps and parameters["CLKOP_FPHASE"] == 0
    assert parameters["CLKOS_CPHASE"] <= 127


def test_parameters():
    pll = Pll(input_hz=25 * MHZ, reference_divider=1, feedback_divider=4, output_divider=6, phase_steps=36)
    assert (pll.vco_hz, pll.phase) == (600 * MHZ, 270)
    assert pll.parameters() == {
        "CLKI_DIV": 1,
        "CLKFB_DIV": 4,
        "FEEDBK_PATH": "CLKOP",
        "CLKOP_ENABLE": "ENABLED",
        "CLKOP_DIV": 6,
        "CLKOP_CPHASE": 5,
        "CLKOP_FPHASE": 0,
        "CLKOS_ENABLE": "ENABLED",
        "CLKOS_DIV": 6,
        "CLKOS_CPHASE": 9,
        "CLKOS_FPHASE": 4,
    }


@pytest.mark.parametrize(
    "source, output, phase, message",
    [
        (25, 3, 0, "A PLL makes 5 to 400 MHz, not 3 MHz"),
        (25, 401, 0, "A PLL makes 5 to 400 MHz, not 401 MHz"),
        (25, 100, 360, "A phase is 0 to 360 degrees (excluded), not 360"),
        (25, 100, -1, "A phase is 0 to 360 degrees (excluded), not -1"),
        (8, 21, 0, "No PLL setting makes 21 MHz from 8 MHz"),
    ],
)
def test_init_wrong_arguments(source, output, phase, message):
    with pytest.raises(ValueError) as error:
        solve_pll(source * MHZ, output * MHZ, phase=phase)
    assert str(error.value) == message
