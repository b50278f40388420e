"""Runs GGUF models with llama.cpp behind a native and an OpenAI-compatible API."""

from importlib.metadata import version

__version__ = version("cerebrum-inference")
