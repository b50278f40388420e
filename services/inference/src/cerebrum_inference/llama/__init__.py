"""The only package that calls llama.cpp. Thin: it owns pointers and turns return codes into exceptions.

Everything here may block; callers run it in threads of their own. ctypes releases the interpreter lock during calls.
A `Model` may be used from several threads (weights and vocabulary are read-only); a `Context` by one at a time.
"""

from cerebrum_inference.llama.context import Context
from cerebrum_inference.llama.library import LlamaError
from cerebrum_inference.llama.model import Model
from cerebrum_inference.llama.sampler import Sampler

__all__ = ["Context", "LlamaError", "Model", "Sampler"]
