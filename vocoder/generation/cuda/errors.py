"""GPU failures as typed one-line errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vocoder.errors import EngineError


@contextmanager
def device_errors(device: torch.device, what: str) -> Iterator[None]:
    """Turn the device's exceptions into an :class:`EngineError` of one line.

    Args:
        device: where the work runs.
        what: the work, as in "the queues of 8 streams".

    Raises:
        EngineError: the device ran out of memory or shared memory, or failed.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise EngineError(
            f"{device} has too little memory for {what}: use fewer streams or a smaller chunk"
        ) from None
    except torch.AcceleratorError as error:
        reason = str(error).splitlines()[0]
        raise EngineError(
            f"{device} failed at {what} ({reason}): its streams are lost, and the process must be "
            "restarted"
        ) from error
    except Exception as error:
        # Triton's own type, compared by name so that Triton is not imported here.
        if type(error).__name__ != "OutOfResources":
            raise
        raise EngineError(f"too wide for {device}: {error}", param="engine") from error
