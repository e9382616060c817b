"""How far apart two ways of computing the same thing may be: one table for all tests."""

STEP_AGAINST_PARALLEL = 2e-5
"""Distribution parameters of the incremental step and of the parallel forward, both float32, of
order 1: accumulated rounding of sums in another order, over all layers."""

STATE_AGAINST_PARALLEL = 2e-5
"""Residual activations in the queues, likewise."""


def assert_close(found, expected, tolerance: float) -> None:
    """Fail unless shapes agree and no element differs by more, NaN included."""
    assert found.shape == expected.shape, (found.shape, expected.shape)
    difference = (found.double() - expected.double()).abs()
    assert not difference.isnan().any(), "NaN"
    assert difference.max() <= tolerance, (
        f"differs by {difference.max():.3g}, limit {tolerance:.3g}"
    )
