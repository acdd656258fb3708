# SPDX-License-Identifier: Apache-2.0
"""Control: the sequencer, the engines' command interface, host registers."""
