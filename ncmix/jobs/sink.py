"""A file to write to whose bytes are taken away as they come."""


class Sink:
    """What writers of archives take for a file that cannot be rewound."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._at = 0

    def write(self, data: bytes | memoryview) -> int:
        """Take some bytes; a copy, as some writers use their memory again."""
        self._pieces.append(bytes(data))
        self._at += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        """How many bytes were written."""
        return self._at

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is to be closed."""

    def writable(self) -> bool:
        """It is there to be written to."""
        return True

    def take(self) -> bytes:
        """What was written since this was last asked."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken
