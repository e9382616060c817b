"""What can go wrong on a GPU, as an error that says so."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vocoder.errors import EngineError


@contextmanager
def explained(device: torch.device, what: str) -> Iterator[None]:
    """Turn the device's failures into one line.

    Args:
        device: where the work is done.
        what: it is: "the queues of 8 streams".

    Raises:
        EngineError: the device has too little memory or shared memory for it, or was lost.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise EngineError(
            f"{device} has too little memory for {what}: take fewer streams or a smaller chunk"
        ) from None
    except torch.AcceleratorError as error:
        reason = str(error).splitlines()[0]
        raise EngineError(
            f"{device} failed at {what} ({reason}): what its streams had is lost, and the process "
            "must be started again"
        ) from error
    except Exception as error:
        # Triton's own type; to name it here would be to load Triton.
        if type(error).__name__ != "OutOfResources":
            raise
        raise EngineError(f"too wide for {device}: {error}", param="engine") from error
