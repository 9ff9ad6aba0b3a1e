import re
import tomllib
from pathlib import Path

from connectors.registry import SOURCES, source_options_model
from schemas.channel_config import Channel
from schemas.feed_config import Column, Columns, Feed, Guard, Supplier, Wide
from stockfeed.cli.setup import template_text
from stockfeed.settings import load_config, load_settings
from tests.unit.config_files import write_config
from transforms.formats.registry import names, options_model

ROOT = Path(__file__).parents[3]


def uncommented() -> str:
    return re.sub(r'(?m)^# (?=(?:"[^"]+"|\w+) = |\[)', "", template_text())


def test_the_template_in_the_package_is_the_one_in_the_repository():
    assert (ROOT / "config" / "_template.toml").read_text() == template_text()


def test_the_template_is_a_right_supplier_file(tmp_path):
    write_config(tmp_path, {"acme": template_text()})
    assert list(load_config(load_settings({}, cwd=tmp_path)).feeds) == ["acme.stock"]


def test_every_line_of_the_template_is_toml_when_its_mark_is_taken_away():
    assert set(tomllib.loads(uncommented())["feed"][0]) >= {"guard", "expect", "wide", "words", "schedule"}


def test_the_template_explains_every_key():
    text = template_text()
    internal = {"expected_columns", "identifier_columns", "batch_rows", "block_bytes", "limits"}
    models = [Supplier, Feed, Columns, Column, Guard, Wide]
    models += [source_options_model(name) for name in SOURCES] + [options_model(name) for name in names()]
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()} - internal
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", text)] == []


def test_the_defaults_in_the_template_are_the_real_ones():
    feed = Feed.model_validate(tomllib.loads(template_text())["feed"][0])
    spelt_out = tomllib.loads(uncommented())["feed"][0]
    for name in ("mode", "scope", "missing_after", "order_by", "duplicates", "negative", "gtin", "sku_case", "discontinued",
                 "match", "repeats", "trust_first", "while_held", "buffer", "priority", "owner", "stale_policy"):  # fmt: skip
        assert spelt_out[name] == getattr(feed, name), name
    assert spelt_out["guard"] == Guard().model_dump()
    for model, section in ((source_options_model("sftp"), "source"), (options_model("delimited"), "format")):
        for name, field in model.model_fields.items():
            if isinstance(field.default, (bool, int, str)) and name not in {"batch_rows", "block_bytes"}:
                assert spelt_out[section][name] == field.default, name


def test_the_guide_explains_a_channel_with_right_keys():
    guide = (ROOT / "docs" / "add-a-supplier.md").read_text()
    [channel] = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", guide, re.DOTALL) if "[channel]" in block]
    assert Channel.model_validate(channel["channel"]).code == "shop"
