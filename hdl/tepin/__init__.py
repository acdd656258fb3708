# SPDX-License-Identifier: Apache-2.0
"""The Tepin chip as Amaranth components: blocks, and the chip made of them."""
