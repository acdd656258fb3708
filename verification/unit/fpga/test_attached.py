# SPDX-License-Identifier: Apache-2.0
"""Which of the plugged-in USB devices are boards, and who may use them."""

from types import SimpleNamespace

import pytest

from tepin_fpga import attached
from tepin_fpga.attached import Attached, attached_boards, permission_help
from tepin_fpga.board import all_boards


def port(device, vid=0x0403, pid=0x6015, product="ULX3S FPGA 85K v3.0.3", serial="D00083"):
    return SimpleNamespace(device=str(device), vid=vid, pid=pid, product=product, serial_number=serial)


@pytest.fixture
def device(tmp_path):
    path = tmp_path / "ttyUSB0"
    path.write_text("")
    return path


def test_board_is_told_by_its_product_string(device):
    boards = all_boards().values()
    found = attached_boards(boards, [port(device), port(device, product="ULX3S FPGA 12K v3.0.3")])
    assert found == [
        Attached("ulx3s-85f", str(device), "D00083", True),
        Attached("ulx3s-12f", str(device), "D00083", True),
    ]


def test_other_devices_are_no_boards(device):
    others = [
        port(device, vid=0x10C4, pid=0xEA60),
        port(device, product="FT231X USB UART"),
        port(device, vid=None, pid=None, product=None, serial=None),
    ]
    assert attached_boards(all_boards().values(), others) == []


def test_permission(monkeypatch, device):
    monkeypatch.setattr(attached.os, "access", lambda path, mode: False)
    (found,) = attached_boards(all_boards().values(), [port(device, serial=None)])
    assert (found.permitted, found.serial) == (False, "")


def test_permission_help(monkeypatch, tmp_path, device):
    import grp
    import os

    group = grp.getgrgid(os.stat(device).st_gid).gr_name
    assert permission_help(device) == f"run 'sudo usermod -a -G {group} $USER' and log in again"
    assert "-G dialout " in permission_help(tmp_path / "gone")
