"""What is past its days leaves the outbox with a reconcile, and nothing that a key, a repair, a person or the checker may need."""

import dataclasses
from datetime import timedelta

import pytest

from stockfeed.checker import offers
from stockfeed.pipeline import reconcile as reconciling
from stockfeed.pipeline.channel_acts import pause_channel, rollback_channel
from tests.integration.publish.conftest import WHO

DAYS = 90


@pytest.fixture
def grown(simple):
    """A is sent in versions 1 to 4, B in 1 only, and the first three of A are past their days."""
    for quantity in (11, 12):
        simple.deliver("acme.stock", {"A": quantity})
        simple.publish()
    simple.clock.advance(days=DAYS, hours=1)
    simple.deliver("acme.stock", {"A": 13, "B": 20})
    simple.publish()
    assert simple.outbox() == [(sku, n, "confirmed") for sku, n in (("A", 10), ("B", 20), ("A", 11), ("A", 12), ("A", 13))]
    return simple


def test_versions_that_ended_long_ago_go_and_the_present_ones_stay(grown):
    assert grown.reconcile().outbox_removed == 3
    assert grown.outbox() == [("B", 20, "confirmed"), ("A", 13, "confirmed")]
    assert grown.reconcile().outbox_removed == 0
    assert [(what, rows) for _, what, query in offers.QUERIES if (rows := grown.query(query))] == []


def test_what_ended_within_its_days_stays(grown):
    settings = grown.app.settings.model_copy(update={"outbox_days": DAYS + 1})
    grown.app = dataclasses.replace(grown.app, settings=settings)
    assert grown.reconcile().outbox_removed == 0


def test_it_goes_a_bounded_number_at_a_time(grown, monkeypatch):
    monkeypatch.setattr(reconciling, "_REMOVED", 2)
    assert grown.reconcile().outbox_removed == 3


def test_another_channel_and_what_waits_for_a_person_stay(grown):
    other = grown.add_channel("other", approved=False)
    other.list_skus("A", "B")
    grown.allocate("other")
    for quantity in (14, 15):
        grown.deliver("acme.stock", {"A": quantity})
        grown.allocate("other")
    grown.clock.advance(days=DAYS, hours=1)
    grown.deliver("acme.stock", {"A": 15, "B": 20})
    waiting = [row for row in grown.outbox("other") if row[2] == "pending"]
    assert sorted(waiting) == [("A", 15, "pending"), ("B", 20, "pending")]
    grown.reconcile()
    assert ("A", 13, "superseded") in grown.outbox("other")
    grown.reconcile("other")
    assert grown.outbox("other") == waiting


def test_what_a_rollback_sent_stays_for_the_checker(grown):
    rollback_channel(grown.app, "shop", versions={("A", "main"): 1}, door=grown.shops["shop"], **WHO)
    grown.deliver("acme.stock", {"A": 9})
    grown.clock.advance(days=DAYS, hours=1)
    grown.deliver("acme.stock", {"A": 8, "B": 20})
    grown.reconcile()
    kept = grown.query("SELECT quantity, cause FROM publication WHERE sku = 'A' AND cause = 'rollback'")
    assert [row.quantity for row in kept] == [10]


def test_the_newest_row_of_all_stays_so_that_its_id_is_not_given_away_again(simple):
    simple.deliver("acme.stock", {"A": 11})
    simple.publish()
    newest = simple.query("SELECT MAX(id) AS id FROM publication")[0].id
    # as if the newest value had never waited
    with simple.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE available_to_sell SET version = version + 1 WHERE sku = 'A'")
    simple.clock.advance(days=DAYS, hours=1)
    limit = simple.clock.now - timedelta(days=DAYS)
    with simple.engine.connect() as connection:
        ids = reconciling.publications.spent(connection, "shop", "confirmed", limit, after=0, limit=10)
    assert newest not in ids


def test_what_the_channel_shows_stays_while_a_newer_value_has_not_reached_it(simple):
    simple.deliver("acme.stock", {"A": 11})
    simple.publish()
    pause_channel(simple.app, "shop", **WHO)
    simple.deliver("acme.stock", {"A": 3})
    simple.allocate()
    simple.clock.advance(days=DAYS, hours=1)
    simple.deliver("acme.stock", {"A": 3, "B": 20})
    simple.reconcile()
    assert [row for row in simple.outbox() if row[0] == "A"] == [("A", 11, "confirmed"), ("A", 3, "pending")]


def test_a_long_backlog_goes_with_several_reconciles(grown, monkeypatch):
    monkeypatch.setattr(reconciling, "_REMOVED", 1)
    monkeypatch.setattr(reconciling, "_MOST_REMOVED", 2)
    assert [grown.reconcile().outbox_removed for _ in range(3)] == [2, 1, 0]
