"""EDI deliveries from the folder to the database and back: what is applied, ignored, held, and what is sent back."""

import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from stockfeed.pipeline.acknowledge import acknowledge_all
from stockfeed.pipeline.acts import release_delivery
from tests.conftest import REPOSITORY
from tests.integration.hostile_world import HostileWorld, HourClock, database_template
from tests.integration.test_hostile_edi import feed_toml
from tests.unit.formats.edi_making import invrpt, lines, x12


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return database_template(tmp_path_factory.mktemp("database"))


@pytest.fixture
def world(tmp_path, template):
    found = make_world(tmp_path, template)
    yield found
    found.close()


def make_world(tmp_path, template, kind="edi_x12", **more):
    config = feed_toml(tmp_path / "inbox", kind, **more).replace('pattern = "*"', f'pattern = "*", answers_to = "{tmp_path}/out"')
    return HostileWorld(tmp_path, config, HourClock(), template)


def stock(world):
    return {r.supplier_sku: None if r.available is None else float(r.available) for r in world.query("SELECT * FROM inventory_v1")}


def sent(tmp_path):
    return sorted((tmp_path / "out").iterdir()) if (tmp_path / "out").exists() else []


def test_an_846_is_applied_and_its_997_is_put_where_answers_go(tmp_path, world):
    assert world.deliver(x12(*lines(3)), "a.x12").state == "applied"
    assert stock(world) == {"AB-00001": 1.0, "AB-00002": 2.0, "AB-00003": 3.0}
    assert sent(tmp_path) == []
    assert acknowledge_all(world.app, "acme.stock") == 1
    (answer,) = sent(tmp_path)
    assert "AK5*A~" in answer.read_text()
    assert "TA1*000000905*261123*1253*A*000~" in answer.read_text()


def test_a_refused_846_is_answered_with_the_reason(tmp_path, world):
    assert world.deliver(x12(*lines(3), said=4), "a.x12").state == "rejected"
    acknowledge_all(world.app, "acme.stock")
    (answer,) = sent(tmp_path)
    assert "AK5*R*4~" in answer.read_text()
    assert stock(world) == {}


def test_a_delivery_that_a_person_releases_is_not_answered_again(tmp_path, world):
    world.deliver(x12(*lines(3)), "a.x12")
    again = world.deliver(x12(*lines(4)), "b.x12")
    assert again.state == "held"
    assert acknowledge_all(world.app, "acme.stock") == 2
    before = {path: path.read_bytes() for path in sent(tmp_path)}
    assert release_delivery(world.app, 2, actor="ops", reason="their number was reset").state == "applied"
    assert acknowledge_all(world.app, "acme.stock") == 0
    assert {path: path.read_bytes() for path in sent(tmp_path)} == before


KILLED = """
import sys
from pathlib import Path
from stockfeed.bootstrap import open_app
from stockfeed.pipeline.acknowledge import acknowledge_all
from stockfeed.pipeline.acts import release_delivery
from stockfeed.settings import load_settings
from tests.crash import killer, points

points.BY_NAME["here"] = points.Point("here", sys.argv[2], "stockfeed.pipeline.acknowledge:acknowledge")
root = Path(sys.argv[1])
environ = {"STOCKFEED_CONFIG": str(root / "config"), "STOCKFEED_STATE": str(root / "state"),
           "STOCKFEED_DATABASE_URL": f"sqlite:///{root / 'db.sqlite3'}"}
with open_app(load_settings(environ, root)) as app:
    killer.arm("here", sys.argv[3])
    acknowledge_all(app, "acme.stock")
"""


@pytest.mark.parametrize(
    ("function", "side", "is_sent"),
    [
        ("stockfeed.store.deliveries:change", "before", True),
        ("stockfeed.store.deliveries:change", "after", True),
        ("connectors.folder:LocalFolder.put", "before", False),
        ("os:replace", "before", False),
        ("os:replace", "after", True),
    ],
)
def test_an_answer_sent_again_after_a_kill_is_the_same_file(tmp_path, world, function, side, is_sent):
    world.deliver(x12(*lines(1)), "a.x12")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), function, side], cwd=REPOSITORY, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    before = {path.name: path.read_bytes() for path in sent(tmp_path) if path.suffix == ".x12"}
    assert len(before) == is_sent
    world.clock.now = datetime(2027, 1, 1, tzinfo=UTC)
    assert acknowledge_all(world.app, "acme.stock") == 1
    (again,) = sent(tmp_path)
    assert before in ({}, {again.name: again.read_bytes()})
    assert acknowledge_all(world.app, "acme.stock") == 0


def test_the_same_file_again_is_answered_by_the_same_file(tmp_path, world):
    world.deliver(x12(*lines(3)), "a.x12")
    acknowledge_all(world.app, "acme.stock")
    (first,) = sent(tmp_path)
    before = first.read_bytes()
    assert world.deliver(x12(*lines(3)), "b.x12").state == "unchanged"
    assert acknowledge_all(world.app, "acme.stock") == 1
    assert [(path, path.read_bytes()) for path in sent(tmp_path)] == [(first, before)]


