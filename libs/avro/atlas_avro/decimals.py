"""Avro's decimal: a whole number in two's complement, most significant byte first, divided by 10^scale.

Nothing here goes through a float, nothing is rounded.
"""

import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact

# Digits of a decimal that a schema may ask for. Python's conversions take time by the square of them.
PRECISION_MAX = 1_000
# Bytes of a decimal that is read, whatever the schema says: somewhat more than the largest that is written.
BYTES_MAX = 512

_TEXT_MAX = 2 * PRECISION_MAX
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
# Python's own context rounds at 28 digits.
_EXACT = Context(prec=4 * PRECISION_MAX, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])


def parse(text: str) -> Decimal:
    """`-12.34` or `1e3`. Raises ValueError for anything else, NaN and infinities among it."""
    if len(text) > _TEXT_MAX or not _NUMBER.fullmatch(text):
        raise ValueError("not a decimal number")
    return Decimal(text)


def unscaled(value: Decimal, precision: int, scale: int) -> int:
    """value × 10^scale. Raises ValueError unless that is a whole number of at most `precision` digits."""
    if not value.is_finite():
        raise ValueError("not a finite number")
    if not value:
        return 0
    if value.adjusted() >= precision - scale:
        raise ValueError(f"more than {precision} digits, {scale} of them behind the point")
    try:
        shifted = _EXACT.scaleb(value, scale)
        number = int(shifted)
        if number == shifted:
            return number
    except Inexact:  # thousands of digits
        pass
    raise ValueError(f"more than {scale} digits behind the point")


def to_bytes(number: int) -> bytes:
    """The shortest form of an unscaled number, as Java's BigInteger gives it: at least one byte."""
    size = (number if number >= 0 else ~number).bit_length() // 8 + 1
    return number.to_bytes(size, "big", signed=True)


def from_bytes(data: bytes, scale: int) -> Decimal:
    """The number in `data`, with `scale` digits behind its point; no byte at all is zero, as some write it.

    It may have more digits than its schema says. Raises ValueError for more than BYTES_MAX bytes that count.
    """
    if len(data) > BYTES_MAX:
        # A wide fixed is filled up in front with its sign.
        head, data = data[:-BYTES_MAX], data[-BYTES_MAX:]
        if head.strip(b"\xff" if data[0] & 128 else b"\x00"):
            raise ValueError(f"a decimal of more than {BYTES_MAX} bytes")
    return _EXACT.scaleb(Decimal(int.from_bytes(data, "big", signed=True)), -scale)


def text(value: Decimal) -> str:
    """Digits, and as many behind the point as the value has: never an exponent."""
    return format(value, "f")
