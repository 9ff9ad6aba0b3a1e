import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockfeed.config_lines import line_of, locate

DOCUMENT = '''# a comment with [brackets] and "quotes"
[supplier]
code = "acme"
name = """two
[[feed]]
lines""""
"quoted key".b = 1

[[feed]]
code = "stock"
source = { type = "sftp", path = "/out", a.b = [1,
   2, {x = 1}, 3] }
tolerate = [
  "a", # ]
  'b',
]
since = 1979-05-27 07:32:00
[feed.columns]
sku = 'x'
[[feed.expect]]
type = "e"
[[feed.expect]]
type = "f"

[[feed]]
code = "two"
[feed.columns]
"a\\u0041" = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("supplier", "code"), 3),
        (("supplier", "name"), 4),
        (("supplier", "quoted key", "b"), 7),
        (("feed",), 9),
        (("feed", 0), 9),
        (("feed", 0, "source", "a", "b", 1), 12),
        (("feed", 0, "source", "a", "b", 2, "x"), 12),
        (("feed", 0, "tolerate", 1), 15),
        (("feed", 0, "since"), 17),
        (("feed", 0, "columns", "sku"), 19),
        (("feed", 0, "expect", 1, "type"), 23),
        (("feed", 1), 25),
        (("feed", 1, "columns", "aA"), 28),
    ],
)
def test_a_key_is_found_at_its_line(path, line):
    assert locate(DOCUMENT)[path] == line


def test_a_missing_key_is_reported_at_its_table():
    lines = locate(DOCUMENT)
    assert line_of(lines, ("feed", 1, "stale_after")) == 25
    assert line_of(lines, ("feed", 0, "columns", "on_hand", "column")) == 18
    assert line_of(lines, ("channel", "code")) == 1


def test_windows_line_ends_count_once():
    assert locate("a = 1\r\n\r\n[t]\r\nb = 2\r\n")["t", "b"] == 4


def _paths(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


def test_every_path_of_the_parsed_document_has_a_line():
    lines = locate(DOCUMENT)
    assert [path for path in _paths(tomllib.loads(DOCUMENT)) if path not in lines] == []


_keys = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
_values = st.recursive(
    st.integers(-(2**40), 2**40) | st.booleans() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)


def _quoted(text):
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{escaped}"'


def _written(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return "[" + ",\n ".join(_written(v) for v in value) + "]"
    return "{" + ", ".join(f"{_quoted(k)} = {_written(v).replace(chr(10), '')}" for k, v in value.items()) + "}"


@given(st.dictionaries(_keys, _values, max_size=4))
def test_any_document_that_toml_can_read_is_located_whole(document):
    text = "".join(f"\n{_quoted(key)} = {_written(value)}\n" for key, value in document.items())
    read = tomllib.loads(text)
    lines = locate(text)
    assert [path for path in _paths(read) if path not in lines] == []
    for key in document:
        assert text.split("\n")[lines[key,] - 1].startswith(f"{_quoted(key)} = ")
