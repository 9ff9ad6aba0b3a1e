"""Small configuration folders for tests: a right supplier and a right channel, and a way to write others."""

from pathlib import Path

SUPPLIER = """[supplier]
code = "acme"
name = "Acme"

[[feed]]
code = "stock"
timezone = "UTC"
quantities = "net"
stale_after = "24h"
source = { type = "folder", path = "/data" }
format = { type = "delimited" }
columns = { supplier_sku = "SKU", on_hand = "Qty" }
"""

CHANNEL = """[channel]
code = "shop"
name = "Shop"
kind = "shopify"
connection = "shop"
locations = ["gid://shopify/Location/1"]
sources = ["acme.*"]
"""


def write_config(folder: Path, suppliers: dict[str, str] | None = None, channels: dict[str, str] | None = None) -> Path:
    """Write supplier and channel files under folder/config and return that folder."""
    config = folder / "config"
    for kind, files in (("suppliers", suppliers or {}), ("channels", channels or {})):
        (config / kind).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (config / kind / f"{name}.toml").write_text(text, encoding="utf-8")
    return config
