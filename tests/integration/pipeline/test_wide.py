"""Feeds with a column per warehouse: one row gives several records, on both databases."""

import pytest

WIDE = "[feed.wide]\npattern = 'Stock (?P<location>.+)'\n"


@pytest.fixture
def wide(world):
    """The feed with warehouse columns, and further configuration."""

    def configure(feed: str = "", tables: str = ""):
        world.configure(f"trust_first = true\n{feed}", WIDE + tables)
        return world.edit('\non_hand = "qty"', "")

    return configure


def levels(world) -> dict[tuple[str, str], float | None]:
    rows = world.query("SELECT * FROM inventory_v1")
    return {(r.supplier_sku, r.location): None if r.on_hand is None else float(r.on_hand) for r in rows}


def counts(result) -> tuple[int, int, int, int]:
    return result.rows_read, result.rows_accepted, result.rows_rejected, result.rows_skipped


def test_each_given_warehouse_cell_is_a_level(wide):
    world = wide()
    result = world.deliver("sku,Stock A,Stock B\nX,1,2\nY,,4\n")
    assert counts(result) == (2, 2, 0, 0)
    assert levels(world) == {("X", "A"): 1, ("X", "B"): 2, ("Y", "B"): 4}


def test_a_row_with_one_conflicting_warehouse_still_counts_for_the_others(wide):
    world = wide()
    result = world.deliver("sku,Stock A,Stock B\nX,1,2\nX,3,\nY,5,6\n")
    assert levels(world) == {("X", "B"): 2, ("Y", "A"): 5, ("Y", "B"): 6}
    assert counts(result) == (3, 2, 1, 0)


def test_a_repeated_row_is_skipped_once(wide):
    world = wide()
    result = world.deliver("sku,Stock A,Stock B\nX,1,2\nX,1,2\nY,5,6\n")
    assert counts(result) == (3, 2, 0, 1)


def test_first_keeps_the_first_value_of_each_warehouse(wide):
    world = wide('duplicates = "first"')
    result = world.deliver("sku,Stock A,Stock B\nX,1,\nX,3,4\n")
    assert levels(world) == {("X", "A"): 1, ("X", "B"): 4}
    assert counts(result) == (2, 2, 0, 0)


def test_sum_adds_up_each_warehouse(wide):
    world = wide('duplicates = "sum"')
    result = world.deliver("sku,Stock A,Stock B\nX,1,2\nX,3,4\n")
    assert levels(world) == {("X", "A"): 4, ("X", "B"): 6}
    assert result.rows_read == result.rows_accepted + result.rows_rejected + result.rows_skipped


def test_a_row_refused_by_the_contract_leaves_with_all_its_warehouses(wide):
    expect = '[[feed.expect]]\ntype = "expect_column_values_to_be_between"\ncolumn = "on_hand"\nmax_value = 50\n'
    world = wide(tables=expect)
    result = world.deliver("sku,Stock A,Stock B\nX,1,99\nY,5,6\n")
    assert levels(world) == {("Y", "A"): 5, ("Y", "B"): 6}
    assert counts(result) == (2, 1, 1, 0)


def test_lookalikes_that_also_conflict_are_counted_once(wide):
    world = wide('sku_case = "fold"')
    result = world.deliver("sku,Stock A,Stock B\nabc,1,2\nABC,3,4\nabc,5,\nY,5,6\n")
    assert levels(world) == {("Y", "A"): 5, ("Y", "B"): 6}
    assert counts(result) == (4, 1, 3, 0)


def test_every_rejected_warehouse_stays_at_its_last_good_level_and_is_unconfirmed(wide):
    world = wide()
    world.deliver("sku,Stock A,Stock B\nX,1,2\nY,5,6\n")
    world.deliver("sku,Stock A,Stock B\nX,lots,2\nY,5,7\n")
    rows = world.query("SELECT location, on_hand, missing_count, unconfirmed_count FROM inventory WHERE supplier_sku = 'X'")
    assert sorted(rows) == [("A", 1000, 0, 1), ("B", 2000, 0, 1)]


def problems(world) -> list[tuple[str, int, str]]:
    return [tuple(r) for r in world.query('SELECT code, "row", column_name FROM rejection ORDER BY number')]


def test_a_row_without_a_sku_is_told_once_however_many_warehouses_it_has(wide):
    world = wide()
    world.deliver("sku,Stock A,Stock B,Stock C\n,1,2,3\nX,1,2,3\n")
    assert problems(world) == [("SKU-BLANK", 2, "sku")]


def test_duplicates_and_lookalikes_name_the_column_of_the_file(wide):
    world = wide()
    world.deliver("sku,Stock A,Stock B\nX,1,2\nX,3,4\nabc,5,6\nABC,7,8\n")
    found = problems(world)
    assert {column for _, _, column in found} == {"sku"}
    assert {code for code, _, _ in found} == {"SKU-DUPLICATE", "SKU-LOOKALIKE"}


def test_a_row_with_several_conflicting_warehouses_is_told_once(wide):
    world = wide()
    result = world.deliver("sku,Stock A,Stock B\nX,1,2\nX,3,4\nY,5,6\nabc,1,2\nABC,3,4\n")
    assert problems(world) == [
        ("SKU-DUPLICATE", 2, "sku"),
        ("SKU-DUPLICATE", 3, "sku"),
        ("SKU-LOOKALIKE", 5, "sku"),
        ("SKU-LOOKALIKE", 6, "sku"),
    ]
    assert counts(result) == (5, 3, 2, 0)
