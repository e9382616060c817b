"""Several chunks in flight: one chunk's audio is copied to the host while others are generated.

Each thread that generates runs its chunk on a CUDA stream of its own. The ordering is:
    - A chunk's inputs made elsewhere (conditioning, weights, a new state) were enqueued on the
      thread's current stream before. The chunk's stream waits for that one.
    - Two chunks in flight advance different rows, so their streams need no order between them. A
      row's next chunk starts after its last one has released its stream, whichever streams they
      use. A stream is released when its audio is on the host, and the copy is the last operation
      on it.
    - Memory allocated on a stream is reused by that stream only, in its order. The caller keeps
      memory allocated elsewhere (conditioning) alive until the stream is released. If an exception
      releases it, the stream finishes its work first.
The host waits for nothing but the copy of the audio.
"""

import contextlib
import queue
from collections.abc import Iterator

import torch
from torch import Tensor

from vocoder.generation.cuda.errors import device_errors


class StreamPool:
    """A fixed number of CUDA streams, one for each chunk in flight. Does nothing on the CPU."""

    def __init__(self, device: torch.device, count: int) -> None:
        """Create the streams. Their number is bounded because each keeps memory of its own."""
        self._device = device
        self._on_gpu = device.type == "cuda"
        # Last in, first out: under light load the other streams keep little memory.
        self._free: queue.LifoQueue[torch.cuda.Stream] = queue.LifoQueue()
        for _ in range(count if self._on_gpu else 0):
            self._free.put(torch.cuda.Stream(device))

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Run this thread's work on a stream of its own; wait for one if none is free."""
        if not self._on_gpu:
            yield
            return
        stream = self._free.get()
        try:
            stream.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(stream):
                yield
        except BaseException:
            with contextlib.suppress(Exception):  # A lost device has no work to finish.
                stream.synchronize()
            raise
        finally:
            self._free.put(stream)

    def to_device(self, tensor: Tensor) -> Tensor:
        """Copy a host tensor to the device without waiting for it."""
        if not self._on_gpu:
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def to_host(self, tensor: Tensor) -> Tensor:
        """Copy the last result of a stream to the host and wait for it.

        Raises:
            EngineError: the device failed. A kernel's failure shows only here.
        """
        if not self._on_gpu:
            return tensor
        with device_errors(self._device, "generating audio"):
            found = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            found.copy_(tensor, non_blocking=True)
            # A blocking event sleeps, which leaves the core to other streams' text and audio.
            copied = torch.cuda.Event(blocking=True)
            copied.record()
            copied.synchronize()
        return found
