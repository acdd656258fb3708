# SPDX-License-Identifier: Apache-2.0
"""Softmax, norms and activation functions as components of their own: streams in, streams out."""
