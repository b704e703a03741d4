"""What every written record is: frozen, strictly typed, refused by the name of the field that doesn't fit."""

from __future__ import annotations

import json
import math
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from nets.errors import Unusable
from nets.records.foreign import out_of_bounds

FROZEN = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, serialize_by_alias=True)
SCHEMA = 3


class Record(BaseModel):
    """A frozen part of the record: no unknown field, no wrong type, no NaN."""

    model_config = FROZEN

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, ready for `extra_info`."""
        plain: dict[str, Any] = json.loads(self.model_dump_json())
        return plain

    def replace(self, **changes: object) -> Self:
        """This record with other values in some fields."""
        return self.model_copy(update=changes)


R = TypeVar("R", bound=Record)


def parse(record: object, source: str, kind: type[R]) -> R:
    """A record as read from JSON -> its kind. Raises Unusable, naming `source` and the first field that doesn't fit."""
    if not isinstance(record, dict) or "schema" not in record:
        raise Unusable(f"{source}: not a record of nets: it has no field 'schema'")
    if record["schema"] != SCHEMA:
        found = f"field 'schema' is {record['schema']!r:.80}; this version of nets reads {SCHEMA}: measure it again"
        raise Unusable(f"{source}: {found}")
    if (fault := out_of_bounds(record)) is not None:
        raise Unusable(f"{source}: {fault}")
    try:
        return kind.model_validate_json(json.dumps(record))
    except ValidationError as error:
        raise Unusable(f"{source}: {first_fault(error)}") from error


def first_fault(error: ValidationError, prefix: str = "") -> str:
    """The first field that doesn't fit, what is wrong with it, and what was found there."""
    first = error.errors(include_url=False)[0]
    field = prefix + ".".join(str(part) for part in first["loc"])
    return f"field '{field}': {first['msg']} (found {first['input']!r:.80})"


def finite(value: float) -> float | None:
    """The value, or None where it is not finite: NaN is not JSON."""
    return value if math.isfinite(value) else None


def finite_values(value: Any) -> Any:
    """The same JSON, with null for every number that is not finite: another benchmark may hold one."""
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, dict):
        return {str(key): finite_values(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_values(inner) for inner in value]
    return value
