"""DIBS: measure retrieval and RAG on your own domain."""

__version__ = "0.1.0"