def test_what_is_held_or_rejected_for_its_content_is_acknowledged_as_well_written(tmp_path, world):
    assert world.deliver(x12(*(part for n in range(40) for part in (f"LIN**VP*A{n}", "QTY*33*0"))), "a.x12").state == "held"
    assert world.deliver(x12(*(part for n in range(40) for part in (f"LIN**VP*A{n}", "QTY*33*x")), control=2), "b.x12").state in {
        "held",
        "rejected",
    }
    assert acknowledge_all(world.app, "acme.stock") == 2
    assert all("AK5*A~" in path.read_text() and "*A*000~" in path.read_text() for path in sent(tmp_path))


def test_a_used_control_number_with_other_content_is_held_and_refused_as_a_duplicate(tmp_path, world):
    world.deliver(x12(*lines(3)), "a.x12")
    acknowledge_all(world.app, "acme.stock")
    outcome = world.deliver(x12("LIN**VP*AB-00001", "QTY*33*9"), "b.x12")
    assert outcome.state == "held"
    assert "ISA13 000000905 seen before" in outcome.told
    acknowledge_all(world.app, "acme.stock")
    assert sorted("*R*025~" in path.read_text() for path in sent(tmp_path)) == [False, True]
    assert stock(world)["AB-00001"] == 1.0


def test_a_rejected_interchange_may_come_again_corrected_under_its_number(world):
    assert world.deliver(x12(*lines(2), said=4), "a.x12").state == "rejected"
    assert world.deliver(x12(*lines(2)), "b.x12").state == "applied"


def test_an_inquiry_and_an_order_change_nothing(world):
    world.deliver(x12(*lines(2)), "a.x12")
    assert world.deliver(x12("LIN*1*VP*AB-00001", control=2), "b.x12").state == "ignored"
    assert world.deliver(x12("PO1*1*5*EA", kind="850", control=3), "c.x12").state == "ignored"
    assert world.deliver(x12(*lines(2), purpose="13", control=4), "d.x12").state == "ignored"
    assert len(stock(world)) == 2


def test_a_list_of_changes_leaves_what_it_does_not_name(tmp_path, template):
    world = make_world(tmp_path, template, extra="missing_after = 1")
    world.deliver(x12(*lines(40)), "a.x12")
    outcome = world.deliver(x12("LIN*1*VP*AB-00001", "QTY*33*7", purpose="25", control=2), "b.x12")
    found = stock(world)
    world.close()
    assert outcome.state == "applied"
    assert len(found) == 40
    assert (found["AB-00001"], found["AB-00040"]) == (7.0, 40.0)


def test_a_tolerated_segment_count_is_told_each_time(tmp_path, template):
    world = make_world(tmp_path, template, extra='tolerate = ["SE01"]')
    outcomes = [world.deliver(x12(*lines(n), said=99, control=n), f"{n}.x12") for n in (1, 2)]
    cut = world.deliver(x12(*lines(3), said=99, control=3)[:-25], "cut.x12")
    world.close()
    assert [o.state for o in outcomes] == ["applied", "applied"]
    assert all("tolerated: SE01 says 99" in o.told for o in outcomes)
    assert cut.state == "rejected"


def test_a_line_without_a_quantity_is_unknown_and_not_0(world):
    world.deliver(x12(*lines(30)), "a.x12")
    body = ("LIN**VP*AB-00001", "QTY*QA*5", "LIN**VP*AB-00002", "QTY*33*0", *lines(30)[4:])
    outcome = world.deliver(x12(*body, control=2), "b.x12")
    assert [p["code"] for p in outcome.problems] == ["QTY-BLANK"]
    assert (stock(world)["AB-00001"], stock(world)["AB-00002"]) == (1.0, 0.0)


def test_an_invrpt_is_applied_and_answered_with_contrl(tmp_path, template):
    world = make_world(tmp_path, template, "edifact", sku="gtin")
    assert world.deliver(invrpt("LIN+1++4006381333931:EN", "QTY+145:10:PCE"), "a.edi").state == "applied"
    acknowledge_all(world.app, "acme.stock")
    (answer,) = sent(tmp_path)
    world.close()
    assert "UCI+905+SUPPLIER:14+BUYER:14+7'" in answer.read_text()


def test_a_sales_report_is_refused(tmp_path, template):
    world = make_world(tmp_path, template, "edifact", sku="gtin")
    outcome = world.deliver(invrpt("LIN+1++4006381333931:EN", "QTY+153:10:PCE", kind="SLSRPT:D:96A:UN:EAN004"), "a.edi")
    world.close()
    assert outcome.state == "rejected"
    assert "SLSRPT" in outcome.reason
