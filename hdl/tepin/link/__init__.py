# SPDX-License-Identifier: Apache-2.0
"""From chip to chip: words over wires that make errors, each delivered once and in order."""
