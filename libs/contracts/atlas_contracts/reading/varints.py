"""What the generated readers call where a value is longer than two bytes, and the errors that they raise."""

from atlas_contracts.values.limits import NESTING_MAX

_LONGEST_VARINT = 10
_FLAGS = [sum(128 << 7 * place for place in range(count)) for count in range(6)]


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of three bytes or more as it stands, its sign still in its last bit, and the place after it.

    A byte is taken with its flag, worth 128, and the flags of those before the last are taken off together.
    """
    number, byte = data[at] + (data[at + 1] << 7), data[at + 2]
    if byte < 128:
        return number + (byte << 14) - _FLAGS[2], at + 3
    number += byte << 14
    byte = data[at + 3]
    if byte < 128:
        return number + (byte << 21) - _FLAGS[3], at + 4
    number += byte << 21
    byte = data[at + 4]
    if byte < 128:
        return number + (byte << 28) - _FLAGS[4], at + 5
    number += byte << 28
    byte = data[at + 5]
    if byte < 128:
        return number + (byte << 35) - _FLAGS[5], at + 6
    return _long_varint(data, at)


def _long_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    for place in range(at, at + _LONGEST_VARINT):
        byte = data[place]
        number |= (byte & 127) << shift
        if byte < 128:
            if number >> 64:
                break
            return number, place + 1
        shift += 7
    raise ValueError("a number of more than 64 bits")


def int_varint(data: bytes, at: int) -> tuple[int, int]:
    """As varint, for a number of 32 bits. Raises ValueError for a larger one."""
    number, after = varint(data, at)
    if number >> 32:
        raise ValueError("an int of more than 32 bits")
    return number, after


def refuse_end(data: bytes, at: int) -> ValueError:
    """The error of a value that is not exactly what the data hold."""
    surplus = len(data) - at
    return ValueError(f"{surplus} bytes follow" if surplus > 0 else "it ends too early")


def refuse_depth() -> ValueError:
    """The error of a value that nests too deep."""
    return ValueError(f"nested deeper than {NESTING_MAX}")
