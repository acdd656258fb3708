# SPDX-License-Identifier: Apache-2.0
"""The host's side of Tepin: from a model file to tokens.

In the order in which data flows:

* `tepin_host.models` reads model files, `tepin_host.tokenizer` turns text into tokens and back;
* `tepin_host.quantize` turns float weights into the integers that the chip multiplies;
* `tepin_host.layout` puts them in the order in which the chip consumes them;
* `tepin_host.cli` is the command ``tepin``, whose subcommands live in `tepin_host.commands`.
"""
