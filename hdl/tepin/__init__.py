# SPDX-License-Identifier: Apache-2.0
"""The Tepin chip: Amaranth components only. Knows nothing of models, compilers or boards."""
