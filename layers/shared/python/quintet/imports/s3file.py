"""An object of S3 as a file that can be read from anywhere."""

import io
from typing import TYPE_CHECKING, Any

from quintet.files.objects import get_from, named

if TYPE_CHECKING:
    from botocore.response import StreamingBody

_ATTEMPTS = 4
_PIECE = 128 * 1024
"""Bytes taken at once: what has arrived of them is lost when the connection breaks."""


class S3File(io.RawIOBase):
    """One version of an object, unbuffered: `io.BufferedReader(S3File(...), 1024**2)` is what to read from.

    Reading on is served from one response; reading elsewhere begins another one. A connection that breaks is replaced
    by one that goes on from there.

    Reading raises `botocore.exceptions.ClientError` when S3 refuses (there is no such version), and
    `ResponseStreamingError` when the object cannot be had whole. Neither is an `OSError`, which `zipfile` would hide.
    """

    def __init__(self, bucket: str, key: str, version_id: str | None, size: int) -> None:
        """`size` is the object's, in bytes. Nothing is asked of S3 before the first read."""
        self._object = named(bucket, key, version_id)
        self._size = size
        self._position = 0
        self._body: StreamingBody | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position, which may be beyond the end; the new one."""
        position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if position < 0:
            raise ValueError("before the beginning")
        if position != self._position:
            self._forget()
            self._position = position
        return position

    def readinto(self, buffer: Any, /) -> int:
        """Put the next bytes into the buffer; how many there are, 0 at the end."""
        from botocore.exceptions import BotoCoreError, ResponseStreamingError
        from urllib3.exceptions import HTTPError

        wanted = min(len(buffer), _PIECE, self._size - self._position)
        if wanted <= 0:
            return 0
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                data = self._stream().read(wanted)
                if not data:
                    raise ConnectionError("The object ends before its size.")
                buffer[: len(data)] = data
                self._position += len(data)
                return len(data)
            except (BotoCoreError, HTTPError, OSError) as error:
                self._forget()
                if attempt == _ATTEMPTS:
                    raise ResponseStreamingError(error=error) from error
        raise AssertionError

    def close(self) -> None:
        """Let go of the connection."""
        self._forget()
        super().close()

    def _stream(self) -> "StreamingBody":
        if self._body is None:
            self._body = get_from(self._object, self._position)
        return self._body

    def _forget(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()
