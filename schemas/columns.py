"""The columns of a stock record: their names, order, kinds and scales. Imports nothing, so that every command can know them."""

from collections.abc import Mapping
from typing import Literal

QUANTITY_SCALE = 1_000  # thousandths: NUMERIC(18,3) as an exact integer in every database
COST_SCALE = 10_000

KEY_COLUMNS = ("supplier_sku", "location", "condition")
QUANTITY_COLUMNS = ("on_hand", "available", "on_order")

#: Columns of a StockRecord, in order, and what they hold. `row` and `line` are the coordinates in the source file.
RECORD_COLUMNS: Mapping[str, Literal["integer", "text", "date"]] = {
    "row": "integer",
    "line": "integer",
    "supplier_sku": "text",
    "location": "text",  # "" when the feed has no location
    "condition": "text",  # "" when the feed has no condition
    "on_hand": "integer",
    "available": "integer",
    "on_order": "integer",
    "unit": "text",
    "next_available_on": "date",
    "unit_cost": "integer",
    "currency": "text",
    "gtin": "text",  # 14 digits with a right check digit, else null
    "mpn": "text",
}
