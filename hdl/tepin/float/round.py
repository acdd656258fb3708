# SPDX-License-Identifier: Apache-2.0
"""The end of every pipeline whose result is a floating-point number."""

from amaranth.hdl import Cat, Const, Mux

from tepin.float.pipeline import wire

__all__ = ["round_and_pack"]


def round_and_pack(m, format, *, sign, exponent, value, zero=0, infinity=0, nan=0):
    """Round to nearest even and encode. One stage of logic, not registered.

    Parameters
    ----------
    sign : Value
        Sign of the result, also of a zero or an infinity.
    exponent : Value
        Signed biased exponent of the leading one of `value`. Zero or less gives zero, before rounding.
    value : Value
        The exact significand, its leading one on top, at least one bit longer than the format's precision. Its bit 0
        may stand for any number of lower bits that are not all zero.
    zero, infinity, nan : Value
        What the result is instead; `nan` goes before `infinity`, that before `zero`.
    """
    fraction = value[-format.precision : -1]
    guard = value[-format.precision - 1]
    sticky = value[: -format.precision - 1].any()
    increment = wire(m, "round_increment", guard & (sticky | fraction[0]))
    # The exponent has often just been subtracted; so these look at its bits, rather than subtract once more.
    exponent = wire(m, "round_exponent", exponent)
    low, high = exponent[: format.exponent_width], exponent[format.exponent_width :]
    too_large = (exponent >= 0) & (high.any() | (low == format.top_exponent))
    too_small = (exponent < 0) | ~exponent.any()
    # A carry out of the fraction counts the exponent up and leaves a fraction of zero, as it should, up to infinity.
    rounded = (Cat(fraction, low) + increment)[: format.width - 1]
    bounded = Mux(too_large, format.infinity, rounded)
    nonzero = Mux(zero | too_small, 0, bounded)
    magnitude = Mux(infinity, format.infinity, nonzero)[: format.width - 1]
    return Mux(nan, Const(format.nan, format.width), Cat(magnitude, sign))
