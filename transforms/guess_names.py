"""What a header name may mean: words that suppliers use for SKU, quantities, barcodes and so on, in several languages.

Never decides alone: `guess` weighs the names against what stands in the cells. No feed is ever read by these words.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_WITHIN_FROM = 3  # a shorter name inside another one proves nothing

#: field → names, best first; all folded (no case, no accents, words apart). A later name is a weaker sign.
NAMES: Mapping[str, tuple[str, ...]] = {
    "supplier_sku": (
        "sku", "variant sku", "supplier sku", "article number", "item number", "part number", "product number", "product code",
        "item code", "article no", "item no", "part no", "stock code", "seller sku", "artikelnummer", "artikel nr", "artikelnr",
        "art nr", "bestellnummer", "material", "materialnummer", "matnr",
        "codigo", "referencia", "cod articulo", "codice", "codice articolo",
        "idprod", "cod art", "reference", "code article", "ref", "artikelcode", "varenummer", "varenr", "tuotenumero",
        "numer katalogowy", "indeks", "kod produktu", "symbol", "cikkszam", "kod",
        "артикул", "код товара", "код", "品番", "货号", "貨號",
        "商品コード", "型号", "item id", "product id", "article", "artikel",
        "articulo", "articolo", "part", "id", "product", "produit",
        "producto", "name", "item name", "product name", "bezeichnung", "designation", "nombre", "nom commercial", "номенклатура",
        "наименование товара", "наименование", "品名", "商品名",
    ),
    "on_hand": (
        "on hand", "quantity on hand", "qty on hand", "stock on hand", "quantity", "qty", "stock", "stock qty", "stock quantity",
        "inventory quantity", "variant inventory qty", "inventoried quantity", "current quantity", "inventory", "bestand",
        "lagerbestand", "menge", "lager", "existencias", "cantidad", "giacenza", "quantita", "qta", "esistenza", "quantite",
        "quantite en stock", "qte", "en stock", "voorraad", "aantal", "lagersaldo", "saldo", "antal", "varasto", "stan", "ilosc",
        "stan magazynowy", "keszlet", "mnozstvi", "estoque", "quantidade",
        "остаток", "количество", "наличие", "库存", "数量", "庫存",
        "在庫", "在庫数", "stock level", "units", "labst",
    ),
    "available": (
        "available", "available quantity", "quantity available", "available stock", "qty available", "free stock", "free to use",
        "atp", "verfugbar", "verfugbare menge", "disponible",
        "disponibilidad", "libre utilizacion", "disponibile", "disponibilita",
        "beschikbaar", "disponivel", "dostepne", "dostepnosc", "доступно", "свободно", "可用", "availability", "free",
    ),
    "on_order": ("on order", "incoming", "inbound", "in transit", "bestellt", "en commande", "in arrivo", "en pedido", "在途"),
    "location": (
        "location", "warehouse", "warehouse code", "source code", "store",
        "plant", "werk", "werks", "lgort", "lagerort", "almacen", "magazzino", "entrepot",
        "depot", "magazijn", "magazyn", "склад", "仓库", "倉庫", "branch", "site",
    ),
    "condition": ("condition", "zustand", "etat", "condizione", "estado", "conditie"),
    "unit": ("unit", "uom", "unit of measure", "unidad", "unidad medida base", "einheit", "mengeneinheit", "meins", "unite",
             "unita", "eenheid", "jednostka", "единица измерения", "ед изм", "单位"),
    "next_available_on": (
        "next available", "eta", "available from", "restock date", "expected", "expected date", "next delivery", "delivery date",
        "wieder da", "verfugbar ab", "lieferdatum", "liefertermin", "wareneingang", "date de disponibilite", "date disponibilite",
        "fecha disponible", "disponibilitafutura", "data arrivo", "verwacht", "leverdatum", "дата поступления",
    ),
    "unit_cost": (
        "cost", "unit cost", "cost price", "costo", "net price", "dealer price", "purchase price", "wholesale price", "ek",
        "einkaufspreis", "ek preis", "nettopreis", "prix achat",
        "pa ht", "prezzo acquisto", "inkoopprijs", "cena zakupu", "закупка",
        "стоимость опт",
    ),
    "price": (
        "price", "retail price", "variant price", "price gross", "rrp",
        "msrp", "vk", "preis", "verkaufspreis", "prix", "prix public",
        "precio", "prezzo", "preco", "prijs", "prijs incl heffingen", "cena", "pris", "цена", "стоимость", "价格", "単価",
    ),
    "currency": ("currency", "currency code", "wahrung", "waehrung", "devise", "moneda", "valuta", "waluta", "moeda", "валюта"),
    "gtin": ("gtin", "ean", "ean13", "ean code", "upc", "barcode", "variant barcode", "bar code", "code barre", "codigo de barras",
             "codice a barre", "strichcode", "streepjescode", "штрихкод", "штрих код", "jan code", "条码"),
    "mpn": ("mpn", "manufacturer part number", "herstellernummer", "hersteller nr", "fabrikantscode", "codven", "codigo prov",
            "cod prov", "ref fabricant", "mfr part number"),
}  # fmt: skip
#: With one of these words a name is no stock quantity, cost or key, whatever else it says.
_NOT_A_QUANTITY = frozenset(
    [
        "min",
        "minimum",
        "max",
        "maximum",
        "price",
        "prix",
        "preis",
        "cost",
        "bound",
        "lower",
        "upper",
        "alert",
        "reorder",
        "sold",
        "sale",
        "sales",
        "order",
        "ordered",
        "reserved",
        "committed",
        "unavailable",
        "pack",
        "weight",
        "percent",
        "inward",
        "outward",
        "incoming",
        "transit",
        "new",
        "value",
        "type",
        "tracker",
        "policy",
        "status",
        "security",
        "securite",
        "alerte",
        "date",
        "last",
        "grams",
        "weight",
        "position",
        "venta",
        "jours",
        "days",
        "temps",
        "year",
        "month",
        "hs",
        "code",
        "id",
        "mindestbestand",
        "sicurezza",
        "demande",
        "pedido",
        "entreg",
        "enabled",
        "level",
    ]
)
_MONEY = frozenset("$€£¥₽%")
#: Months, quarters, weeks and years, as columns of demand and plans are called: folded, with a year or not.
_PERIOD = re.compile(
    r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec|mrz|mai|juni|juli|okt|dez|fev|avr|juin|juil|aout|ene|abr|ago|dic"
    r"|january|february|march|april|august|september|october|november|december|januar|februar|marz|oktober|dezember"
    r"|janvier|fevrier|mars|avril|juillet|septembre|octobre|novembre|decembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto"
    r"|septiembre|octubre|noviembre|diciembre|(?:q|w|wk|week|kw|cw|month|day) ?[0-9]{1,2})(?: (?:20)?[0-9]{2})?"
    r"|(?:19|20)[0-9]{2}(?: (?:q|w|kw)?[0-9]{1,2}){0,2}|[0-9]{1,2} 20[0-9]{2}",
    re.ASCII,
)
_NOT_A_KEY = frozenset(["type", "group", "parent", "category", "supplier", "vendor", "store", "location", "image"])
_WORD = re.compile(r"[^\W_]+")
EXACT, WITHIN = 1.0, 0.6
_TOTALS = "total|totals|grand total|sum|summe|gesamt|somme|totale|totaal|suma|razem|итого|всего|合计|合計|小计"


@lru_cache(maxsize=4096)
def folded(name: str) -> str:
    """Return a header name as words apart, without case, accents and punctuation ("Qté_en-Stock " → "qte en stock")."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    return " ".join(_WORD.findall(plain))


