"""How OpenAPI describes a metadata filter. `indexes.where_json` alone checks one: it says more exactly what is wrong, and where."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from indexes.where_json import MAX_CONDITIONS, MAX_DEPTH, MAX_LIST, MAX_TEXT

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Whole = Annotated[int, Field(gt=-(2**63), lt=2**63)]
Scalar = Text | Whole | float | bool
Ordered = Text | Whole | float
Scalars = Annotated[list[Scalar], Field(max_length=MAX_LIST)]


def _without_defaults(schema: dict[str, Any]) -> None:
    """What is left out says nothing at all."""
    for described in schema["properties"].values():
        described.pop("default", None)


def _some_operator(schema: dict[str, Any]) -> None:
    _without_defaults(schema)
    schema["minProperties"] = 1


class Operators(BaseModel):
    """What a key's values must be like; several must all hold."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_some_operator)

    eq: Scalar = Field(default="", description="Equal; a text also means what looks like it in JSON.")
    ne: Scalar = Field(default="", description="The opposite of eq: also true where the key is missing.")
    in_: Scalars = Field(default=[], alias="in", description="Equal to one of these.")
    nin: Scalars = Field(default=[], description="The opposite of in.")
    gt: Ordered = Field(default="", description="Greater; two ISO dates compare as moments.")
    gte: Ordered = ""
    lt: Ordered = ""
    lte: Ordered = ""
    exists: bool = Field(default=True, description="Whether the document has a value there.")


class Filter(BaseModel):
    """Metadata keys, each with a value to be equal to or with operators; every entry must hold."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_without_defaults)
    __pydantic_extra__: dict[str, Scalar | Operators]

    and_: list[Filter] = Field(default=[], alias="and", description="All of these hold.")
    or_: list[Filter] = Field(default=[], alias="or", description="One of these holds.")
    not_: Filter = Field(
        default_factory=lambda: Filter.model_construct(), alias="not", description="This does not hold."
    )


class _Described:
    """Gives a field the filter's description and leaves its validation alone."""

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(Filter.__pydantic_core_schema__)


Where = Annotated[
    dict[str, Any],
    _Described(),
    Field(
        description="Metadata that hits must have, ANDed with what the key's principal may read. "
        f"At most {MAX_CONDITIONS} conditions, {MAX_DEPTH} deep."
    ),
]
