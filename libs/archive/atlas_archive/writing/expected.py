"""What a splicer expects the next records to look like: learnt from those it has looked at closely."""

from atlas_archive.writing.patterns import LONGEST, RecordPattern, record_pattern

_MISSES_MIN = 32
_WITHOUT_PATTERN = 16  # few, since these may be what the first expression comes of
_SCHEMAS_MAX = 16  # of one expression: each further one would have it compiled again
_WORTH = 8  # records taken in runs for each that ended one: with fewer, looking closely at all of them costs less


class Expected:
    """The schemas and headers met so far, as one expression; None where looking closely is the better way.

    A record that is not as expected costs a little more than one of which nothing was expected. When there are many,
    longer texts are expected, and at last nothing any more.
    """

    def __init__(self) -> None:
        self.pattern: RecordPattern | None = None
        self._schemas: tuple[tuple[int, str], ...] = ()
        self._names: tuple[tuple[str, ...], ...] = ()
        self._longest = 0  # an index into LONGEST
        self._new = False
        self._taken = self._missed = 0

    @property
    def closely(self) -> int:
        """How many records to look at closely before a run is tried (again)."""
        return 1 if self.pattern is not None else _WITHOUT_PATTERN

    def add(self, schema_id: int, text: str) -> None:
        """A schema that the records to come may have."""
        if self._longest < len(LONGEST) and len(self._schemas) < _SCHEMAS_MAX:
            self._schemas += ((schema_id, text),)
            self._new = True

    def took(self, records: int) -> None:
        """So many records were as expected."""
        self._taken += records

    def looked(self, header_names: tuple[tuple[str, ...], ...]) -> None:
        """A record was not as expected; these are the names of headers met so far."""
        if self._longest == len(LONGEST):
            return
        if header_names != self._names:
            self._names, self._new = header_names, True
        if not self._new:
            self._missed += 1
            if self._missed < _MISSES_MIN or self._missed * _WORTH < self._taken:
                return
            self._longest += 1
            self._taken = self._missed = 0
        self._new = False
        self.pattern = (
            record_pattern(self._schemas, self._names, LONGEST[self._longest]) if self._longest < len(LONGEST) else None
        )
