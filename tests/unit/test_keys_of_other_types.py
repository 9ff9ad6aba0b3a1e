"""A key that `type` does not know is told with the type that does, since a template lists the keys of every format."""

import pytest

from stockfeed.settings import ConfigMistakesError, load_config, load_settings
from tests.unit.config_files import SUPPLIER, write_config


def mistake_in(folder, old: str, new: str) -> str:
    assert old in SUPPLIER
    write_config(folder, {"acme": SUPPLIER.replace(old, new)}, None)
    with pytest.raises(ConfigMistakesError) as caught:
        load_config(load_settings({}, cwd=folder))
    [mistake] = caught.value.mistakes
    return f"{mistake.key}: {mistake.message}"


@pytest.mark.parametrize(
    ("kind", "key", "told"),
    [
        ("delimited", 'sheet = "Stock"', "feed.format.sheet: unknown key; it is a key of spreadsheet, not of delimited"),
        (
            "delimited",
            'rows = "//item"',
            "feed.format.rows: unknown key; did you mean skip_rows? (it is a key of json_doc, xml_doc, not of delimited)",
        ),
        ("folder", 'list_timezone = "UTC"', "feed.source.list_timezone: unknown key; it is a key of ftp, not of folder"),
    ],
)
def test_a_key_of_another_type_is_told_with_that_type(tmp_path, kind, key, told):
    assert mistake_in(tmp_path, f'type = "{kind}"', f'type = "{kind}", {key}') == told


def test_a_key_of_the_feed_is_told_with_its_table_also_where_a_format_has_one_of_that_name(tmp_path):
    told = mistake_in(tmp_path, 'type = "delimited"', 'type = "delimited", quantities = "net"')
    assert told.startswith("feed.format.quantities: unknown key here; `quantities` belongs to [[feed]]")


def test_the_known_keys_of_a_table_are_those_that_people_write(tmp_path):
    told = mistake_in(tmp_path, 'type = "delimited"', 'type = "delimited", xyz = 1')
    assert "; known: archive, comment, delimiter, " in told
    assert "batch_rows" not in told
    assert "expected_columns" not in told
