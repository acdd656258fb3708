# SPDX-License-Identifier: Apache-2.0
"""Memories: the scratchpad and, later, controllers of external memory."""
