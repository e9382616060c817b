"""A low-level WebSocket, for what no library sends: broken or partial frames, resets."""

import base64
import os
import socket
import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple, Self

READ_BYTES = 65536


class Opcode(IntEnum):
    """Kind of a frame (RFC 6455, 5.2)."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Frame(NamedTuple):
    """A received frame."""

    opcode: int
    payload: bytes
    final: bool = True

    @property
    def close_code(self) -> int | None:
        """Close code of the server; None if it is not a close frame, or has none."""
        if self.opcode != Opcode.CLOSE or len(self.payload) < 2:
            return None
        return int(struct.unpack("!H", self.payload[:2])[0])


def frame(
    opcode: int, payload: bytes, *, final: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """A client's frame; valid by default, broken on request (RFC 6455, 5.2)."""
    head = bytes([final << 7 | reserved << 4 | opcode])
    mask_bit, length = masked << 7, len(payload)
    if length < 126:
        head += bytes([mask_bit | length])
    elif length < 65536:
        head += bytes([mask_bit | 126]) + struct.pack("!H", length)
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", length)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    repeated = mask * (length // 4 + 1)
    covered = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[:length], "big")
    return head + mask + covered.to_bytes(length, "big")


class RawSocket:
    """A connection that sends any bytes, and reads frames.

    Args:
        address: host and port.
        timeout_s: of a read or a write.
    """

    def __init__(self, address: tuple[str, int], timeout_s: float = 10.0) -> None:
        self._socket = socket.create_connection(address, timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = address[0]
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send raw bytes."""
        self._socket.sendall(data)

    def send_frame(self, opcode: int, payload: bytes | str, **wrong: bool | int) -> None:
        """Send a frame; see :func:`frame`."""
        data = payload.encode() if isinstance(payload, str) else payload
        self.send(frame(opcode, data, **wrong))  # type: ignore[arg-type]

    def ask_for_upgrade(self, path: str, headers: Mapping[str, str] | None = None) -> None:
        """Send the handshake without waiting for the answer."""
        key = base64.b64encode(os.urandom(16)).decode()
        wanted = {
            "Host": self._host,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            **(headers or {}),
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items())]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def upgrade(self, path: str, headers: Mapping[str, str] | None = None) -> int:
        """Do the handshake; returns the status, 101 if the socket is open."""
        self.ask_for_upgrade(path, headers)
        return self.read_status()

    def read_status(self) -> int:
        """Read a response's status and headers; returns the status."""
        while b"\r\n\r\n" not in self._read:
            self._fill()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1])

    def read_frame(self) -> Frame:
        """The next frame.

        Raises:
            EOFError: the connection ended.
            TimeoutError: none arrived in time.
        """
        first, second = self._take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._take(8))
        return Frame(first & 0x0F, self._take(length), bool(first & 0x80))

    def read_some(self) -> bytes:
        """The next bytes.

        Raises:
            EOFError: the connection ended.
        """
        self._fill()
        found, self._read = self._read, b""
        return found

    def close(self) -> None:
        """Close the connection normally, without a close frame."""
        self._socket.close()

    def reset(self) -> None:
        """Reset the connection; data in transit is lost."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _take(self, count: int) -> bytes:
        while len(self._read) < count:
            self._fill()
        found, self._read = self._read[:count], self._read[count:]
        return found

    def _fill(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            raise EOFError
        self._read += data
