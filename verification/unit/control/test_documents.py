# SPDX-License-Identifier: Apache-2.0
"""Documents that are made from the definitions: the committed ones are up to date, and all of them are complete."""

import re
import subprocess
from pathlib import Path

import pytest

from tepin import documents, isa
from tepin.control.registers import COUNTERS, REGISTERS, register
from tepin.isa import COMMANDS, ErrorCode, ScalarOp
from tepin.program import present_fields

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    "name, text", [("isa.md", documents.isa_markdown), ("registers.md", documents.registers_markdown)]
)
def test_documents_are_up_to_date(name, text):
    assert (DOCS / name).read_text() == text(), "run `python -m tepin.documents docs`"


def test_isa_document_names_everything():
    text = documents.isa_markdown()
    for op in ScalarOp:
        assert f"| {op.value} | `{op.name}` |" in text
    for command in COMMANDS.values():
        for field in command.fields:
            assert f"| `{field.name}` | {field.doc} |" in text
        for name, _ in command.flags.as_shape():
            assert f"`{name}`" in text
    assert "rd = rs + b" in text, "comments of the definition are taken over"
    assert f"Version {isa.ISA_VERSION}." in text


@pytest.mark.parametrize("engine", list(COMMANDS), ids=lambda engine: engine.name)
def test_documented_conditions_hold(engine, rng):
    """The column `present` says when a field is there; it is compared with the definition on random flags."""
    command = COMMANDS[engine]
    rows = re.search(rf"^## {engine.name}\n(.*?)^##", documents.isa_markdown(), re.M | re.S)[1]
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", rows, re.M)[1:]
    assert [name for name, _ in rows] == [field.name for field in command.fields]
    for _ in range(200):
        bits = int(rng.integers(1 << 28))
        flags = command.flags.from_bits(bits)
        try:
            values = {name: getattr(flags, name) for name, _ in command.flags.as_shape()}
        except ValueError:  # not a member of an enumeration
            continue
        documented = [name for name, condition in rows if holds(condition, values)]
        assert documented == present_fields(engine, bits)


def holds(condition, values):
    if condition == "always":
        return True
    if match := re.fullmatch(r"`(\w+)` at least (\d)", condition):
        return int(values[match[1]]) >= int(match[2])
    if match := re.fullmatch(r"(unless )?`(\w+)` is `(\w+)`", condition):
        return (values[match[2]].name == match[3]) != bool(match[1])
    return bool(int(values[re.fullmatch(r"`(\w+)`", condition)[1]]))


def test_registers_do_not_overlap():
    offsets = [entry.offset for entry in REGISTERS]
    assert offsets == sorted(set(offsets))
    assert all(offset % 4 == 0 and offset < 1 << 16 for offset in offsets)
    names = [entry.name for entry in REGISTERS]
    assert len(set(names)) == len(names)
    for entry in REGISTERS:
        assert entry.access in ("ro", "rw", "wo")
        masks = [field.mask for field in entry.fields]
        assert sum(masks) == sum(set(masks)) and sum(masks) < 1 << 32
        for one in masks:
            assert sum(bool(one & other) for other in masks) == 1
    for name, _ in COUNTERS:
        assert register(f"{name}_HI").offset == register(f"{name}_LO").offset + 4


def test_header_compiles_and_agrees(tmp_path):
    lines = ['#include "registers.h"', "#include <stdio.h>", "int main(void) {"]
    names = [entry.name for entry in REGISTERS]
    expected = [entry.offset for entry in REGISTERS]
    for entry in REGISTERS:
        for field in entry.fields:
            names.append(f"{entry.name}_{field.name.upper()}_MASK")
            expected.append(field.mask)
    for code in ErrorCode:
        names.append(f"CODE_{code.name}")
        expected.append(code.value)
    names += ["EXPECTED_ID", "EXPECTED_CONFIG_HASH"]
    expected += [register("ID").reset, 0xABCD1234]
    lines += [f'  printf("%u\\n", (unsigned)TEPIN_{name});' for name in names]
    (tmp_path / "main.c").write_text("\n".join([*lines, "  return 0;", "}", ""]))
    (tmp_path / "registers.h").write_text(documents.registers_header(config_hash=0xABCD1234))
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", "main", "main.c"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    assert [int(line) for line in printed.split()] == expected
