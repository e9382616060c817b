"""Triton's interpreter, made faster and made to round as a GPU does."""

import importlib.util
from typing import Any

import numpy as np

_prepared: set[str] = set()


def _prepare_once() -> None:
    """Let functions called from a kernel prepare the language once instead of in every call.

    The kernel's launch has done it already, except for Triton's own library. Repeating it takes
    most of the interpreter's time.
    """
    from triton.runtime import interpreter

    def call(self: interpreter.InterpretedFunction, *args: Any, **kwargs: Any) -> Any:
        if self.fn.__module__ not in _prepared:
            interpreter._patch_lang(self.fn)
            _prepared.add(self.fn.__module__)
        return self.rewrite()(*args, **kwargs)

    interpreter.InterpretedFunction.__call__ = call


def _sum_products_in_order() -> None:
    """Let ``tl.dot`` round each row alike, wherever in the tile the row stands, as a GPU does.

    The interpreter multiplies by NumPy's BLAS. Its kernels for some processors (OpenBLAS's for
    AVX2) sum the last rows of a tile in another order than the first, so that a stream's audio
    would depend on its place in the batch.
    """
    from triton.runtime import interpreter

    def create_dot(_: object, a: Any, b: Any, d: Any, *__: object) -> Any:
        total = np.zeros_like(d.data)
        for column, row in zip(a.data.T, b.data, strict=True):
            total += np.multiply.outer(column, row, dtype=total.dtype)
        return interpreter.TensorHandle(total + d.data, d.dtype.scalar)

    interpreter.InterpreterBuilder.create_dot = create_dot


if importlib.util.find_spec("triton"):
    _prepare_once()
    _sum_products_in_order()
