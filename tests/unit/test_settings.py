import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.registry import SOURCES
from schemas.errors import ConfigError
from stockfeed.settings import ConfigMistakesError, feed_config_version, load_config, load_feed, load_settings
from tests.unit.config_files import CHANNEL, SUPPLIER, write_config


def mistakes_of(folder: Path, suppliers=None, channels=None) -> list[str]:
    write_config(folder, suppliers, channels)
    with pytest.raises(ConfigMistakesError) as caught:
        load_config(load_settings({}, cwd=folder))
    return [str(m).removeprefix(f"{folder}/config/") for m in caught.value.mistakes]


def config_of(folder: Path, suppliers=None, channels=None):
    write_config(folder, suppliers, channels)
    return load_config(load_settings({}, cwd=folder))


# --- settings


def test_everything_has_a_default_below_the_working_directory(tmp_path):
    settings = load_settings({}, cwd=tmp_path)
    assert settings.config_dir == tmp_path / "config"
    assert settings.archive_dir == tmp_path / ".state" / "archive"
    assert settings.database_url == f"sqlite:///{tmp_path}/.state/stockfeed.sqlite3"


def test_variables_move_things_and_the_option_goes_before_the_variable(tmp_path):
    environ = {"STOCKFEED_CONFIG": "conf", "STOCKFEED_STATE": "/var/stockfeed", "STOCKFEED_DATABASE_URL": "postgres://db/stock"}
    settings = load_settings(environ, cwd=tmp_path, config_dir=Path("other"))
    assert settings.config_dir == tmp_path / "other"
    assert settings.spool_dir == Path("/var/stockfeed/spool")
    assert settings.database_url == "postgresql://db/stock"


def test_a_relative_sqlite_address_is_made_absolute(tmp_path):
    assert load_settings({"STOCKFEED_DATABASE_URL": "sqlite:///s.db"}, cwd=tmp_path).database_url == f"sqlite:///{tmp_path}/s.db"


def test_the_database_password_is_in_no_representation(tmp_path):
    settings = load_settings({"STOCKFEED_DATABASE_URL": "postgresql://u:canary-7261@db/stock"}, cwd=tmp_path)
    assert "canary-7261" not in repr(settings) + str(settings)


def test_all_wrong_settings_are_told_at_once_without_a_password(tmp_path):
    environ = {
        "STOCKFEED_LOG_LEVEL": "loud",
        "STOCKFEED_REJECTIONS_KEPT": "many",
        "STOCKFEED_DATABASE_URL": "mysql://u:canary-7261@db/x",
        "STOCKFEED_DATBASE_URL": "x",
        "STOCKFEED_SOMEBODY_ELSES": "x",
    }
    with pytest.raises(ConfigError) as caught:
        load_settings(environ, cwd=tmp_path)
    lines = caught.value.hint.splitlines()
    assert caught.value.message == "4 settings are wrong"
    assert lines[0] == "STOCKFEED_DATBASE_URL: no such setting; did you mean STOCKFEED_DATABASE_URL?"
    assert [line.split(":")[0] for line in lines[1:]] == [
        "STOCKFEED_DATABASE_URL",
        "STOCKFEED_LOG_LEVEL",
        "STOCKFEED_REJECTIONS_KEPT",
    ]
    assert "canary-7261" not in str(caught.value)


# --- configuration that is right


def test_a_right_configuration_is_typed_and_found_by_full_code(tmp_path):
    config = config_of(tmp_path, {"acme": SUPPLIER, "_template": "not [toml"}, {"shop": CHANNEL})
    assert list(config.feeds) == ["acme.stock"]
    assert config.feed("acme.stock").columns.supplier_sku.column == ("SKU",)
    assert config.supplier_of("acme.stock").name == "Acme"
    assert config.channel("shop").sources == ("acme.*",)
    assert config.connections() == {"shop": ("shop",)}


@pytest.mark.parametrize("pattern", ["acme", "acme.stock", "acme.*", "*"])
def test_feeds_are_selected_by_code_supplier_or_pattern(tmp_path, pattern):
    assert config_of(tmp_path, {"acme": SUPPLIER}).select([pattern]) == ("acme.stock",)


def test_an_unknown_feed_is_an_error_with_the_nearest_name(tmp_path):
    config = config_of(tmp_path, {"acme": SUPPLIER})
    for ask in (config.feed, lambda code: config.select([code])):
        with pytest.raises(ConfigError) as caught:
            ask("acme.stok")
        assert (caught.value.message, caught.value.hint) == ("there is no feed 'acme.stok'", "Did you mean acme.stock?")


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="there is no configuration folder"):
        load_config(load_settings({}, cwd=tmp_path))


