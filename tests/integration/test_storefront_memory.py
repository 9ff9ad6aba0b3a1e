"""Memory does not grow with a shop's catalogue: tens of times the bound pass through, in a process of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

#: Tells the most memory the process ever had, in bytes, after making the lines of `items` items with 1 MB of facts at a time.
PROGRAM = r"""
import json, re, sys
from pathlib import Path
from connectors import storefront_lines
from connectors.spool import Limits
from connectors.storefront_lines import SortedFacts, TrackedCount, spool_lines
{imports}
items, folder = int(sys.argv[1]), Path(sys.argv[2])
{feeding}
with SortedFacts(folder, "shop", memory={memory}) as facts:
    fill(facts)
    spooled = spool_lines(stock_lines(facts, TrackedCount()), folder, "shop", Limits())
peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())  # ru_maxrss is that of who started us, too
print(json.dumps({{"peak": int(peak[1]) * 1024, "size": spooled.size, "facts": facts._size}}))
"""

SHOPIFY = {
    "imports": """
from contextlib import contextmanager
from connectors.shopify_bulk import BulkFile, Download, read_file
from connectors.shopify_stock import stock_lines
""",
    "feeding": """
def objects():
    for n in range(items):
        item = f"gid://shopify/InventoryItem/{n}"
        yield {"id": item, "sku": f"SKU-{n}", "tracked": True}
        yield {"id": f"gid://shopify/ProductVariant/{n}", "barcode": "4006381333931", "__parentId": item}
        for place in (1, 2):
            location = {"id": f"gid://shopify/Location/{place}", "name": f"Place {place}", "isActive": True}
            level = {"id": f"gid://shopify/InventoryLevel/{n}{place}", "isActive": True, "updatedAt": "2026-01-01T00:00:00Z"}
            quantities = [{"name": name, "quantity": n} for name in ("available", "on_hand", "committed", "incoming")]
            yield level | {"location": location, "quantities": quantities, "__parentId": item}

class Here(Download):
    @contextmanager
    def pieces(self, url):
        yield (json.dumps(one).encode() + b"\\n" for one in objects())

def fill(facts):
    read_file(BulkFile("here", 4 * items, items, None), Here(None, None), facts, 1 << 40)
""",
}
BIGCOMMERCE = {
    "imports": "from connectors.bigcommerce_items import add_level, add_product, add_variant, stock_lines",
    "feeding": """
def fill(facts):
    for n in range(items):
        place = {"location_enabled": True, "location_name": "Place", "location_code": "P", "available_to_sell": n}
        place |= {"total_inventory_onhand": n, "settings": {"safety_stock": 0, "is_in_stock": True}}
        places = [place | {"location_id": number} for number in (1, 2)]
        add_level(facts, {"identity": {"sku": f"SKU-{n}", "product_id": n, "variant_id": n}, "locations": places})
    for n in range(items):
        add_variant(facts, {"id": n, "product_id": n, "upc": "4006381333931"})
        add_product(facts, {"id": n, "inventory_tracking": "product", "date_modified": "2026-01-01T00:00:00Z"})
""",
}


def run(tmp_path, parts: dict[str, str], items: int, memory: int = 1 << 20) -> dict[str, int]:
    program = PROGRAM.format(**parts, memory=memory)
    arguments = [sys.executable, "-c", program, str(items), str(tmp_path)]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=300)
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [SHOPIFY, BIGCOMMERCE], ids=["shopify", "bigcommerce"])
def test_memory_stays_the_same_when_the_catalogue_is_ten_times_as_large(tmp_path, parts):
    small, large = run(tmp_path, parts, 2_000), run(tmp_path, parts, 20_000)
    assert large["facts"] > 7 << 20  # several times what may be in memory
    assert large["size"] > 9 * small["size"]
    assert large["peak"] < small["peak"] + (3 << 20)


@pytest.mark.slow
def test_the_measure_sees_a_catalogue_that_is_held_in_memory(tmp_path):
    assert run(tmp_path, BIGCOMMERCE, 20_000, memory=1 << 30)["peak"] > run(tmp_path, BIGCOMMERCE, 2_000)["peak"] + (9 << 20)
