"""Where values come from: the settings, and a file that is read again when it changes.

The file is a JSON object, {"orders.express": false}, and wins over the settings. It may come, change and go while
the service runs. One that is no JSON object changes nothing: the values before it stay, and a line in the log says so.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider, Metadata

Value = bool | int | float | str
Values = Mapping[str, Any]

log = structlog.get_logger(__name__)


def provide(settings: Mapping[str, Value], file: Path | None) -> None:
    """Have every flag of this process take its value from the file, if one is named, then from the settings."""
    given = SettingsProvider(settings)
    api.set_provider(given if file is None else FileProvider(file, given))


def _resolving(kind: type) -> Any:
    def resolve(
        provider: "SettingsProvider", flag_key: str, default_value: Any, evaluation_context: Any = None
    ) -> FlagResolutionDetails[Any]:
        return provider._resolved(flag_key, default_value, kind)

    return resolve


class SettingsProvider(AbstractProvider):
    """Values that stay as they were when the process began."""

    def __init__(self, values: Values) -> None:
        super().__init__()
        self._values = values

    def get_metadata(self) -> Metadata:
        """Its name, as traces and events have it."""
        return Metadata(name="atlas-settings")

    def find(self, name: str) -> tuple[Any, str] | None:
        """The value and where it is from; None when there is none."""
        return (self._values[name], "settings") if name in self._values else None

    # The value; the default where there is none, and with an error where it is of another type. A bool is no number
    # here, and a whole number is a float too.
    resolve_boolean_details = _resolving(bool)
    resolve_string_details = _resolving(str)
    resolve_integer_details = _resolving(int)
    resolve_float_details = _resolving(float)

    def resolve_object_details(
        self, flag_key: str, default_value: Any, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Any]:
        """Atlas has no flags of objects: the default."""
        return FlagResolutionDetails(default_value, reason=Reason.DEFAULT)

    def _resolved(self, name: str, default: Any, kind: type) -> FlagResolutionDetails[Any]:
        found = self.find(name)
        if found is None:
            return FlagResolutionDetails(default, reason=Reason.DEFAULT)
        value, source = found
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is kind:
            return FlagResolutionDetails(value, variant=source, reason=Reason.STATIC)
        fault = f"{source} has {value!r}, which is no {kind.__name__}"
        return FlagResolutionDetails(default, ErrorCode.TYPE_MISMATCH, fault, reason=Reason.ERROR)


class FileProvider(SettingsProvider):
    """The values of a file as it is now, then those of another provider."""

    def __init__(self, path: Path, otherwise: SettingsProvider) -> None:
        super().__init__({})
        self._path, self._otherwise = path, otherwise
        self._seen: tuple[int, int, int] | None = None

    def get_metadata(self) -> Metadata:
        """Its name, as traces and events have it."""
        return Metadata(name="atlas-file")

    def find(self, name: str) -> tuple[Any, str] | None:
        """The value and where it is from; looks first whether the file changed, which costs a system call."""
        self._read_if_changed()
        return (self._values[name], str(self._path)) if name in self._values else self._otherwise.find(name)

    def _read_if_changed(self) -> None:
        try:
            stat = self._path.stat()
        except OSError:  # no file, no values
            self._values, self._seen = {}, None
            return
        now = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if now == self._seen:
            return
        self._seen = now
        try:
            values = json.loads(self._path.read_bytes())
            if not isinstance(values, dict):
                raise ValueError("it is no JSON object")
        except (OSError, ValueError, RecursionError) as error:
            log.warning("flags stay as they were: the file can't be read", file=str(self._path), error=str(error))
        else:
            self._values = values
