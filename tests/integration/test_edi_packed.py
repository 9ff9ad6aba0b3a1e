"""An EDI file in an archive is what it is unpacked: the same stock, observations, outcomes and answers, whatever brought it."""

import pytest

from schemas.feed_config import Feed
from stockfeed.pipeline.acknowledge import acknowledge_all
from stockfeed.pipeline.trial import try_file
from stockfeed.settings import load_settings
from tests.integration.hostile_world import database_template
from tests.integration.test_edi_flow import make_world, sent, stock
from tests.unit.formats.archive_making import PACK
from tests.unit.formats.edi_making import invrpt, lines, x12

INVRPT = invrpt(*(part for n in range(40) for part in (f"LIN+{n}++4006381333931:EN", f"PIA+5+A{n}:SA", f"QTY+145:{n}:PCE")))
FILES = {"edi_x12": x12(*lines(40)), "edifact": INVRPT}


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return database_template(tmp_path_factory.mktemp("database"))


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("packed", ["gz", "zip"])
@pytest.mark.parametrize("content", ["whole", "cut"])
def test_a_packed_file_ends_as_the_unpacked_one_and_is_answered_the_same(tmp_path, template, kind, packed, content):
    plain = FILES[kind] if content == "whole" else FILES[kind][:-40]
    found = []
    for name, data in (("plain", plain), ("packed", PACK[packed](plain))):
        folder = tmp_path / name
        folder.mkdir()
        world = make_world(folder, template, kind, form='archive = "auto"')
        state = world.deliver(data, f"stock.{name}").state
        acknowledge_all(world.app, "acme.stock")
        found.append((state, stock(world), [(path.name, path.read_bytes()) for path in sent(folder)]))
        world.close()
    assert found[0] == found[1]
    assert found[0][0] == ("applied" if content == "whole" else "rejected")
    assert len(found[0][2]) == 1


@pytest.mark.parametrize("kind", FILES)
def test_a_trial_shows_the_observations_of_a_packed_file(tmp_path, kind):
    feed = Feed.model_validate({
        "code": "stock", "source": {"type": "folder", "path": "/data"}, "format": {"type": kind, "archive": "zip"},
        "timezone": "UTC", "quantities": "net", "stale_after": "48h", "decimal": ".", "duplicates": "last",
        "columns": {"supplier_sku": "supplier_sku", "available": "available", "on_hand": "on_hand"},
    })  # fmt: skip
    (tmp_path / "stock.zip").write_bytes(PACK["zip"](FILES[kind]))
    settings = load_settings({"STOCKFEED_STATE": str(tmp_path / "state")}, tmp_path)
    *found, summary = try_file(settings, feed, tmp_path / "stock.zip", stage="read")
    assert summary["outcome"] == "applied", summary
    assert len([line for line in found if line["type"] == "observation"]) == 40
