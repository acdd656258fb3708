# SPDX-License-Identifier: Apache-2.0
"""The compiler: a model and a chip configuration become a program and a memory image.

`plan` decides where everything lies, `image` fills the memory, `llama` and its parts write the program, `executable` holds
the result and stores it in a directory.
"""

from tepin_host.compiler.compile import compile_chips, compile_model
from tepin_host.compiler.executable import Executable, Request

__all__ = ["Executable", "Request", "compile_chips", "compile_model"]
