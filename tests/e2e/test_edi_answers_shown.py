"""What ops see of the answers to EDI deliveries, and can send to a partner who lost them."""

import re
from datetime import UTC, datetime

import pytest

from tests.servers.site import Site
from tests.unit.formats.edi_making import lines, x12

AT = datetime(2026, 11, 23, 13, tzinfo=UTC)
COLUMNS = '{ supplier_sku = "supplier_sku", available = "available" }'


@pytest.fixture
def edi_site(bare_site: Site):
    def make(answers: str = ', answers_to = "../../out"') -> Site:
        assert bare_site("db", "upgrade").code == 0
        source = f'{{ type = "folder", path = "in/acme", settle = "0s"{answers} }}'
        bare_site.add_supplier(source=source, form="edi_x12", columns=COLUMNS)
        bare_site.date(bare_site.inbox / "acme" / "stock.x12", x12(*lines(2), "QTY*17*\x1b[31m*EA"), AT)
        return bare_site

    return make


def test_what_was_sent_is_shown_and_written_again(edi_site):
    site = edi_site()
    assert site("sync").code == 0
    (sent,) = (site.folder / "out").iterdir()
    answer = site("deliveries", "answers", "1")
    assert answer.code == 0
    assert answer.out.splitlines()[0] == f"{sent.name} (sent)"
    assert [line.strip() for line in answer.out.splitlines()[1:]] == sent.read_text().splitlines()
    (row,) = site.rows("deliveries", "answers", "1")
    shown = {"name": sent.name, "state": "sent", "content": sent.read_text()}
    assert row == {"v": 1, "type": "answer", "delivery_id": 1, **shown}
    assert site("deliveries", "answers", "1", "--output", "again/997").out == f"{sent.name} (sent)\n"
    assert (site.folder / "again/997" / sent.name).read_bytes() == sent.read_bytes()


def test_without_a_place_for_answers_it_says_that_none_was_sent(edi_site):
    site = edi_site("")
    assert site("sync").code == 0
    told = site("deliveries", "answers", "1").out.splitlines()[0]
    assert re.fullmatch(r"SUPPLIER-000000905-997-\w{8}-1\.x12 \(not sent: .*`answers_to`\)", told)
    assert [row["state"] for row in site.rows("deliveries", "answers", "1")] == ["unsent"]


def test_a_delivery_that_did_not_end_and_one_of_another_format_have_none(edi_site):
    site = edi_site()
    site("deliveries", "add", "acme.stock", str(site.inbox / "acme/stock.x12"), "--record-only")
    assert site("deliveries", "answers", "1").out.startswith("Delivery 1 has no answers: ")
    assert site.rows("deliveries", "answers", "1") == []
    unknown = site("deliveries", "answers", "2")
    assert (unknown.code, unknown.told[0]) == (4, "Error: there is no delivery 2")
