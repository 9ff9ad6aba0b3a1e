"""The examples of docs/formats are run, so that the pages stay true."""

import re
import tomllib
from pathlib import Path

import pytest

from schemas.feed_config import SupplierFile
from stockfeed.pipeline.trial import try_file
from stockfeed.settings import load_settings
from tests.conftest import REPOSITORY


def page(kind: str) -> tuple[SupplierFile, str]:
    text = (REPOSITORY / "docs/formats" / f"{kind}.md").read_text("utf-8")
    config, message = re.search(r"```toml\n(.*?)```", text, re.DOTALL), re.search(r"```edi\n(.*?)```", text, re.DOTALL)
    return SupplierFile.model_validate(tomllib.loads(config[1])), message[1]


@pytest.mark.parametrize(
    ("kind", "records"),
    [
        (
            "edi_x12",
            [
                ("AB-00001", "30", "12.5", "04006381333931"),
                ("AB-00001", "12", "12.5", "04006381333931"),
                ("AB-00002", "20", None, None),
                ("AB-00003", "0", "3.2", None),
            ],
        ),
        (
            "edifact",
            [
                ("AB-00001", "10", "12.5", "04006381333931"),
                ("AB-00001", "4", "12.5", "04006381333931"),
                ("AB-00002", "0", None, "04006381333948"),
            ],
        ),
    ],
)
def test_the_example_of_a_page_gives_its_stock(tmp_path: Path, kind, records):
    config, message = page(kind)
    (tmp_path / "message").write_text(message)
    settings = load_settings({"STOCKFEED_STATE": str(tmp_path)}, tmp_path)
    *lines, summary = try_file(settings, config.feed[0], tmp_path / "message")
    found = [(r["supplier_sku"], r["available"], r["unit_cost"], r["gtin"]) for r in lines if r["type"] == "record"]
    assert [line for line in lines if line["type"] == "rejection"] == []
    assert found == records
    assert summary["outcome"] == "applied"
