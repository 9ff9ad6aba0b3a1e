"""The bulk operation of a Shopify shop: only a whole file of a completed one is stock."""

import json

import pytest

from schemas.errors import PermanentError, StockfeedError, TransientError
from stockfeed.demo.shop import Shop
from tests.servers.feeds import CANARY
from tests.servers.shop_supplier import PLACES, Supplier, fill


@pytest.fixture
def shop():
    with Shop(token=CANARY, locations=PLACES) as running:
        yield running


@pytest.fixture
def supplier(shop, tmp_path):
    return Supplier(shop, tmp_path / "spool")


@pytest.mark.parametrize("status", ["FAILED", "CANCELED", "EXPIRED"])
def test_a_bulk_operation_that_did_not_complete_is_a_failed_read(shop, supplier, status):
    fill(shop)
    shop.bulk.outcome = status
    supplier.fails(TransientError, f"ended as {status}")
    assert shop.requests["download"] == 0


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"objectCount": "999"}, "has 28 objects, and the shop counts 999"),
        ({"rootObjectCount": "8"}, "has 7 root objects, and the shop counts 8"),
        ({"fileSize": "12"}, "bytes, and the shop counts 12"),
        ({"objectCount": None}, "failed"),
        ({"url": None}, "names no whole file"),
        ({"partialDataUrl": "https://storage.googleapis.com/part"}, "names no whole file"),
        ({"status": "CREATED_BY_SOMEBODY"}, "failed"),
    ],
)
def test_what_the_shop_says_of_its_file_must_be_so(shop, supplier, told, words):
    fill(shop)
    shop.bulk.told = told
    supplier.fails(StockfeedError, words)


def lines_of(shop: Shop, supplier: Supplier) -> list[bytes]:
    supplier.fetch()
    [operation] = shop.bulk.operations.values()
    return operation.file.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:-1], "27 objects, and the shop counts 28"),
        (lambda lines: [*lines[:-1], lines[-1][:-9]], "cut short: line 28"),
        (lambda lines: [*lines, lines[-1]], "29 objects"),
        (lambda lines: [*lines[:-1], lines[-2]], "came twice"),
        (lambda lines: [*lines[:-1], b"[1]\n"], "no object in line 28"),
        (lambda lines: [*lines[:-1], b'{"id":"gid://shopify/Product/1","__parentId":"x"}\n'], "unknown kind in line 28"),
        (lambda lines: [line.replace(b'"__parentId":"gid', b'"__parentId":"gib') for line in lines], "not the item itself"),
        (lambda lines: [*lines[:-1], b"\n"], "cut short: line 28"),
    ],
)
def test_a_file_that_is_not_what_was_promised_is_never_used(shop, supplier, change, words):
    fill(shop)
    lines = lines_of(shop, supplier)
    for path in supplier.spool.iterdir():
        path.unlink()
    shop.bulk.file = b"".join(change(lines))
    shop.bulk.told = {"fileSize": None}
    supplier.fails(TransientError, words)


def test_a_file_that_is_cut_on_the_wire_is_worth_another_try(shop, supplier):
    fill(shop)
    shop.fail_next("cut_after_accept", "download")
    supplier.fails(TransientError, "cut short")


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_file_that_is_not_given_is_worth_another_operation(shop, supplier, status):
    fill(shop)
    shop.fail_next("answer", "download", status=status)
    error = supplier.fails(TransientError, f"HTTP {status}")
    assert "X-Signature" not in str(error)
    assert len(supplier.lines()) == 14


def test_a_redirect_of_the_file_is_not_followed(shop, supplier):
    fill(shop)
    shop.fail_next("answer", "download", status=302, headers={"Location": "http://127.0.0.1:1/else"})
    supplier.fails(PermanentError, "redirects")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://elsewhere.example/f?X-Signature=s3cr3t", "at https://elsewhere.example, which is not an allowed host"),
        ("http://storage.googleapis.com/f?X-Signature=s3cr3t", "not encrypted"),
        ("https://169.254.169.254/f", "not an allowed host"),
        ("ftp://storage.googleapis.com/f", "no plain web address"),
        ("https://user:pw@storage.googleapis.com/f", "no plain web address"),
    ],
)
def test_a_file_on_another_host_is_not_asked_for(shop, supplier, url, words):
    fill(shop)
    shop.bulk.told = {"url": url}
    error = supplier.fails(PermanentError, words)
    assert "s3cr3t" not in f"{error}{error.detail}{error.hint}"


def test_the_token_is_not_sent_to_where_the_file_is(shop, supplier):
    fill(shop)
    supplier.fetch()
    [headers] = shop.downloads
    assert CANARY not in json.dumps(headers)
    assert "x-shopify-access-token" not in headers


def test_an_operation_that_takes_too_long_is_canceled(shop, supplier):
    shop.bulk.running = 10**6
    error = supplier.fails(TransientError, "took longer than 600 s and was canceled", deadline="10m")
    assert "deadline" in error.hint
    assert [one.status for one in shop.bulk.operations.values()] == ["CANCELING"]
    assert 40 < len(supplier.clock.slept) < 60


def test_the_shop_is_asked_ever_less_often_how_far_it_is(shop, supplier):
    fill(shop)
    shop.bulk.running = 12
    assert len(supplier.lines()) == 14
    assert supplier.clock.slept[0] == 1.0
    assert supplier.clock.slept == sorted(supplier.clock.slept)
    assert max(supplier.clock.slept) == 15.0


def test_a_sixth_operation_has_to_wait(shop, supplier):
    for _ in range(5):
        shop.bulk.start("{ inventoryItems { edges { node { id } } } }")
    supplier.fails(TransientError, "as many bulk operations as it can")


def test_a_query_that_the_shop_refuses_is_for_a_person(shop, supplier):
    payload = {"bulkOperation": None, "userErrors": [{"code": "INVALID", "field": ["query"], "message": "Invalid bulk query: no"}]}
    shop.fail_next("answer", "StartBulk", body={"data": {"bulkOperationRunQuery": payload}})
    supplier.fails(PermanentError, "refused the bulk operation: Invalid bulk query: no")