def test_one_feed_loads_although_another_supplier_has_mistakes(tmp_path):
    write_config(tmp_path, {"acme": SUPPLIER, "other": "[supplier"})
    settings = load_settings({}, cwd=tmp_path)
    assert load_feed(settings, "acme.stock").code == "stock"
    with pytest.raises(ConfigMistakesError, match="1 mistake in 1 file"):
        load_feed(settings, "other.stock")
    for code in ("acne.stock", "acme.stok", "acme", "../acme.stock", ""):
        with pytest.raises(ConfigError, match=re.escape(f"there is no feed {code!r}")):
            load_feed(settings, code)
    with pytest.raises(ConfigError, match=r"Did you mean acme\.stock"):
        load_feed(settings, "acne.stock")


# --- mistakes


def test_a_table_that_may_be_there_several_times_is_told_with_its_brackets(tmp_path):
    [mistake] = mistakes_of(tmp_path, {"acme": changed("[[feed]]", "[feed]")})
    assert mistake.endswith("feed: this table may be there several times: write [[feed]], with two brackets")


def changed(old: str, new: str, text: str = SUPPLIER) -> str:
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "supplier_sku =",
            "suplier_sku =",
            "suppliers/acme.toml:12: feed.columns.suplier_sku: unknown key; did you mean supplier_sku?",
        ),
        (
            'quantities = "net"',
            'quantities = "nett"',
            "suppliers/acme.toml:8: feed.quantities: 'nett' is not one of net, gross; did you mean net?",
        ),
        (
            'stale_after = "24h"',
            "stale_after = 24",
            (
                "suppliers/acme.toml:9: feed.stale_after: a duration is text with a unit, "
                'for example "90s", "30m", "24h" or "7d" (got 24)'
            ),
        ),
        (
            'stale_after = "24h"\n',
            "",
            (
                'suppliers/acme.toml:5: feed.stale_after: required key is missing; write stale_after = "24h", '
                "how old a number may become before it counts as 0"
            ),
        ),
        (
            'timezone = "UTC"',
            'timezone = "Europe/Londn"',
            (
                "suppliers/acme.toml:7: feed.timezone: unknown time zone 'Europe/Londn'; "
                'use an IANA name such as "Europe/London" or "UTC"'
            ),
        ),
        (
            'quantities = "net"',
            'quantities = "net"\nschedule = "hourly"',
            (
                "suppliers/acme.toml:9: feed.schedule: 'hourly' is no cron line; "
                'write five fields such as "*/30 * * * *" (minute hour day month weekday)'
            ),
        ),
        (
            'quantities = "net"',
            'quantities = "net"\nbuffer = "five"',
            "suppliers/acme.toml:9: feed.buffer: expected a whole number without quotes, got 'five'",
        ),
        (
            'quantities = "net"',
            'quantities = "net"\ntrust = 0.5',
            'suppliers/acme.toml:9: feed.trust: a percentage is text with a percent sign, for example "25%" (got 0.5)',
        ),
        (
            'type = "folder"',
            'type = "foldr"',
            (
                "suppliers/acme.toml:10: feed.source.type: unknown source type 'foldr'; did you mean 'folder'? "
                f"known: {', '.join(sorted(SOURCES))}"
            ),
        ),
        (
            'type = "delimited"',
            'type = "delimited", delimeter = ";"',
            "suppliers/acme.toml:11: feed.format.delimeter: unknown key; did you mean delimiter?",
        ),
        (
            'quantities = "net"',
            'quantities = "net"\ntolerate = ["SE01"]',
            "suppliers/acme.toml:9: feed.tolerate: 'SE01': only faults of edi_x12 can be tolerated; remove it",
        ),
        (
            'type = "folder"',
            'type = "sftp"',
            (
                'suppliers/acme.toml:10: feed.source: `connection` is missing: type = "sftp" needs a login; '
                'write connection = "name", the name of AIRFLOW_CONN_<NAME>'
            ),
        ),
        (
            'code = "acme"',
            'code = "acne"',
            (
                'suppliers/acme.toml:2: supplier.code: "acne" differs from the file\'s name; '
                'rename the file to acne.toml, or write code = "acme"'
            ),
        ),
        (
            'code = "acme"',
            'code = "Acme"',
            "suppliers/acme.toml:2: supplier.code: 'Acme' is no identifier; use small letters, digits and _ only",
        ),
        (
            'name = "Acme"',
            'name = "Acme',
            "suppliers/acme.toml:3: not valid TOML: Illegal character '\\n'; the rest of this file could not be checked",
        ),
        (
            ', on_hand = "Qty"',
            "",
            "suppliers/acme.toml:5: feed: map at least one of columns.on_hand, columns.available, or [feed.wide]",
        ),
        (
            'on_hand = "Qty"',
            'on_hand = { column = "Qty", value = "1" }',
            "suppliers/acme.toml:12: feed.columns.on_hand: give exactly one of `column`, `value`, `expression`, `join`",
        ),
    ],
)
def test_a_mistake_is_told_with_file_line_key_and_what_would_be_right(tmp_path, old, new, expected):
    assert mistakes_of(tmp_path, {"acme": changed(old, new)}) == [expected]


