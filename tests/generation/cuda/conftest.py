"""Triton's interpreter, in less of its time."""

import importlib.util
from typing import Any

_prepared: set[str] = set()


def _hasten() -> None:
    """Have functions called from a kernel prepare the language once, not in every call.

    The kernel's launch has prepared it already, but for Triton's own library; doing it again in
    every call takes most of the time.
    """
    from triton.runtime import interpreter

    def call(self: interpreter.InterpretedFunction, *args: Any, **kwargs: Any) -> Any:
        if self.fn.__module__ not in _prepared:
            interpreter._patch_lang(self.fn)
            _prepared.add(self.fn.__module__)
        return self.rewrite()(*args, **kwargs)

    interpreter.InterpretedFunction.__call__ = call


if importlib.util.find_spec("triton"):
    _hasten()
