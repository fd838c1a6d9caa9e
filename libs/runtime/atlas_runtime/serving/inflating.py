"""Compressed bodies, inflated in steps that are small in time and memory, whatever was compressed."""

import zlib
from collections.abc import Iterator

CODINGS = ("gzip", "deflate")
# The most that one step gives: 0.1 to 0.3 ms of work.
STEP_BYTES = 64 * 1024
# A real body is one member, or a few that were appended; each costs a new decompressor, even one that holds nothing.
MEMBERS_MAX = 1000
# What zlib has not taken yet is copied at each step, so it gets little at a time.
_WINDOW_BYTES = 4 * 1024
_ALIASES = {"x-gzip": "gzip"}


class NotCompressed(ValueError):
    """The body is not what its coding says: it was never, is cut, or goes on after its end."""


def coding_of(values: list[str]) -> str | None:
    """The one coding that these Content-Encoding headers name; None for none. Raises ValueError for any other."""
    named = [part.strip(" \t").lower() for value in values for part in value.split(",")]
    named = [_ALIASES.get(name, name) for name in named if name not in ("", "identity")]
    if not named:
        return None
    if len(named) > 1 or named[0] not in CODINGS:
        raise ValueError(", ".join(named)[:100])
    return named[0]


class Inflater:
    """One body of a coding. Memory: one step, and what zlib needs (some 40 kB), whatever the body holds."""

    def __init__(self, coding: str) -> None:
        """`coding` is one of CODINGS; deflate is taken with zlib's frame (RFC 9110) and without."""
        self._coding = coding
        self._members = 0
        self._zlib = None if coding == "deflate" else self._member()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out of `data`, in pieces of at most 64 KiB. Raises NotCompressed."""
        for start in range(0, len(data), _WINDOW_BYTES):
            window = data[start : start + _WINDOW_BYTES]
            if self._zlib is None:
                framed = window[0] & 0x0F == 8  # RFC 1950: the method, 8 for deflate
                self._zlib = zlib.decompressobj(zlib.MAX_WBITS if framed else -zlib.MAX_WBITS)
            while window:
                if self._zlib.eof:
                    self._zlib = self._member()
                piece = self._step(window)
                if piece:
                    yield piece
                window = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
            while not self._zlib.eof and (piece := self._step(b"")):
                yield piece

    def finish(self) -> None:
        """Nothing more comes. Raises NotCompressed when the body is not at its end."""
        if self._zlib is None or not self._zlib.eof:
            raise NotCompressed(f"the {self._coding} body ends before its end")

    def _step(self, window: bytes) -> bytes:
        assert self._zlib is not None, "made with the first byte"
        try:
            return self._zlib.decompress(window, STEP_BYTES)
        except zlib.error as error:
            if self._members > 1:
                raise NotCompressed("the gzip body goes on after its end with what is not gzip") from None
            raise NotCompressed(f"the body is not {self._coding}: {_reason(error)}") from None

    def _member(self) -> "zlib._Decompress":
        if self._coding == "deflate":
            raise NotCompressed("the deflate body goes on after its end")
        self._members += 1
        if self._members > MEMBERS_MAX:
            raise NotCompressed(f"the gzip body has more than {MEMBERS_MAX} members")
        return zlib.decompressobj(16 + zlib.MAX_WBITS)


def _reason(error: zlib.error) -> str:
    return str(error).rpartition(": ")[2]
