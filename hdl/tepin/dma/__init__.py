# SPDX-License-Identifier: Apache-2.0
"""DMA: one AXI4 master with three engines, for weights, general loads and stores."""
