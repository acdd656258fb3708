# SPDX-License-Identifier: Apache-2.0
"""What a traced run looks like: a file for Perfetto, a picture of a token."""

from tepin_host.trace.perfetto import perfetto
from tepin_host.trace.plot import plot
from tepin_host.trace.timeline import Slice, Timeline

__all__ = ["Slice", "Timeline", "perfetto", "plot"]
