# SPDX-License-Identifier: Apache-2.0
"""The subcommands ``tepin build`` and ``tepin boards``."""
