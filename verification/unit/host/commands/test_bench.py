# SPDX-License-Identifier: Apache-2.0
"""``tepin bench``: what it says and writes, and that wrong results fail."""

import json

from tepin_host import bench
from tepin_host.bench import CheckFailed, Row
from verification.unit.host.commandline import outcome


def fake(say):
    say("measuring")
    yield Row(
        "fake", "a case in words that is so long that no terminal shows it " * 3, "speed", 1.5, "m/s", 3.0
    )
    yield Row("fake", "[red]", "size", 2e6, "bytes")


def wrong(say):
    yield Row("wrong", "case", "speed", 1.0, "m/s")
    raise CheckFailed("case: 1 is not 2")


def test_bench(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "BENCHES", {"fake": fake, "wrong": wrong})
    status, out, err = outcome(capsys, "bench", "fake", "--json", tmp_path / "rows.json")
    assert (status, err) == (0, "measuring\n")
    first, second = json.loads((tmp_path / "rows.json").read_text())
    assert list(first) == ["bench", "case", "metric", "value", "unit", "limit"]
    assert (first["value"], first["limit"], second["limit"]) == (1.5, 3.0, None)
    assert first["case"].strip() in out and "[red]" in out and "2e+06 bytes" in out and "…" not in out


def test_bench_with_wrong_results_fails_and_writes_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "BENCHES", {"wrong": wrong})
    outcome_of_it = outcome(capsys, "bench", "--json", tmp_path / "rows.json")
    assert outcome_of_it == (1, "", "tepin: error: case: 1 is not 2\n")
    assert not list(tmp_path.iterdir())
