"""`stockfeed feeds template`: for every kind of source, a file that is right as it is and names every key."""

import re
import tomllib

import pytest

from connectors.registry import SOURCES, source_options_model
from stockfeed.cli.boundary import run


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_the_template_of_a_source_is_a_right_file_that_names_every_key(source, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("suppliers", "channels"):
        (tmp_path / "config" / name).mkdir(parents=True)
    assert run(["feeds", "template", source]) == 0
    text = capsys.readouterr().out
    table = tomllib.loads(text)["feed"][0]["source"]
    assert table["type"] == source
    section = text[text.index("# ----- where the files come from") : text.index("# ----- how the files are written")]
    named = set(re.findall(r"^(?:# )?([a-z_]+) = ", section, re.MULTILINE))
    assert named - {"type", "connection"} == set(source_options_model(source).model_fields)
    (tmp_path / "config" / "suppliers" / "acme.toml").write_text(text, encoding="utf-8")
    assert run(["feeds", "check"]) == 0
    assert capsys.readouterr().out.startswith("No mistakes: 1 feed")


def test_an_unknown_source_is_refused_with_the_nearest_name(capsys):
    assert run(["feeds", "template", "sftpp"]) == 3
    assert "Did you mean 'sftp'?" in capsys.readouterr().err


def test_the_template_of_a_paged_interface_reads_what_it_delivers():
    import tomllib

    from stockfeed.cli.setup import template_text

    [one] = tomllib.loads(template_text("web_api"))["feed"]
    assert (one["format"]["type"], one["format"]["lines"], one["format"]["rows"]) == ("json_doc", True, "$[*]")