@lru_cache(maxsize=16384)
def meaning(name: str, field: str) -> tuple[float, str]:
    """Return how strongly `name` means `field` (0 to 1) and the known name by which it does ("" when it does not)."""
    text = folded(name)
    words = set(text.split())
    if (
        not text
        or (field in {"on_hand", "available"} and not may_be_a_quantity(name))
        or (field == "supplier_sku" and words & _NOT_A_KEY)
    ):
        return 0.0, ""
    known = _folded_names(field)
    best = (0.0, "")
    for place, one in enumerate(known):
        weight = 1 - 0.6 * place / len(known)
        if one == text:
            return EXACT * weight, one
        if (len(one) >= _WITHIN_FROM and f" {one} " in f" {text} ") and WITHIN * weight > best[0]:
            best = WITHIN * weight, one
    return best


@lru_cache(maxsize=32)
def _folded_names(field: str) -> tuple[str, ...]:
    return tuple(folded(one) for one in NAMES[field])


def may_be_a_quantity(name: str) -> bool:
    """Return whether no word of `name` says that it is something else than a stock quantity; never for a blank name."""
    return bool(name.strip()) and not set(folded(name).split()) & _NOT_A_QUANTITY and not set(name) & _MONEY


def is_a_period(name: str) -> bool:
    """Return whether `name` is that of a month, quarter, week, day or year."""
    return _PERIOD.fullmatch(folded(name)) is not None


def names_a_field(name: str) -> bool:
    """Return whether `name` is exactly one of the names known for any field, or holds one as a phrase of its own."""
    return any(meaning(name, field)[0] > 0 for field in NAMES)


def total_words() -> str:
    """Return the regular expression of a totals row: one of the words for a total begins its first filled cell."""
    return rf"(?i)^\t*(?:{_TOTALS})(?:[\s:]|$)"
