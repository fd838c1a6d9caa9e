"""What a splicer expects the next records to look like: learnt from those it has looked at closely."""

from atlas_archive.writing.patterns import LONGEST, RecordPattern, choices, known_pattern, record_pattern

_MISSES_MIN = 32
_WITHOUT_PATTERN = 64
_SCHEMAS_MAX = 16  # of one expression: each further one would have it compiled again
_WORTH = 8  # records taken in runs for each that ended one: with fewer, looking closely at all of them costs less
# Records that were looked at closely before an expression is made, at least and for each choice in it: these cost as
# much more than in a run (3 µs a record) as a choice takes to compile (12 µs). So no order of records, whoever wrote
# them, costs more than twice what it must.
_SEEN_MIN = 1024
_SEEN_A_CHOICE = 4


class Expected:
    """The schemas and headers met so far, as one expression; None where looking closely is the better way.

    A record that is not as expected costs a little more than one of which nothing was expected. When there are many,
    longer texts are expected, and at last nothing any more. An expression takes up to 200 ms to make, so it must be
    earned; one that this process has made before is had at once.
    """

    def __init__(self) -> None:
        self.pattern: RecordPattern | None = None
        self._schemas: tuple[tuple[int, str], ...] = ()
        self._names: tuple[tuple[str, ...], ...] = ()
        self._longest = 0  # an index into LONGEST
        self._new = False
        self._taken = self._missed = self._seen = 0

    @property
    def closely(self) -> int:
        """How many records to look at closely before a run is tried (again)."""
        return 1 if self.pattern is not None else _WITHOUT_PATTERN

    def add(self, schema_id: int, text: str) -> None:
        """A schema that the records to come may have."""
        if self._longest < len(LONGEST) and len(self._schemas) < _SCHEMAS_MAX:
            # In one order, so that one expression serves every segment, whatever it met first.
            self._schemas = tuple(sorted((*self._schemas, (schema_id, text))))
            self._new = True

    def took(self, records: int) -> None:
        """So many records were as expected."""
        self._taken += records

    def looked(self, records: int, header_names: tuple[tuple[str, ...], ...]) -> bool:
        """So many records were looked at closely; these are the names of headers met so far. Whether an expression has
        been earned, which `learn` makes: that may take long.
        """
        if self._longest == len(LONGEST) or not self._schemas:
            return False
        self._seen += records
        if len(header_names) != len(self._names):  # it only grows
            self._names, self._new = tuple(sorted(header_names)), True
        if not self._new:
            self._missed += records
            if self._missed < _MISSES_MIN or self._missed * _WORTH < self._taken:
                return False
            self._longest += 1
            self._taken = self._missed = 0
            self._new = True
            if self._longest == len(LONGEST):
                self.pattern = None
                return False
        wanted = self._schemas, self._names, LONGEST[self._longest]
        if (known := known_pattern(*wanted)) is not None:
            self._use(known[0])
            return False
        return self._seen >= _SEEN_MIN and self._seen >= _SEEN_A_CHOICE * choices(*wanted)

    def learn(self) -> None:
        """Make the expression, and expect what it says."""
        self._use(record_pattern(self._schemas, self._names, LONGEST[self._longest]))

    def _use(self, pattern: RecordPattern | None) -> None:
        self.pattern, self._new = pattern, False
        self._seen = 0
