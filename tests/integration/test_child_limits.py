"""The bounds that the system keeps for a reading child, at the bound; and how every death of the child ends a delivery (X19)."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import fields

import pytest

from schemas.errors import ConfigError, DeliveryError
from schemas.feed_config import TypedSection
from stockfeed.reading import checked_options, read_batches
from tests.integration.hostile_world import HostileWorld, HourClock, database_template, feed_toml
from tests.integration.reading_children import reading_children, wait_for_a_child, workbook
from transforms.formats.limits import Limits
from transforms.formats.registry import names

LIMITED = """
import mmap, os, resource, time
from stockfeed.reading_child import _data_bytes, limit_this_process
from transforms.formats.limits import Limits
"""


def limited(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, with the parts of the reading child that set limits."""
    command = [sys.executable, "-c", LIMITED + textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


#: What a format cannot do without.
NEEDED = {"fixed_width": {"fields": {"SKU": [1, 8]}}, "xml_doc": {"rows": "//item"}}


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
@pytest.mark.parametrize("form", names())
def test_every_limit_is_a_key_of_the_feed(form, name):
    options = checked_options(TypedSection(type=form, limits={name: 7}, **NEEDED.get(form, {})))
    assert getattr(options.limits, name) == 7
    with pytest.raises(ConfigError):
        checked_options(TypedSection(type=form, limits={name: "much"}, **NEEDED.get(form, {})))


def test_a_misspelt_limit_is_refused():
    with pytest.raises(ConfigError, match=r"format\.limits\.memory_byte"):
        checked_options(TypedSection(type="spreadsheet", limits={"memory_byte": 7}))


def test_memory_is_given_up_to_the_limit_and_not_a_page_beyond():
    done = limited("""
        limit_this_process(Limits(memory_bytes=64_000_000))
        allowed, _ = resource.getrlimit(resource.RLIMIT_DATA)
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        room = allowed - _data_bytes()
        assert 0 <= 64_000_000 - room < 4_000_000, room
        for pages, granted in ((-1, True), (0, True), (1, False)):
            room = (allowed - _data_bytes()) // mmap.PAGESIZE * mmap.PAGESIZE
            try:
                mmap.mmap(-1, room + pages * mmap.PAGESIZE, flags=private).close()
            except OSError:
                assert not granted, pages
            else:
                assert granted, pages
        print("done")
    """)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_what_a_library_s_thread_takes_for_itself_is_no_part_of_the_limit():
    done = limited("""
        import hashlib, threading
        taken, rest = [], threading.Event()
        def begin_late():
            hashlib.sha256(bytes(150_000_000)).digest()  # at work outside Python for a while
            taken.append(mmap.mmap(-1, 30_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            rest.wait()
        threading.Thread(target=begin_late, daemon=True).start()
        limit_this_process(Limits(memory_bytes=64_000_000))
        room = resource.getrlimit(resource.RLIMIT_DATA)[0] - _data_bytes()
        assert taken and 0 <= 64_000_000 - room < 4_000_000, (taken, room)
        print("done")
    """)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def burn(beyond: float) -> subprocess.CompletedProcess[str]:
    """Use processor time up to `beyond` seconds more than a limit of 2 seconds allows; the system counts it in ticks."""
    return limited(f"""
        limit_this_process(Limits(cpu_seconds=2))
        allowed, killed = resource.getrlimit(resource.RLIMIT_CPU)
        assert (killed - allowed, 2 <= allowed - time.process_time() <= 3) == (2, True)
        while time.process_time() < allowed + {beyond}:
            pass
        print("done")
    """)


def test_processor_time_is_given_up_to_the_limit():
    done = burn(-1)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_processor_time_beyond_the_limit_ends_the_process():
    assert burn(+1).returncode == -signal.SIGXCPU


def child_of(batches):
    """The child process behind a generator of batches."""
    return batches.gi_frame.f_locals["batches"].gi_frame.f_locals["process"]


def test_a_child_that_hangs_is_a_limit_and_is_gone(tmp_path):
    path = workbook(tmp_path / "stock.xlsx", rows=30_000)
    batches = read_batches(path, TypedSection(type="spreadsheet", batch_rows=10))
    next(batches)
    (child,) = reading_children()
    os.kill(child, signal.SIGSTOP)
    child_of(batches)._waited = Limits().wall_seconds - 0.2  # nearly all of the time is over
    with pytest.raises(DeliveryError) as caught:
        list(batches)
    assert (caught.value.code, "wall_seconds" in caught.value.message) == ("FILE-LIMIT", True)
    assert not reading_children()


def test_a_child_that_ends_well_without_having_finished_is_a_crash(tmp_path):
    """The end of its standard input ends the child with exit code 0, wherever it is."""
    path = workbook(tmp_path / "stock.xlsx", rows=30_000)
    batches = read_batches(path, TypedSection(type="spreadsheet", batch_rows=10))
    next(batches)
    child_of(batches)._process.stdin.close()
    with pytest.raises(DeliveryError, match="exit code 0") as caught:
        list(batches)
    assert caught.value.code == "FILE-CRASH"
    assert not reading_children()


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return database_template(tmp_path_factory.mktemp("database"))


def made_world(tmp_path, template, **limits):
    form = {"type": "spreadsheet", "batch_rows": 10, "limits": limits}
    return HostileWorld(tmp_path, feed_toml(tmp_path / "inbox", form, ("sku", "quantity")), HourClock(), template)


def assert_the_next_one_is_read(world, tmp_path):
    after = workbook(tmp_path / "after.xlsx", quantity=5)
    (outcome,) = [o for o in (world.deliver(after.read_bytes(), "after.xlsx"),) if o.name == "after.xlsx"]
    assert (outcome.state, world.stock()) == ("applied", {"A0": 5, "A1": 5})


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        *((signal.SIGKILL, "SIGKILL"), (signal.SIGABRT, "SIGABRT"), (signal.SIGSEGV, "SIGSEGV"), (signal.SIGTERM, "SIGTERM")),
        (signal.SIGRTMIN + 3, str(signal.SIGRTMIN + 3)),
    ],
)
def test_a_child_that_is_killed_is_a_rejected_delivery_with_its_reason_and_the_worker_goes_on(tmp_path, template, sent, words):
    world = made_world(tmp_path, template)
    world.put(workbook(tmp_path / "big.xlsx", rows=30_000).read_bytes(), "big.xlsx")
    killer = threading.Thread(target=lambda: os.kill(wait_for_a_child(os.getpid()), sent))
    killer.start()
    (outcome,) = world.sync()
    killer.join()
    assert (outcome.state, world.stock()) == ("rejected", {})
    assert f"the reader crashed on this file: it was stopped by the signal {words}" in outcome.reason
    assert_the_next_one_is_read(world, tmp_path)
    world.close()


@pytest.mark.parametrize(
    ("limit", "rows"), [({"memory_bytes": 2_000_000}, 30_000), ({"cpu_seconds": 0}, 60_000), ({"wall_seconds": 0}, 2)]
)
def test_a_child_over_a_limit_is_a_rejected_delivery_that_names_the_limit(tmp_path, template, limit, rows):
    (name,) = limit
    world = made_world(tmp_path, template, **limit)
    outcome = world.deliver(workbook(tmp_path / "big.xlsx", rows=rows).read_bytes(), "big.xlsx")
    assert (outcome.state, world.stock()) == ("rejected", {})
    assert f"which is the limit ({name})" in outcome.reason
    assert not reading_children()
    world.close()
