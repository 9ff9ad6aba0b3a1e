"""What is kept of a Magento or WooCommerce catalogue does not grow with it: a process of its own reads ten times as many items."""

import pytest

from tests.integration.test_storefront_memory import run

MAGENTO = {
    "imports": """
from connectors.magento_items import Catalogue
SortedFacts.__init__.__kwdefaults__["memory"] = 1 << 20
""",
    "feeding": """
def fill(facts):
    catalogue = Catalogue(folder, "shop", "ean", 1 << 40)
    catalogue.choose([{"source_code": code, "enabled": True} for code in ("a", "b")], ())
    for n in range(items):
        ean = [{"attribute_code": "ean", "value": "4006381333931"}]
        product = {"id": n + 1, "sku": f"SKU-{n * 7919 % items}", "type_id": "simple", "status": 1, "custom_attributes": ean}
        catalogue.add_product(product | {"updated_at": "2026-01-01 00:00:00"})
        catalogue.add_stock_item({"product_id": n + 1, "manage_stock": True})
        for code in ("a", "b"):
            catalogue.add_source_item({"sku": f"SKU-{n}", "source_code": code, "quantity": n, "status": 1})
    facts.catalogue, facts._size = catalogue, catalogue._by_id._size + catalogue._by_sku._size

def stock_lines(facts, count):
    with facts.catalogue as catalogue:
        yield from catalogue.lines(dict)
""",
}
WOOCOMMERCE = {
    "imports": "from connectors.woocommerce_items import Shelf",
    "feeding": """
def fill(facts):
    for n in range(items * 2):
        product = {"id": n + 1, "sku": f"SKU-{n}", "global_unique_id": "4006381333931", "status": "publish", "type": "simple"}
        product |= {"manage_stock": True, "stock_quantity": n, "stock_status": "instock"}
        product |= {"date_modified_gmt": "2026-01-01T00:00:00"}
        facts.add((f"{n + 1:020d}",), product)

def stock_lines(facts, count):
    shelf = Shelf("shop")
    for _, product in facts:
        yield from shelf.lines(product, [])
""",
}


@pytest.mark.parametrize("parts", [MAGENTO, WOOCOMMERCE], ids=["magento", "woocommerce"])
def test_memory_stays_the_same_when_the_catalogue_is_ten_times_as_large(tmp_path, parts):
    small, large = run(tmp_path, parts, 2_000), run(tmp_path, parts, 20_000)
    assert large["facts"] > 6 << 20  # several times what may be in memory
    assert large["size"] > 9 * small["size"]
    assert large["peak"] < small["peak"] + (4 << 20)
