"""A flag as a context declares it, and its value now.

    EXPRESS = Flag("orders.express", True, "Whether orders may be express")
    if EXPRESS.value(): ...

The value comes from OpenFeature's provider; `providers.provide` sets Atlas's own, a team may set any other. Where no
provider has a value of the flag's type, it is the default. Each evaluation is an attribute of the current span,
`feature_flag.<name>`.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from openfeature import api
from openfeature.flag_evaluation import FlagEvaluationDetails
from opentelemetry import trace

T = TypeVar("T", bool, int, float, str)


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A flag's value now and where it is from: the source's name, or why it is the default."""

    value: T
    source: str


@dataclass(frozen=True, slots=True)
class Flag(Generic[T]):
    """`name` is `<context>.<what>`; the type of `default` is the flag's: bool, int, float or str."""

    name: str
    default: T
    description: str

    @property
    def kind(self) -> str:
        """The name of its type."""
        return type(self.default).__name__

    def value(self) -> T:
        """The value now; seen in the trace. Never raises: a source that fails leaves the default."""
        found = self.found().value
        trace.get_current_span().set_attribute(f"feature_flag.{self.name}", found)
        return found

    def found(self) -> Found[T]:
        """The value now with its source; not seen in the trace."""
        details = self._details()
        if details.error_code is not None:
            return Found(self.default, f"default: {details.error_message or details.error_code}")
        return Found(cast(T, details.value), details.variant or "default")

    def _details(self) -> FlagEvaluationDetails[Any]:
        client = api.get_client("atlas")
        resolve: dict[type, Any] = {
            bool: client.get_boolean_details,
            int: client.get_integer_details,
            float: client.get_float_details,
            str: client.get_string_details,
        }
        details: FlagEvaluationDetails[Any] = resolve[type(self.default)](self.name, self.default)
        return details
