# SPDX-License-Identifier: Apache-2.0
"""The demo model: corpus, tokenizer, network, training and model card.

``scripts/train_demo.py`` runs these in that order. Only ``network`` and ``training`` import torch.
"""
