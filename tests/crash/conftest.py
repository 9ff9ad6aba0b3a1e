"""One set of servers and one forking process for all scenarios of a worker."""

from collections.abc import Iterator

import pytest

from tests.crash.scenario import Scenarios
from tests.crash.site import outside


@pytest.fixture(scope="session")
def scenarios(postgres_url: str) -> Iterator[Scenarios]:
    with outside(["sqlite", "postgresql"], postgres_url) as shared:
        yield Scenarios(shared)
