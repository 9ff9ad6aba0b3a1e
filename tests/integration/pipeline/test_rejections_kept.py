"""Row problems are kept up to STOCKFEED_REJECTIONS_KEPT of one delivery; all of them are counted."""

from dataclasses import replace

import pytest


@pytest.mark.parametrize(("bad", "kept"), [(2, 2), (3, 3), (4, 3)])
def test_problems_are_kept_up_to_the_limit_and_all_are_counted(world, bad, kept):
    world.configure(tables="[feed.guard]\nenabled = false\n")
    world.app = replace(world.app, settings=world.app.settings.model_copy(update={"rejections_kept": 3}))
    result = world.deliver({f"S{n}": 1 for n in range(20)} | {f"B{n}": "lots" for n in range(bad)})
    assert (result.state, result.rows_rejected) == ("applied", bad)
    stored = world.query("SELECT number FROM rejection ORDER BY number")
    assert [row.number for row in stored] == list(range(1, kept + 1))
    assert [row.rows_rejected for row in world.query("SELECT rows_rejected FROM delivery")] == [bad]
