"""The keys that the examples of the pages show behind a # are right, too."""

import re
from collections.abc import Iterator

import pytest

from stockfeed.cli.boundary import run
from tests.conftest import REPOSITORY

PAGES = sorted([*(REPOSITORY / "docs/formats").glob("*.md"), *(REPOSITORY / "docs/sources").glob("*.md")])


def examples() -> Iterator[tuple[str, str]]:
    """Page and key, and the page's example with that key in force."""
    for page in PAGES:
        example = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[0]
        for found in re.finditer(r"^# ((\"?\w+\"?) = .*)$", example, re.MULTILINE):
            yield f"{page.stem}-{found[2]}", example[: found.start()] + found[1] + example[found.end() :]


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in examples()])
def test_a_key_that_an_example_offers_is_right(text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("suppliers", "channels"):
        (tmp_path / "config" / name).mkdir(parents=True)
    [code] = re.findall(r"\[supplier\]\ncode = \"(\w+)\"", text)
    (tmp_path / "config" / "suppliers" / f"{code}.toml").write_text(text, encoding="utf-8")
    assert run(["feeds", "check"]) == 0, capsys.readouterr().err
