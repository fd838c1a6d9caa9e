"""Memory that is not used is given back."""

import ctypes

_M_MMAP_THRESHOLD = -3
GIVEN_BACK_BYTES = 128 * 1024


def give_back_memory() -> None:
    """From now on what is as large as GIVEN_BACK_BYTES goes back to the system as soon as nobody uses it.

    Columns of lag come and go by the megabyte, each round. Left to itself the C library keeps them in its heap, in
    pieces. Nothing where the C library has no such setting.
    """
    c_library = ctypes.CDLL(None)
    if hasattr(c_library, "mallopt"):
        c_library.mallopt(_M_MMAP_THRESHOLD, GIVEN_BACK_BYTES)
