# SPDX-License-Identifier: Apache-2.0
"""The comparison of logits notices the smallest thing: one wrong bit in one of the array's processing elements.

`scripts/mutate` asks the same of the testbenches of single blocks, for many places.
"""

import difflib
import re

import numpy as np
import pytest

from tepin_host.compiler import Request, compile_model
from tepin_host.simulation import build_simulator, chip_verilog
from tepin_testbench.random_model import random_model
from verification.testbenches.chip.runs import TINY, assert_same, reference, rtl

# The element at the end of a column: sums pass it last.
ROW, COLUMN, BIT = TINY.rows - 1, TINY.columns - 3, 3


def invert_product_bit(text, row, column, bit):
    """Verilog of a chip whose array adds a product with one bit inverted, in one of its elements.

    Raises `ValueError` unless there is exactly one array, with exactly one place where that product is added.
    """
    arrays = re.findall(r"^module \w*_matmul_array\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    if len(arrays) != 1:
        raise ValueError(f"there are {len(arrays)} array modules")
    name = f"product_{row}_{column}"
    width = re.findall(rf"^\s*reg \[(\d+):0\] {name}\b", arrays[0], re.MULTILINE)
    if len(width) != 1 or int(width[0]) < bit:
        raise ValueError(f"there is no register {name} with a bit {bit} in the array")
    bits = int(width[0]) + 1
    mutant, count = re.subn(
        rf"\$signed\({name}\)(?= \+ \$signed\(sum_)",
        f"$signed({name} ^ {bits}'d{1 << bit})",
        arrays[0],
    )
    if count != 1:
        raise ValueError(f"{name} is added in {count} places")
    return text.replace(arrays[0], mutant)


def test_the_mutant_differs_in_one_line():
    text = chip_verilog(TINY)
    mutant = invert_product_bit(text, ROW, COLUMN, BIT)
    lines = difflib.unified_diff(text.splitlines(), mutant.splitlines(), n=0, lineterm="")
    changes = [line for line in lines if re.match(r"[+-][^+-]", line)]
    assert len(changes) == 2, changes
    assert "product_1_5 ^ 16'd8" in changes[1]


@pytest.mark.parametrize(
    "pattern, replacement, message",
    [
        ("_matmul_array", "_matmul_grid", "there are 0 array modules"),
        ("product_1_5", "output_1_5", "there is no register product_1_5 with a bit 3 in the array"),
        (r"\+ \$signed\(sum_0_5", r"- $signed(sum_0_5", "product_1_5 is added in 0 places"),
    ],
    ids=["array", "register", "sum"],
)
def test_a_place_that_is_not_found_is_an_error(pattern, replacement, message):
    with pytest.raises(ValueError, match=message):
        invert_product_bit(re.sub(pattern, replacement, chip_verilog(TINY)), 1, 5, 3)


@pytest.mark.slow
def test_one_wrong_bit_in_one_element_changes_the_logits(seed):
    executable = compile_model(random_model(seed), TINY)
    request = Request([1, 7], 4, stop=())
    expected = reference(executable, request)
    good = rtl(executable, request)
    assert_same(good, expected)
    mutant = invert_product_bit(chip_verilog(TINY), ROW, COLUMN, BIT)
    bad = rtl(executable, request, library=build_simulator(TINY, text=mutant))
    assert bad.report.logits_sha256 != good.report.logits_sha256
    # It is the numbers that are wrong, not the order of things.
    assert bad.report.busy_cycles == good.report.busy_cycles
    assert np.isfinite(bad.logits).all()
    with pytest.raises(AssertionError):
        assert_same(bad, expected)
