"""A reader that also tells which branch of a union a value is of: a column needs to know, a value does not say.

A value of a union of more than one type besides null is read as (index of the branch, value); all else as by the other
readers.
"""

from collections.abc import Sequence
from typing import Any

from atlas_avro.walk import without_logical_types

from atlas_contracts.evolution.resolution import defined
from atlas_contracts.reading.binary_reader import Read, Reader, ReaderCompiler
from atlas_contracts.reading.resolving_reader import ResolvingCompiler
from atlas_contracts.values.scalars import Faults
from atlas_contracts.values.shapes import compile_shape
from atlas_contracts.values.unions import branches_of


def tells_branches(union: Sequence[Any]) -> bool:
    """Whether values of a union are read with their branch."""
    return len([branch for branch in union if branch != "null"]) > 1


def compile_branch_reader(writer: Any, reader: Any) -> Reader:
    """As `compile_resolving_reader`, of what `writer` wrote in the shape of `reader`, with branches told."""
    if writer == reader:
        return _Branches(reader).compiled()
    return _ResolvingBranches(without_logical_types(writer), reader).compiled()


def _told(union: Sequence[Any], index: int, read: Read) -> Read:
    lines, value = read
    return (lines, f"({index}, {value})") if tells_branches(union) else read


class _Branches(ReaderCompiler):
    def _branch(self, union: list[Any], index: int, read: Read) -> Read:
        return _told(union, index, read)


class _ResolvingBranches(ResolvingCompiler):
    def _branch(self, union: list[Any], index: int, read: Read) -> Read:
        return _told(union, index, read)

    def _default_value(self, definition: Any, default: Any) -> Any:
        return self._with_branches(definition, super()._default_value(definition, default))

    def _with_branches(self, definition: Any, value: Any) -> Any:
        """The value of a default, which was made without: each is of the first branch that takes it."""
        known = defined(definition, self._reader_named)
        if isinstance(known, list):
            told = branches_of(known, self._reader_named)
            if told.tagged and value is not None:
                ((tag, value),) = value.items()
                index = told.by_tag[tag]
            else:
                index = next(index for index, branch in enumerate(known) if self._takes(branch, value))
            inner = self._with_branches(known[index], value)
            return (index, inner) if tells_branches(known) else inner
        if isinstance(known, str):
            return value
        if known["type"] in ("record", "error"):
            return {
                field["name"]: self._with_branches(field["type"], value[field["name"]]) for field in known["fields"]
            }
        if known["type"] == "array":
            return [self._with_branches(known["items"], item) for item in value]
        if known["type"] == "map":
            return {name: self._with_branches(known["values"], item) for name, item in value.items()}
        return value

    def _takes(self, branch: Any, value: Any) -> bool:
        try:
            compile_shape(branch, self._shapes, self._reader_named)(value, False)
        except Faults:
            return False
        return True
