"""The feeds under tests/data/samples as one installation: settings, and the feeds checked as every configuration is."""

from pathlib import Path

import pytest

from stockfeed.settings import load_config, load_settings

FEEDS = Path(__file__).parent.parent / "data" / "samples"


@pytest.fixture(scope="module")
def sample_settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("samples")
    (root / "config").mkdir()
    (root / "config" / "suppliers").symlink_to(FEEDS)
    return load_settings({"STOCKFEED_STATE": str(root / "state")}, root)


@pytest.fixture(scope="module")
def sample_feeds(sample_settings):
    return load_config(sample_settings).feeds
