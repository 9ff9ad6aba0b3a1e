"""`feeds try` of EDI files: what would be ignored says so, and a stranger's interchange is not taken for a table."""

import json

import pytest

from stockfeed.cli.boundary import run
from tests.unit.formats.edi_making import invrpt, x12

SUPPLIER = """
[supplier]
code = "acme"
name = "Acme"
[[feed]]
code = "stock"
source = { type = "folder", path = "inbox" }
format = { type = "edi_x12" }
timezone = "UTC"
quantities = "net"
stale_after = "24h"
[feed.columns]
supplier_sku = "supplier_sku"
available = "available"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("suppliers", "channels"):
        (tmp_path / "config" / name).mkdir(parents=True)
    (tmp_path / "config" / "suppliers" / "acme.toml").write_text(SUPPLIER)
    return tmp_path


def test_an_order_would_be_ignored_and_says_so(here, capsys):
    (here / "order.x12").write_bytes(x12("BEG*00*NE*1", kind="850"))
    assert run(["feeds", "try", "acme.stock", "--file", "order.x12"]) == 0
    assert "IGNORED: it holds no stock for this feed" in capsys.readouterr().out
    assert run(["feeds", "try", "acme.stock", "--file", "order.x12", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["outcome"] == "ignored"


@pytest.mark.parametrize(
    ("content", "standard"),
    [(x12("LIN*1*VP*A", "QTY*33*5*EA"), "edi_x12"), (invrpt("LIN+1++A:SA", "QTY+145:5"), "edifact")],
    ids=["X12", "EDIFACT"],
)
def test_a_strangers_interchange_names_its_format_instead_of_a_guess(here, capsys, content, standard):
    (here / "stock.edi").write_bytes(content)
    assert run(["feeds", "try", "--file", "stock.edi"]) == 4
    assert f'type = "{standard}"' in capsys.readouterr().err
