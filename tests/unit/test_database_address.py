import pytest

from schemas.errors import ConfigError
from stockfeed.database_address import checked_address, secrets_of
from stockfeed.redaction import KNOWN
from stockfeed.settings import load_settings
from stockfeed.store.engine import make_engine, read


@pytest.mark.parametrize(
    "login",
    [
        "u:ca@nary-7261",
        "u:ca/nary-7261",
        "u:ca#nary-7261",
        "u:ca?nary-7261",
        "u:[canary-7261",
        "u:12/canary@7261",
        "u:12?c@nary-7261",
    ],
)
def test_a_password_that_is_not_percent_encoded_is_refused_and_no_part_of_it_is_told(login, tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_settings({"STOCKFEED_DATABASE_URL": f"postgresql://{login}@db/stock"}, cwd=tmp_path)
    assert "percent-encode" in caught.value.hint
    assert not any(part in str(caught.value) for part in ("nary", "7261"))


@pytest.mark.parametrize("port", ["port", "0x10", "99999", "-1"])
def test_a_port_that_is_none_is_a_mistake_of_the_setting(port, tmp_path):
    with pytest.raises(ConfigError, match="host or port is not valid"):
        load_settings({"STOCKFEED_DATABASE_URL": f"postgresql://u:canary-7261@db:{port}/stock"}, cwd=tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/stock",
        "postgresql+psycopg://u:p%40ss@db:5432/stock?sslmode=require",
        "postgresql://u@/stock?host=/var/run/postgresql",
        "postgresql:///stock?host=/var/run/postgresql&user=u",
        "postgresql://u:p@[::1]:5432/stock",
    ],
)
def test_a_right_address_is_taken_as_written(url):
    assert checked_address(url) == url


def test_the_password_is_masked_in_every_text_once_the_settings_are_read(tmp_path):
    load_settings({"STOCKFEED_DATABASE_URL": "postgresql://u:canary%2F7262@db/s?sslpassword=canary-7263"}, cwd=tmp_path)
    assert KNOWN.text("canary%2F7262 canary/7262 canary-7263") == "*** *** ***"
    assert secrets_of("sqlite:///canary.db") == ()


@pytest.mark.parametrize(
    ("query", "message"), [("foo=1", "has an option that PostgreSQL does not know"), ("sslmode=maybe", "has a wrong address")]
)
def test_an_option_that_postgresql_does_not_know_is_a_mistake_of_the_address(query, message):
    engine = make_engine(f"postgresql://u:canary-7261@127.0.0.1:1/s?{query}")
    with pytest.raises(ConfigError, match=message) as caught, read(engine):
        pass
    assert "canary-7261" not in str(caught.value)
