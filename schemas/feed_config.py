"""The typed form of a supplier file: supplier, feeds, columns, guard, contract (`config/suppliers/<supplier>.toml`).

Never reads a file: `stockfeed.settings` does, and reports every mistake with file and line.
"""

import re
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.durations import Duration, Percent

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=60)]
#: "?" is what a lost narrow blank became in a bad export: only where the supplier has confirmed it.
ThousandsMark = Literal[",", ".", "'", " ", "\u00a0", "\u202f", "\u2019", "_", "?"]
SupplierKind = Literal["supplier", "own_warehouse", "3pl", "marketplace_fulfilment"]


class Section(BaseModel):
    """A table of a configuration file: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)


class TypedSection(BaseModel):
    """A `source` or `format` table: `type` picks the connector or reader, whose own options model checks the rest."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    type: str

    @property
    def options(self) -> dict[str, Any]:
        """Return the keys beside `type`, as written."""
        return dict(self.model_extra or {})


class SourceSection(TypedSection):
    """Where a feed comes from; `connection` names the login."""

    connection: Identifier | None = None


class Column(Section):
    """How one field is read: from a column (or the first present alternative), a constant, an expression or several columns.

    `column` names header columns, or 1-based positions in a headerless file ("#3"). `value` is a constant. `expression`
    is a sum or difference of columns, e.g. "[On hand] - [Reserved]". `join` names columns whose texts together are the field
    (plant and storage location), with `separator` between them. `decimal` and `thousands` declare number marks, `formats`
    the strptime formats of a date column ("excel": spreadsheet day numbers), `true` and `false` the words of a flag column,
    `kind` what sort of price a price column holds. A text in which the regular expression `only` is not found counts as blank
    (barcodes in a column that also holds other numbers).
    """

    column: tuple[str, ...] = ()
    value: str | None = None
    expression: str | None = None
    join: tuple[str, ...] = ()
    separator: str = " "
    required: bool = True  # the column must be in the header
    decimal: Literal[".", ","] | None = None
    thousands: ThousandsMark | None = None
    formats: tuple[str, ...] = ()
    kind: str | None = None
    only: str | None = None
    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()
    words: dict[str, str] = Field(default_factory=dict)  # exact text → text used instead, before parsing

    @field_validator("column", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("only")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            msg = f"not a regular expression: {error}"
            raise ValueError(msg) from error
        return value

    @model_validator(mode="after")
    def _exactly_one_origin(self) -> "Column":
        if sum((bool(self.column), self.value is not None, self.expression is not None, bool(self.join))) != 1:
            msg = "give exactly one of `column`, `value`, `expression`, `join`"
            raise ValueError(msg)
        return self


class Columns(Section):
    """Which header column gives which field. A plain text is short for { column = "…" }.

    `unit_cost` is what we pay. `price` is any other price (retail, gross): `feeds try` shows it, no record keeps it.
    """

    supplier_sku: Column
    on_hand: Column | None = None
    available: Column | None = None
    on_order: Column | None = None
    location: Column | None = None
    condition: Column | None = None
    unit: Column | None = None
    next_available_on: Column | None = None
    unit_cost: Column | None = None
    price: Column | None = None
    currency: Column | None = None
    gtin: Column | None = None
    mpn: Column | None = None
    discontinued: Column | None = None
    status: Column | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"column": value} if isinstance(value, (str, list, tuple)) else value

    @model_validator(mode="after")
    def _prices_only(self) -> "Columns":
        if self.unit_cost and self.price:
            msg = "map `unit_cost` or `price`, not both: unit_cost is what we pay, price is any other"
            raise ValueError(msg)
        others = [name for name in type(self).model_fields if name not in {"unit_cost", "price"}]
        if any(column.kind is not None for name in others if (column := getattr(self, name)) is not None):
            msg = "`kind` says what sort of price it is: only unit_cost and price have one"
            raise ValueError(msg)
        return self


class Wide(Section):
    """Per-warehouse columns turned into rows: `columns` maps location → header column, or `pattern` finds them.

    `pattern` is a regular expression with a group named `location`, matched against whole header names. `enabled` is a flag
    column for each location, named with "{location}": what its `false` words switch off gives no record, whatever its cell says.
    """

    quantity: Literal["on_hand", "available", "on_order"] = "on_hand"
    columns: dict[str, str] = Field(default_factory=dict)
    pattern: str | None = None
    blank: Literal["reject", "skip"] = "skip"  # a blank warehouse cell: no record, or QTY-BLANK
    enabled: Column | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Wide":
        if bool(self.columns) == (self.pattern is not None):
            msg = "give exactly one of `columns`, `pattern`"
            raise ValueError(msg)
        if self.enabled and not (self.enabled.false and any("{location}" in name for name in self.enabled.column)):
            msg = 'enabled needs a column with {location} in its name and its `false` words, such as "Enabled {location}" and ["N"]'
            raise ValueError(msg)
        return self


