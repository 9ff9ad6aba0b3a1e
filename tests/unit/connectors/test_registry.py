"""The list of connectors."""

import subprocess
import sys

import pytest

from connectors.folder import FolderSource
from connectors.registry import CHANNELS, SOURCES, load_channel, load_source, source_options_model
from connectors.sftp import SftpOptions
from schemas.channel_config import Channel
from schemas.errors import ConfigError, CredentialsError
from tests.servers.feeds import feed


def test_a_source_is_loaded_by_its_name(tmp_path):
    assert isinstance(load_source(feed({"type": "folder", "path": str(tmp_path)}), None), FolderSource)
    assert source_options_model("sftp") is SftpOptions


def test_every_source_has_a_strict_options_model():
    for name in SOURCES:
        assert source_options_model(name).model_config["extra"] == "forbid"


def test_an_unknown_name_suggests_the_nearest_one():
    with pytest.raises(ConfigError, match="unknown source type 'sfpt'") as caught:
        source_options_model("sfpt")
    assert "'sftp'" in caught.value.hint
    channel = Channel.model_validate({"code": "c", "name": "C", "kind": "shopfy", "locations": ["1"]})
    with pytest.raises(ConfigError) as caught:
        load_channel(channel, None)
    assert "'shopify'" in caught.value.hint
    assert sorted(CHANNELS) == ["feed_file", "shopify"]


def test_a_missing_connection_is_named():
    with pytest.raises(CredentialsError, match="source sftp needs a connection"):
        load_source(feed({"type": "sftp", "path": "/"}), None)


def test_wrong_options_are_all_named_without_their_values():
    with pytest.raises(ConfigError) as caught:
        load_source(feed({"type": "folder", "path": "/", "patern": "canary-1", "max_files": "canary-2"}), None)
    assert "patern" in caught.value.message
    assert "max_files" in caught.value.message
    assert "canary" not in str(caught.value)


def test_importing_the_registry_loads_no_client_library():
    code = "import sys, connectors.registry; print(*{'paramiko', 'pydantic', 'polars', 'httpx', 'pysftp'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_checking_the_options_of_a_source_loads_no_client_library():
    code = "import sys, connectors.registry as r; [r.source_options_model(n) for n in r.SOURCES]; print('paramiko' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
