"""The demo shop's front page: what a customer could buy now, and a button that buys one.

Never loads anything from elsewhere: one page, its own style, no script.
"""

from html import escape
from urllib.parse import urlencode

from stockfeed.demo.shop_stock import ShopStock

_MOST_ROWS = 500
_STYLE = """
:root{color-scheme:light dark;
--line:color-mix(in srgb,currentColor 14%,transparent);
--soft:color-mix(in srgb,currentColor 62%,transparent);
--good:#1a7f4b;--none:#b3402a}
@media(prefers-color-scheme:dark){:root{--good:#5fd19a;--none:#ff9b85}}
*{box-sizing:border-box}body{margin:0;font:16px/1.5 system-ui,sans-serif}
main{max-width:56rem;margin:0 auto;padding:clamp(1rem,4vw,3rem) 1rem}
h1{font-size:clamp(1.4rem,4vw,2rem);margin:0}p{color:var(--soft);margin:.25rem 0 1.5rem}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.75rem;margin:0 0 1.5rem}
dl div{border:1px solid var(--line);border-radius:.75rem;padding:.75rem 1rem}dt{color:var(--soft);font-size:.85rem}
dd{margin:0;font-size:1.5rem;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{padding:.5rem .75rem;border-bottom:1px solid var(--line);text-align:left}
th{font-size:.85rem;color:var(--soft);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.sku{font-family:ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
.yes{color:var(--good);font-weight:600}.no{color:var(--none);font-weight:600}form{margin:0}
button{font:inherit;padding:.2rem .8rem;border:1px solid var(--line);border-radius:.5rem;
background:none;color:inherit;cursor:pointer}
button:disabled{opacity:.35;cursor:default}button:focus-visible{outline:2px solid;outline-offset:2px}
"""


def render_page(stock: ShopStock) -> str:
    """Return the whole HTML page for the present state, at most 500 items of it."""
    with stock.lock:
        rows = [(item.sku or "(no SKU)", sum(item.available.values()), item.sold) for item in stock.items.values()]
        written = len(stock.log)
    units, sold = sum(row[1] for row in rows), sum(row[2] for row in rows)
    tiles = {"Items": len(rows), "Units available": units, "Units sold": sold, "Quantities received": written}
    more = f"<p>The first {_MOST_ROWS} of {len(rows):,} items.</p>" if len(rows) > _MOST_ROWS else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="refresh" content="4"><title>Demo shop</title><style>{_STYLE}</style></head>
<body><main><h1>Demo shop</h1><p>A local stand-in for a sales channel. It shows what it was told and sells it.</p>
<dl>{"".join(f"<div><dt>{name}</dt><dd>{value:,}</dd></div>" for name, value in tiles.items())}</dl>
<div class="wide"><table><thead><tr><th scope="col">SKU</th><th scope="col" class="n">Available</th>
<th scope="col" class="n">Sold</th><th scope="col"><span hidden>Buy</span></th></tr></thead>
<tbody>{"".join(_row(*row) for row in rows[:_MOST_ROWS])}</tbody></table></div>{more}</main></body></html>
"""


def _row(sku: str, available: int, sold: int) -> str:
    action = escape("/sell?" + urlencode({"sku": sku, "units": 1, "back": 1}), quote=True)
    state, disabled = ("yes", "") if available > 0 else ("no", " disabled")
    return (
        f'<tr><td class="sku">{escape(sku)}</td><td class="n {state}">{available:,}</td><td class="n">{sold:,}</td>'
        f'<td class="n"><form method="post" action="{action}"><button{disabled} aria-label="Buy one {escape(sku, quote=True)}">'
        "Buy 1</button></form></td></tr>"
    )
