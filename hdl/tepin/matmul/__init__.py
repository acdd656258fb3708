# SPDX-License-Identifier: Apache-2.0
"""The matmul engine: weight stream in, float32 results out.

Data flows `requests` -> `weight_reader` -> `gearbox` -> `dequantiser` (together the `decoder`) -> `array`, where it
meets what `activations` reads -> `accumulator` -> `drain` -> `write_combiner`. `engine` is all of it.
"""