@pytest.mark.parametrize("table", ["[feed.guard]", '[feed.wide]\ncolumns = { A = "a" }'])
def test_a_key_below_the_wrong_table_is_told_where_it_belongs(tmp_path, table):
    told = mistakes_of(tmp_path, {"acme": f'{SUPPLIER}{table}\nduplicates = "last"\n'})
    assert told[0].endswith(
        "duplicates: unknown key here; `duplicates` belongs to [[feed]]: move it above the first [feed.…] table"
    )


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path):
    write_config(
        tmp_path,
        {"acme": changed("mode", "mode", SUPPLIER.replace('"net"', '"nett"').replace('"24h"', "24") + "mode = 1\n"), "b": "[x"},
        {"shop": CHANNEL.replace("acme.*", "acmee.stock").replace("name =", "nam =")},
    )
    with pytest.raises(ConfigMistakesError) as caught:
        load_config(load_settings({}, cwd=tmp_path))
    told = caught.value
    assert told.message == f"{len(told.mistakes)} mistakes in 3 files"
    assert told.exit_code == 3
    assert {(Path(m.file).stem, m.line, m.key) for m in told.mistakes} == {
        ("acme", 8, "feed.quantities"),
        ("acme", 9, "feed.stale_after"),
        ("acme", 13, "feed.mode"),
        ("b", 1, ""),
        ("shop", 1, "channel.name"),
        ("shop", 3, "channel.nam"),
        ("shop", 7, "channel.sources"),
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('path = "/data"', 'path = "/data", password = "canary-9910"'),
        ('path = "/data"', 'path = "sftp://user:canary-9910@host/out"'),
        ('quantities = "net"', 'quantities = "net"\napi_key = "canary-9910"'),
        ('code = "stock"', 'code = "stock"\naccess_token = "canary-9910"'),
    ],
)
def test_a_secret_in_a_file_is_refused_and_never_shown(tmp_path, old, new):
    [told] = mistakes_of(tmp_path, {"acme": changed(old, new)})
    assert "a secret does not belong in a file; put it into the connection (AIRFLOW_CONN_ACME)" in told
    assert "canary-9910" not in told


def test_a_suppliers_own_words_are_no_secrets(tmp_path):
    text = SUPPLIER + '[feed.words]\npassword = 1\n[feed.wide]\ncolumns = { token = "Qty token" }\n'
    assert config_of(tmp_path, {"acme": text}).feed("acme.stock").words == {"password": 1}


def test_two_files_with_the_same_code_are_a_mistake(tmp_path):
    told = mistakes_of(tmp_path, {"acme": SUPPLIER, "acme2": SUPPLIER})
    assert any(f"the code 'acme' is already used by {tmp_path}/config/suppliers/acme.toml" in line for line in told)


def test_a_channel_source_that_matches_no_feed_is_a_mistake(tmp_path):
    [told] = mistakes_of(tmp_path, {"acme": SUPPLIER}, {"shop": CHANNEL.replace('["acme.*"]', '["acme.stock",\n"acme.stok"]')})
    assert told == "channels/shop.toml:8: channel.sources: 'acme.stok' matches no feed; did you mean acme.stock?"


def test_a_key_of_a_channel_kind_is_checked_by_that_kind(tmp_path):
    [told] = mistakes_of(tmp_path, {"acme": SUPPLIER}, {"shop": CHANNEL + 'shar = "50%"\n'})
    assert told == "channels/shop.toml:8: channel.shar: unknown key; did you mean share?"


RULE = '[[channel.rule]]\nbrand = "Bosch"\nshare = "50%"\n'


