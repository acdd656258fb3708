# SPDX-License-Identifier: Apache-2.0
"""What `tepin verilog` writes, in a directory."""

from tepin.config import PRESETS
from tepin_host.export import export

__all__ = ["written"]


def written(directory, top, **options):
    """Fills the directory with a top of the preset `tiny`; returns it."""
    for name, text in export(PRESETS["tiny"], top, **options).items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    return directory
