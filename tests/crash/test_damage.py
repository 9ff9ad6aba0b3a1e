"""The proxy cuts exactly one line: after COMMIT its row is there though nobody was told, before COMMIT it is not."""

import psycopg
import pytest

from tests.crash.damage import CommitProxy


@pytest.mark.parametrize(("side", "kept"), [("after", [1, 2, 3]), ("before", [1, 3])])
def test_a_line_is_cut_at_one_commit_and_others_go_on(postgres_url: str, side: str, kept: list[int]) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as direct:
        direct.execute("CREATE TABLE proxied (n int)")
        try:
            with CommitProxy(postgres_url, 2, side) as proxy:
                with psycopg.connect(proxy.url) as line:
                    line.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # its BEGIN says COMMITTED, and is no COMMIT
                    line.execute("INSERT INTO proxied VALUES (1)")
                    line.commit()
                    line.execute("INSERT INTO proxied VALUES (2)")
                    with pytest.raises(psycopg.OperationalError, match="closed the connection"):
                        line.commit()
                with psycopg.connect(proxy.url) as line:
                    line.execute("INSERT INTO proxied VALUES (3)")
            assert proxy.cut
            assert [row[0] for row in direct.execute("SELECT n FROM proxied ORDER BY n")] == kept
        finally:
            direct.execute("DROP TABLE proxied")
