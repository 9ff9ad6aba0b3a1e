"""What holds for every page in docs/sources: its example is a right supplier file, and page and template name every option."""

import re
import tomllib

import pytest

from connectors.registry import source_options_model
from schemas.errors import CredentialsError
from stockfeed.bootstrap import open_app
from stockfeed.cli.boundary import run
from stockfeed.settings import load_settings
from tests.conftest import REPOSITORY
from tests.integration.test_ftp_guide import blocks

PAGES = sorted(page.stem for page in (REPOSITORY / "docs/sources").glob("*.md"))
LOGINS = {
    "google_sheets": "google-cloud-platform://?",
    "object_store": "aws://",
    "shopify": "shopify://:",
    "web_api": "https://",
    "web_file": "https://",
}
STOREFRONTS = ("bigcommerce", "magento", "shopify", "woocommerce")


@pytest.mark.parametrize("page", PAGES)
def test_the_example_is_a_right_supplier_file(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("suppliers", "channels"):
        (tmp_path / "config" / name).mkdir(parents=True)
    (tmp_path / "config" / "suppliers" / "nordwind.toml").write_text(blocks(page, "toml")[0], encoding="utf-8")
    assert run(["feeds", "check"]) == 0
    assert capsys.readouterr().out.startswith("No mistakes: 1 feed")


@pytest.mark.parametrize("page", [page for page in PAGES if page != "upload"])
def test_without_its_connection_the_feed_of_the_example_is_told_one_of_its_own_kind(page, tmp_path, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_NORDWIND", raising=False)
    (tmp_path / "config" / "suppliers").mkdir(parents=True)
    (tmp_path / "config" / "suppliers" / "nordwind.toml").write_text(blocks(page, "toml")[0], encoding="utf-8")
    with open_app(load_settings(cwd=tmp_path)) as app, pytest.raises(CredentialsError) as caught:
        app.resolve("nordwind")
    usual = "https://" if page in STOREFRONTS else f"{page}://user"
    assert f"AIRFLOW_CONN_NORDWIND='{LOGINS.get(page, usual)}" in caught.value.hint


@pytest.mark.parametrize(("store", "login"), [("gs", "google-cloud-platform://?keyfile_json="), ("az", "wasb://")])
def test_without_its_connection_a_bucket_is_told_one_of_its_own_store(store, login, tmp_path, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_NORDWIND", raising=False)
    (tmp_path / "config" / "suppliers").mkdir(parents=True)
    of_store = blocks("object_store", "toml")[0].replace('store = "s3"', f'store = "{store}"')
    (tmp_path / "config" / "suppliers" / "nordwind.toml").write_text(of_store, encoding="utf-8")
    with open_app(load_settings(cwd=tmp_path)) as app, pytest.raises(CredentialsError) as caught:
        app.resolve("nordwind")
    assert f"AIRFLOW_CONN_NORDWIND='{login}" in caught.value.hint


@pytest.mark.parametrize("page", PAGES)
def test_page_and_template_name_every_option(page):
    text = (REPOSITORY / f"docs/sources/{page}.md").read_text("utf-8")
    template = (REPOSITORY / f"stockfeed/cli/source_templates/{page}.toml").read_text("utf-8")
    names = set(source_options_model(page).model_fields)
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []
    assert [name for name in names if not re.search(rf"^(# )?{name} = ", template, re.MULTILINE)] == []


@pytest.mark.parametrize("page", STOREFRONTS)
def test_the_page_says_where_its_example_is_written_and_leads_to_the_steps(page):
    before = (REPOSITORY / f"docs/sources/{page}.md").read_text("utf-8").split("```toml", 1)[0]
    assert "`config/suppliers/nordwind.toml`" in before
    assert "](../add-a-supplier.md)" in before


@pytest.mark.parametrize("page", STOREFRONTS)
def test_a_page_that_allows_a_host_of_ours_names_the_key_of_a_private_authority(page):
    text = (REPOSITORY / f"docs/sources/{page}.md").read_text("utf-8")
    assert "private_host" not in text or "`ca_file`" in text


@pytest.mark.parametrize("page", STOREFRONTS)
def test_page_and_template_declare_the_same_columns(page, capsys):
    assert run(["feeds", "template", page]) == 0
    ours, shown = (tomllib.loads(text)["feed"][0] for text in (capsys.readouterr().out, blocks(page, "toml")[0]))
    for table in ("format", "columns", "words"):
        assert ours[table] == shown[table], table
