"""Pushes that are repeated: a key stands for one delivery, whatever happened to the answer."""

from stockfeed.pipeline.receive import receive
from tests.integration.uploads.door import CSV, push


def test_a_repeated_push_is_answered_with_the_delivery_it_was_whatever_has_changed_since(opened):
    world, client = opened
    first = push(client, Idempotency_Key="run-1").json()
    feed = world.app.config.feeds["acme.stock"]
    world.app.config.feeds["acme.stock"] = feed.model_copy(update={"stale_after": feed.stale_after * 2})
    again = push(client, Idempotency_Key="run-1")
    assert (again.status_code, again.json()["delivery"]) == (200, first["delivery"])
    assert len(world.query("SELECT * FROM delivery")) == 1


def test_a_key_with_another_content_is_refused_and_records_nothing(opened):
    world, client = opened
    assert push(client, Idempotency_Key="run-1").status_code == 201
    other = push(client, CSV + b"A3,7\n", Idempotency_Key="run-1")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "key")
    assert "delivery 1" in other.json()["error"]["message"]
    assert push(client, CSV + b"A3,7\n", Idempotency_Key="run-2").status_code == 201
    assert len(world.query("SELECT * FROM delivery")) == 2


def test_a_push_that_is_sent_again_while_it_is_recorded_is_asked_to_wait(opened, monkeypatch):
    world, client = opened
    inner = []

    def receiving(*arguments):
        if not inner:
            inner.append(None)
            inner[0] = push(client, Idempotency_Key="run-1")
        return receive(*arguments)

    monkeypatch.setattr("stockfeed.web.uploads.receive", receiving)
    assert push(client, Idempotency_Key="run-1").status_code == 201
    assert (inner[0].status_code, inner[0].headers["retry-after"]) == (409, "5")
    assert len(world.query("SELECT * FROM delivery")) == 1


def test_an_answer_that_was_lost_after_the_commit_is_made_good_by_the_same_key(opened, monkeypatch):
    world, client = opened

    def dies(*arguments):
        receive(*arguments)
        raise RuntimeError("the machine went down")

    monkeypatch.setattr("stockfeed.web.uploads.receive", dies)
    assert push(client, Idempotency_Key="run-1").status_code == 500
    monkeypatch.undo()
    assert push(client, Idempotency_Key="run-1").json()["state"] == "known"
    assert [one.state for one in world.sync()] == ["applied"]