class Guard(Section):
    """When a delivery is held (DESIGN: defaults per feed; fractions count from `from_rows` affected rows on). Warned at half."""

    units_fall_percent: float = Field(50, ge=0, le=100)
    units_rise_percent: float = Field(100, ge=0)
    newly_zero_percent: float = Field(25, ge=0, le=100)
    known_present_percent: float = Field(80, ge=0, le=100)
    row_count_change_percent: float = Field(30, ge=0)
    rejected_percent: float = Field(5, ge=0, le=100)
    one_value_rise_points: float = Field(30, ge=0, le=100)
    one_value_share_percent: float = Field(60, ge=0, le=100)
    from_rows: int = Field(20, ge=1)
    enabled: bool = True


class Expectation(Section):
    """One Great Expectations expectation: its own name and arguments, plus `severity`."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    type: str  # e.g. "expect_column_values_to_be_between"
    severity: Literal["row", "warn", "hold", "reject"] = "row"

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the expectation's own arguments (`column`, `min_value`, …)."""
        return dict(self.model_extra or {})


@cache
def _zone_names() -> frozenset[str]:
    # walking the time zone folder takes 25 ms: once a process, not once a feed
    return frozenset(available_timezones())


def _known_zone(value: str) -> str:
    if value not in _zone_names():
        msg = f'unknown time zone {value!r}; use an IANA name such as "Europe/London" or "UTC"'
        raise ValueError(msg)
    return value


class Feed(Section):
    """One stream of stock from a supplier, with its source, format, columns and policy."""

    code: Identifier
    source: SourceSection
    format: TypedSection
    mode: Literal["snapshot", "delta"] = "snapshot"
    scope: Literal["feed", "location"] = "feed"
    schedule: str | None = None  # cron; None: only by hand
    timezone: Annotated[str, AfterValidator(_known_zone)]
    order_by: Literal["own", "source_time", "arrival"] = "arrival"
    as_of: Column | None = None  # the supplier's own as-of time, for order_by = "own"
    quantities: Literal["net", "gross"]
    order_lag: Duration = timedelta(0)
    sales_lag: Duration = timedelta(hours=24)
    stale_after: Duration
    stale_policy: Literal["zero", "keep"] = "zero"
    missing_after: int = Field(2, ge=1)
    frozen_after: Duration | None = None
    duplicates: Literal["reject", "first", "last", "sum", "max"] = "reject"
    negative: Literal["reject", "zero"] = "reject"
    gtin: Literal["note", "reject"] = "note"
    sku_case: Literal["exact", "fold"] = "exact"
    discontinued: Literal["keep", "zero"] = "keep"
    match: Literal["identity", "linked"] = "identity"  # how a supplier SKU becomes a master SKU without a ProductLink
    repeats: bool = False
    tolerate: tuple[str, ...] = ()
    trust_first: bool = False
    while_held: Literal["keep", "lower"] = "keep"
    trust: Percent = Fraction(1)  # share of this source's number that is believed
    buffer: int = Field(0, ge=0)  # units of safety stock held back from this source
    priority: int = Field(1, ge=1)
    max_quantity: Decimal = Field(Decimal(10_000_000), gt=0)
    decimal: Literal[".", ","] | None = None  # default for all number columns
    thousands: ThousandsMark | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    owner: str = "stockfeed"
    tags: tuple[str, ...] = ()
    columns: Columns
    wide: Wide | None = None
    words: dict[str, int | str] = Field(default_factory=dict)  # quantity words: "In stock" = 1, "{n}+" = "{n}", "call" = "unknown"
    guard: Guard = Guard()
    expect: tuple[Expectation, ...] = ()

    @property
    def zone(self) -> ZoneInfo:
        """Return the feed's time zone."""
        return ZoneInfo(self.timezone)

    @model_validator(mode="after")
    def _has_a_quantity(self) -> "Feed":
        if not (self.columns.on_hand or self.columns.available or self.wide):
            msg = "map at least one of columns.on_hand, columns.available, or [feed.wide]"
            raise ValueError(msg)
        if self.order_by == "own" and self.as_of is None:
            msg = 'order_by = "own" needs `as_of`, the column that holds the supplier\'s own time'
            raise ValueError(msg)
        return self


class Supplier(Section):
    """Who delivers."""

    code: Identifier
    name: str
    kind: SupplierKind = "supplier"


class SupplierFile(Section):
    """One `config/suppliers/<supplier>.toml`."""

    supplier: Supplier
    feed: tuple[Feed, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct_codes(self) -> "SupplierFile":
        codes = [f.code for f in self.feed]
        doubled = sorted({c for c in codes if codes.count(c) > 1})
        if doubled:
            msg = f"feed code used twice: {', '.join(doubled)}"
            raise ValueError(msg)
        return self
