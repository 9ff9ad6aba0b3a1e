"""The upload door, open for a test."""

import pytest

from tests.integration.hostile_world import database_template
from tests.integration.uploads.door import config, door


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return database_template(tmp_path_factory.mktemp("database"))


@pytest.fixture
def opened(tmp_path, template):
    with door(tmp_path, template, config()) as both:
        yield both
