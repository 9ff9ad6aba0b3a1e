"""What a feed's `[format]` table may say for the EDI readers, and what quantity codes mean unless the feed says otherwise.

Never imports a reader or a frame library: configuration is checked without loading them.
"""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from transforms.formats.options import ReaderOptions

#: What a quantity is. Only the first three become part of a stock record; all are shown by `feeds try --stage read`.
Kind = Literal[
    "available", "on_hand", "on_order", "future", "in_transit", "backordered", "reserved", "on_hold", "unusable", "threshold",
    "movement", "total", "unmapped",
]  # fmt: skip
Purpose = Literal["full", "changes", "ignore"]
Tolerated = Literal["SE01", "CTT01", "ISA-WIDTH", "GS01"]

#: The columns of every EDI file, whatever its syntax.
HEADER = (
    "supplier_sku", "available", "on_hand", "on_order", "location", "unit", "next_available_on", "unit_cost", "price", "currency",
    "gtin", "mpn", "buyer_sku", "description", "status", "lot", "as_of", "purpose",
)  # fmt: skip
#: X12 data element 673. A code that is not here is "unmapped": shown, never stock.
X12_QUANTITIES: Mapping[str, Kind] = {
    "33": "available", "V2": "available", "34": "available", "RJ": "available", "17": "on_hand", "29": "future",
    "63": "on_order", "IQ": "in_transit", "BQ": "backordered", "XU": "reserved", "XT": "reserved", "QH": "on_hold",
    "20": "unusable", "74": "unusable", "86": "unusable", "QC": "unusable", "72": "threshold", "73": "threshold",
    "38": "movement", "39": "movement", "87": "movement", "90": "movement", "18": "movement", "77": "movement",
    "78": "movement", "83": "movement", "84": "movement", "QB": "movement", "TO": "total",
}  # fmt: skip
#: EDIFACT data element 6063: another list, where 33 is a delivery batch.
EDIFACT_QUANTITIES: Mapping[str, Kind] = {
    "145": "on_hand", "17": "on_hand", "198": "in_transit", "21": "on_order", "73": "on_order", "83": "backordered",
    "66": "reserved", "170": "reserved", "124": "unusable", "89": "unusable", "96": "unusable", "249": "unusable",
    "35E": "unusable", "146": "threshold", "97": "threshold", "98": "threshold", "197": "threshold", "156": "movement",
    "199": "movement", "48": "movement", "61": "movement", "153": "movement", "212": "movement", "12": "movement",
    "46": "movement", "47": "movement",
}  # fmt: skip
#: X12 data element 353, in BIA01.
X12_PURPOSES: Mapping[str, Purpose] = {
    "00": "full", "05": "full", "22": "full", "25": "changes", "04": "changes", "13": "ignore",
}  # fmt: skip
#: EDIFACT data element 1225, in BGM.
EDIFACT_PURPOSES: Mapping[str, Purpose] = {
    "9": "full", "5": "full", "31": "full", "": "full", "4": "changes", "1": "ignore", "7": "ignore",
}  # fmt: skip


class EdiOptions(ReaderOptions):
    """What both EDI readers understand.

    `quantities` and `purposes` change single lines of the tables of codes. `sku_qualifiers` and `gtin_qualifiers` say, most wanted
    first, which product id is which. `envelope = "optional"` reads a message without its interchange (nothing then proves that
    it is whole). `test = "read"` reads interchanges marked as tests, which otherwise change nothing. `unit` is the unit of
    quantities that say none. `splits` says what a quantity split over locations gives: a record for each, or their total.
    `tolerate` is the feed's own setting, passed on. `encoding = "auto"` is UTF-8, or the character set that an EDIFACT file names.
    """

    encoding: str = "auto"
    envelope: Literal["required", "optional"] = "required"
    test: Literal["ignore", "read"] = "ignore"
    unit: str = ""
    splits: Literal["locations", "total"] = "locations"
    quantities: dict[str, Kind] = Field(default_factory=dict)
    purposes: dict[str, Purpose] = Field(default_factory=dict)
    tolerate: tuple[Tolerated, ...] = ()
    block_bytes: int = Field(1_048_576, ge=1)
    batch_rows: int = Field(20_000, ge=1)

    @model_validator(mode="after")
    def _no_table(self) -> Self:
        if given := self.of_tables("skip_rows", "skip_blank"):
            msg = f"`{given[0]}` is for tables: an EDI file has no header and no rows, its columns have names of their own"
            raise ValueError(msg)
        return self

    @field_validator("encoding")
    @classmethod
    def _ascii_stays(cls, value: str) -> str:
        if value == "auto":
            return value
        try:
            is_right = bytes(range(1, 128)).decode(value) == "".join(map(chr, range(1, 128)))
        except (LookupError, UnicodeError):
            is_right = False
        if not is_right:
            msg = f'encoding {value!r} is not known or not one of EDI files; use "utf-8", "latin-1", "cp1252" …'
            raise ValueError(msg)
        return value


class X12Options(EdiOptions):
    """Options of `type = "edi_x12"`.

    `location_entities` are the N1 codes (element 98) that name where stock lies, `location_references` the REF codes (128) that do.
    `acknowledge` is the set that answers: "997", "999", or "none" for no answer at all.
    """

    sku_qualifiers: tuple[str, ...] = ("VP", "VN", "VC", "SK", "VA", "VS")
    buyer_qualifiers: tuple[str, ...] = ("BP", "IN", "CB", "PI", "PL")
    gtin_qualifiers: tuple[str, ...] = ("UP", "EN", "UK", "UA", "UN", "EO", "GT")
    mpn_qualifiers: tuple[str, ...] = ("MG", "MN")
    location_entities: tuple[str, ...] = ("WH", "SF", "16", "SN", "RL")
    location_references: tuple[str, ...] = ("IO", "WS")
    acknowledge: Literal["997", "999", "none"] = "997"


class EdifactOptions(EdiOptions):
    """Options of `type = "edifact"`.

    `location_parties` are the NAD codes (element 3035) that name where stock lies, `location_codes` the LOC codes (3227) that do.
    `acknowledge` is "contrl", or "none" for no answer.
    """

    sku_qualifiers: tuple[str, ...] = ("SA", "VN", "VP", "MF")
    buyer_qualifiers: tuple[str, ...] = ("BP", "IN")
    gtin_qualifiers: tuple[str, ...] = ("EN", "SRV", "UP")
    mpn_qualifiers: tuple[str, ...] = ("MF",)
    location_parties: tuple[str, ...] = ("WH",)
    location_codes: tuple[str, ...] = ("14", "18", "11")
    acknowledge: Literal["contrl", "none"] = "contrl"
