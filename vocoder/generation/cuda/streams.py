"""Several chunks in flight: while one chunk's audio is copied and delivered, others are generated.

Each thread that generates takes a lane, which on a GPU is a CUDA stream of its own. What orders
what, there:
    - What a chunk reads and was made elsewhere (conditioning, weights, a new state) was enqueued on
      the thread's current stream before the lane is entered. The lane waits for that stream.
    - Two chunks in flight advance different rows, so that lanes need no order among them. A row's
      next chunk is begun after its last one has been left, whichever lanes they take; a lane is
      left when its audio is on the host, and the copy is the last thing in its stream.
    - Memory of a lane's own is used again by that lane alone, in the order of its stream. Memory
      of others (conditioning) is held by the caller until the lane is left; where that is by an
      exception, the lane ends its work first.
The host waits nowhere but for the copy of the audio.
"""

import contextlib
import queue
from collections.abc import Iterator

import torch
from torch import Tensor

from vocoder.generation.cuda.errors import explained


class Lanes:
    """As many lanes of a device as chunks may be in flight. On the CPU there is nothing to do."""

    def __init__(self, device: torch.device, count: int) -> None:
        """Make the streams; there are no more of them, for each keeps memory of its own."""
        self._device = device
        self._on_gpu = device.type == "cuda"
        # The one used last is taken first: others keep little memory where it is seldom busy.
        self._free: queue.LifoQueue[torch.cuda.Stream] = queue.LifoQueue()
        for _ in range(count if self._on_gpu else 0):
            self._free.put(torch.cuda.Stream(device))

    @contextlib.contextmanager
    def enter(self) -> Iterator[None]:
        """Do this thread's work in a lane of its own; wait for one where none is free."""
        if not self._on_gpu:
            yield
            return
        stream = self._free.get()
        try:
            stream.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(stream):
                yield
        except BaseException:
            with contextlib.suppress(Exception):  # A lost device has no work to end.
                stream.synchronize()
            raise
        finally:
            self._free.put(stream)

    def to_device(self, tensor: Tensor) -> Tensor:
        """A tensor of the host on the device, without waiting for it."""
        if not self._on_gpu:
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def to_host(self, tensor: Tensor) -> Tensor:
        """The last result of a lane on the host, once it is there.

        Raises:
            EngineError: the device failed; what is wrong with a chunk shows only here.
        """
        if not self._on_gpu:
            return tensor
        with explained(self._device, "generating audio"):
            found = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            found.copy_(tensor, non_blocking=True)
            # Waiting is sleep: the processor has other streams' text and audio to see to.
            copied = torch.cuda.Event(blocking=True)
            copied.record()
            copied.synchronize()
        return found
