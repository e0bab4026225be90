"""DIBS: measure retrieval and RAG on your own domain.

    import dibs

    result = dibs.run(model="bm25", task="DocsQA-Sample")
    result.table()

What is named in `__all__` is the Python API; it is loaded when it is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dibs.api import load, models, run, tasks
    from dibs.errors import DamagedError, DibsError, InputError, MissingError, ProviderError
    from dibs.records import Record
    from dibs.result import Result

__version__ = "0.1.0"
__all__ = [
    "DamagedError",
    "DibsError",
    "InputError",
    "MissingError",
    "ProviderError",
    "Record",
    "Result",
    "__version__",
    "load",
    "models",
    "run",
    "tasks",
]

_HOME = dict.fromkeys(("load", "models", "run", "tasks"), "api")
_HOME |= {name: "errors" for name in __all__ if name.endswith("Error")}
_HOME |= {"Record": "records", "Result": "result"}

if not TYPE_CHECKING:  # a type checker is to know these names alone

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"dibs.{_HOME[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
