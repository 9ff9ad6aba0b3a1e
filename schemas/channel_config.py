"""The typed form of a channel file (`config/channels/<channel>.toml`): where ATS quantities go, and by which rules.

Never reads a file: `stockfeed.settings` does.
"""

from datetime import date
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from schemas.durations import Duration, Percent
from schemas.feed_config import Identifier, Section

#: Units to hold back; a negative number would offer stock that nobody has.
Units = Annotated[int, Field(ge=0)]


class ChannelLocation(Section):
    """A location of the channel that we own; nothing else is ever written.

    `from_locations` limits it to stock at these source locations; empty means all stock.
    """

    id: str  # the channel's own id, e.g. "gid://shopify/Location/1"
    from_locations: tuple[str, ...] = Field(default=(), alias="from")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)


class ChannelRule(Section):
    """Different numbers for some SKUs: matched by sku, supplier, brand, tag and dates; the most specific wins."""

    sku: str | None = None
    supplier: str | None = None
    brand: str | None = None
    tag: str | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    share: Percent | None = None
    buffer: Units | Percent | None = None
    minimum: int | None = Field(None, ge=0)
    maximum: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _matches_something(self) -> "ChannelRule":
        if not any((self.sku, self.supplier, self.brand, self.tag)):
            msg = "a rule needs at least one of sku, supplier, brand, tag"
            raise ValueError(msg)
        return self


class Gate(Section):
    """When a publish is held for a person (DESIGN: summed over 24 h)."""

    changed_listings_percent: float = Field(25, ge=0, le=100)
    change_is_over_percent: float = Field(50, ge=0)
    to_zero_percent: float = Field(10, ge=0, le=100)
    to_zero_at_least: int = Field(20, ge=1)
    total_change_percent: float = Field(40, ge=0)
    canary_above: int = Field(200, ge=1)
    canary_size: int = Field(20, ge=1)
    enabled: bool = True


class Channel(Section):
    """One place where we sell."""

    model_config = ConfigDict(extra="allow", frozen=True, arbitrary_types_allowed=True, defer_build=True)

    code: Identifier
    name: str
    kind: str  # connectors.registry.CHANNELS
    connection: Identifier | None = None
    locations: tuple[ChannelLocation, ...] = Field(min_length=1)
    sources: tuple[str, ...] = ("*",)  # feed codes "acme.stock", "acme.*" or "*"
    combine: Literal["sum", "max", "priority"] = "sum"
    share: Percent = Fraction(1)
    buffer: Units | Percent = 0
    minimum: int = Field(0, ge=0)  # ATS below this is offered as 0
    maximum: int | None = Field(None, ge=0)
    schedule: str | None = None  # cron of the daily true-up
    lag: Duration | None = None  # declared time until a written value is visible
    owner: str = "stockfeed"
    tags: tuple[str, ...] = ()
    rule: tuple[ChannelRule, ...] = ()
    gate: Gate = Gate()

    @field_validator("locations", mode="before")
    @classmethod
    def _plain_ids(cls, value: object) -> object:
        if isinstance(value, (list, tuple)):
            return [{"id": v} if isinstance(v, str) else v for v in value]
        return value

    @property
    def options(self) -> dict[str, Any]:
        """Return the channel kind's own keys, as written; its options model in connectors checks them."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _stock_is_offered_once(self) -> "Channel":
        claimed = [name for loc in self.locations for name in loc.from_locations]
        everywhere = [loc.id for loc in self.locations if not loc.from_locations]
        if len(self.locations) > 1 and (everywhere or len(claimed) != len(set(claimed))):
            msg = "with several locations each needs its own `from`, and no source location may feed two of them"
            raise ValueError(msg)
        return self


class ChannelFile(Section):
    """One `config/channels/<channel>.toml`."""

    channel: Channel
