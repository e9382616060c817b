"""Tolerances between two computations of the same values, for all tests."""

STEP_AGAINST_PARALLEL = 2e-5
"""Distribution parameters of the incremental step and of the parallel forward, both float32, of
order 1. The sums have different orders; rounding accumulates over all layers."""

STATE_AGAINST_PARALLEL = 2e-5
"""Residual activations in the queues, likewise."""

ENGINE_PARAMETERS = {"fp32": 1e-4, "fp16": 4e-3, "bf16": 2e-2, "int8": 1e-1}
"""Distribution parameters of an engine and of the reference, of order 1, by the weights' format."""

ENGINE_STATE = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 3e-2, "int8": 2e-1}
"""Residual activations in the queues, likewise."""

GATES = 1e-5
"""The conditioning's contribution to the gates, from the GPU's kernel and from PyTorch, both
float32, of order 1."""

DRAW = {"fp32": 1e-4}
"""Largest distance of a draw from the boundary between two outcomes (in probability, or in 16-bit
steps times 1e-3) at which two engines may disagree."""

CORRECTION = 1e-6
"""Samples of the native spectral correction and of NumPy's, both in float64, of order 0.1."""

CONTRAST = 5e-6
"""Log-mel of the native spectral contrast and of NumPy's, both in float64 and rounded to
float32, of order 10."""

PREDICTION = 1e-5
"""Coefficients, gain and level of linear prediction, native and PyTorch's, both float64
internally. Equations of order 256 lose about ten of its sixteen digits."""

NATIVE_CONDITIONING = 1e-5
"""Local conditioning from native code and from PyTorch, both float32, of order 1."""

STACK = {"fp32": 1e-5, "bf16": 1e-2}
"""Outputs of native stacks of convolutions and of PyTorch's layers, of order 1, by the format of
the weights."""

RENDERED_MEL = 0.1
"""Log-mel of the packed acoustic model and of PyTorch's, of order 10, with internal noise of order
1; its decoder and refiner round their weights to bf16."""


def assert_close(found, expected, tolerance: float) -> None:
    """Fail unless the shapes agree and no element is NaN or differs by more than ``tolerance``."""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    difference = (found.double() - expected.double()).abs()
    assert not difference.isnan().any(), "NaN"
    assert difference.max() <= tolerance, (
        f"differs by {difference.max():.3g}, limit {tolerance:.3g}"
    )