def test_two_rules_that_match_the_same_skus_are_a_tie(tmp_path):
    [told] = mistakes_of(tmp_path, {"acme": SUPPLIER}, {"shop": CHANNEL + RULE + RULE})
    assert told.startswith("channels/shop.toml:11: channel.rule: matches the same SKUs on the same days as the rule in line 8")


@pytest.mark.parametrize(
    "rules",
    [
        RULE + RULE.replace("Bosch", "Makita"),
        RULE + RULE + "starts_on = 2026-12-01\n",
        RULE + "ends_on = 2026-11-30\n" + RULE + "starts_on = 2026-12-01\n",
        RULE + RULE + 'tag = "sale"\n',
    ],
    ids=["other brand", "dated is more specific", "other days", "more specific"],
)
def test_rules_of_which_one_wins_are_no_tie(tmp_path, rules):
    assert len(config_of(tmp_path, {"acme": SUPPLIER}, {"shop": CHANNEL + rules}).channel("shop").rule) == 2


@given(st.binary(max_size=200))
def test_no_bytes_in_a_file_break_the_loader(tmp_path_factory, junk):
    folder = tmp_path_factory.mktemp("junk")
    config = write_config(folder, {"acme": SUPPLIER})
    (config / "suppliers" / "junk.toml").write_bytes(junk)
    try:
        told = load_config(load_settings({}, cwd=folder)).feeds
    except ConfigMistakesError as error:
        told = [m for m in error.mistakes if "junk.toml" not in m.file]
    assert list(told) in ([], ["acme.stock"])


# --- versions and speed


def test_the_config_version_changes_with_the_meaning_of_the_bytes_only(tmp_path):
    versions = {}
    for name, text in {
        "plain": SUPPLIER,
        "commented": "# hello\n" + SUPPLIER.replace('"Qty" }', '"Qty" }\nschedule = "0 5 * * *"\nbuffer = 5'),
        "spelt out": SUPPLIER.replace('"Qty"', '{ column = ["Qty"] }'),
        "other column": SUPPLIER.replace('"Qty"', '"Free"'),
        "other mark": SUPPLIER + 'decimal = ","\n',
        "other format": SUPPLIER.replace('"delimited"', '"delimited", encoding = "cp1252"'),
    }.items():
        versions[name] = feed_config_version(config_of(tmp_path / name, {"acme": text}).feed("acme.stock"))
    assert len(versions["plain"]) == 64
    assert versions["plain"] == versions["commented"] == versions["spelt out"]
    assert len(set(versions.values())) == 4


def test_two_hundred_suppliers_load_in_time(tmp_path):
    text = (Path(__file__).parents[2] / "config" / "_template.toml").read_text()
    write_config(tmp_path, {f"s{n}": text.replace('code = "acme"', f'code = "s{n}"') for n in range(200)})
    settings = load_settings({}, cwd=tmp_path)
    started = time.process_time()
    assert len(load_config(settings).feeds) == 200
    assert time.process_time() - started < 1.5


def test_one_suppliers_mistake_stops_no_other_supplier_where_asked(tmp_path: Path):
    good = (
        '[supplier]\ncode = "{0}"\nname = "x"\n[[feed]]\ncode = "stock"\nsource = {{ type = "folder", path = "in" }}\n'
        'format = {{ type = "delimited" }}\ntimezone = "UTC"\nquantities = "net"\nstale_after = "24h"\n'
        '[feed.columns]\nsupplier_sku = "sku"\non_hand = "qty"\n'
    )
    channel = '[channel]\ncode = "{0}"\nname = "x"\nkind = "feed_file"\npath = "out"\nlocations = ["x"]\nsources = ["bad.stock"]\n'
    for folder in ("suppliers", "channels"):
        (tmp_path / "config" / folder).mkdir(parents=True)
    (tmp_path / "config/suppliers/good.toml").write_text(good.format("good"))
    (tmp_path / "config/suppliers/bad.toml").write_text(good.format("bad").replace("quantities", "quantites"))
    (tmp_path / "config/channels/shop.toml").write_text(channel.format("shop"))
    settings = load_settings({}, tmp_path)
    with pytest.raises(ConfigMistakesError):
        load_config(settings)
    config = load_config(settings, isolate=True)
    assert config.feed("good.stock").code == "stock"
    assert config.channel("shop").code == "shop"
    with pytest.raises(ConfigMistakesError, match="1 mistake"):
        config.feed("bad.stock")
    with pytest.raises(ConfigError, match="no feed"):
        config.feed("good.stok")
