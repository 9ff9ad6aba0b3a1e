"""What must hold of the evidence shown to people: every row problem says what, where and what to do (I12); no secret (I13)."""

from collections.abc import Collection, Iterator

from sqlalchemy import Connection, text

from stockfeed.checker.faults import Fault, fault

_LONGEST = 80  # characters of a supplier's value that are ever shown or stored
_SHOWN = (
    ("feed", "code", ("last_error", "supplier_name")),
    ("channel", "code", ("last_error",)),
    ("delivery", "id", ("source_name", "source_identity", "reason")),
    ("rejection", "delivery_id", ("value", "message", "remedy")),
    ("hold", "id", ("reason",)),
    ("publication", "id", ("answer", "cause")),
    ("audit", "id", ("subject", "reason")),
    ("listing", "sku", ("message",)),
)


def evidence_faults(connection: Connection, secrets: Collection[str], limit: int) -> Iterator[Fault]:
    """Yield row problems without sentence, remedy or code, values too long or with control characters, and secrets in texts."""
    incomplete = (
        "SELECT delivery_id, number FROM rejection WHERE TRIM(code) = '' OR TRIM(message) = '' OR TRIM(remedy) = '' "
        "OR LENGTH(value) > :longest OR value LIKE :newline OR value LIKE :escape"
    )
    wanted = {"longest": _LONGEST, "newline": "%\n%", "escape": "%\x1b%"}
    for delivery_id, number in connection.execute(text(incomplete), wanted).fetchmany(limit):
        subject = f"delivery {delivery_id}, rejection {number}"
        yield fault("I12", subject, "does not say what is wrong and what to do, or shows a value that is not escaped or too long")
    for table, key, columns in _SHOWN:
        for column in columns:
            for secret in secrets:
                query = f"SELECT {key} FROM {table} WHERE {column} LIKE :secret ESCAPE '!'"  # noqa: S608 (our own names)
                for row in connection.execute(text(query), {"secret": f"%{_literal(secret)}%"}).fetchmany(limit):
                    yield fault("I13", f"{table} {row[0]}, {column}", "a secret stands in a stored text")


def _literal(secret: str) -> str:
    return secret.replace("!", "!!").replace("%", "!%").replace("_", "!_")
