import subprocess
import sys

import pytest
from pydantic import ValidationError

from schemas.errors import ConfigError
from transforms.formats.registry import FORMATS, load_reader, names, options_model


def test_every_registered_format_has_a_reader_and_a_strict_options_model():
    for name in names():
        assert callable(load_reader(name))
        assert options_model(name).model_config["extra"] == "forbid"


def test_an_unknown_format_is_a_config_error_with_the_nearest_name():
    with pytest.raises(ConfigError, match='Did you mean "delimited"'):
        options_model("delimitted")


def test_a_format_unlike_any_other_lists_the_known_ones():
    with pytest.raises(ConfigError, match="delimited, edi_x12, edifact, spreadsheet"):
        load_reader("qqqqqq")


def test_workbooks_are_parsed_in_the_limited_child_only():
    assert FORMATS["spreadsheet"].limited
    assert not FORMATS["delimited"].limited


def test_checking_options_loads_no_frame_library():
    code = "import sys; from transforms.formats.registry import names, options_model; "
    code += "[options_model(n) for n in names()]; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"polars", "openpyxl", "python_calamine", "pandas"} & set(loaded)


@pytest.mark.parametrize(
    ("format_name", "options", "words"),
    [
        ("delimited", {"delimeter": ";"}, "delimeter"),
        ("delimited", {"delimiter": ";;"}, "one ASCII character"),
        ("delimited", {"encoding": "klingon"}, "not known or not supported"),
        ("delimited", {"encoding": "utf-7"}, "not known or not supported"),
        ("delimited", {"quote": ";", "delimiter": ";"}, "same character"),
        ("delimited", {"footer": "("}, "not a regular expression"),
        ("delimited", {"trailer": "^T"}, "group named rows"),
        ("delimited", {"header_row": 0}, "greater than or equal to 1"),
        ("delimited", {"limits": {"rwos": 1}}, "rwos"),
        ("spreadsheet", {"sheet": "A", "sheet_pattern": "B"}, "at most one"),
        ("spreadsheet", {"engine": "excel"}, "engine"),
    ],
)
def test_a_wrong_option_is_named(format_name, options, words):
    with pytest.raises(ValidationError, match=words):
        options_model(format_name).model_validate(options)
