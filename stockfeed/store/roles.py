"""What each database role may do on PostgreSQL, table by table: the least it needs, and nothing on history but to add to it.

The owner is the login that runs `stockfeed db upgrade`; ingest, publisher and readonly are group roles without a login.
Never makes a login or a password: those are the administrator's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from stockfeed.migrations.roles_0005 import CREATE_ROLES

INGEST, PUBLISHER, READONLY = "stockfeed_ingest", "stockfeed_publisher", "stockfeed_readonly"
GROUPS = (INGEST, PUBLISHER, READONLY)

#: Append-only tables: nobody may change or remove a row, the owner included.
HISTORY = frozenset({"level_change", "ats_change", "audit", "contract_audit"})

_READ, _ADD, _KEEP, _ALL = "SELECT", "SELECT, INSERT", "SELECT, INSERT, UPDATE", "SELECT, INSERT, UPDATE, DELETE"

#: Table → what ingest may do, what publisher may do. A new table gets a line here; a test says so.
TABLES = {
    "alembic_version": (_READ, _READ),
    "ats_change": (_READ, _ADD),
    "audit": (_ADD, _ADD),
    "available_to_sell": (_READ, _KEEP),
    "channel": (_READ, _KEEP),
    "check_run": (_ALL, _ALL),  # replaced by each run of a check
    "clock": ("SELECT, UPDATE", "SELECT, UPDATE"),
    "contract_audit": (_ADD, _READ),
    "delivery": (_KEEP, _READ),
    "dirty_mark": (_ALL, _ADD),  # retention removes marks that every channel has worked off
    "feed": (_KEEP, _READ),
    "feed_location": (_ALL, _READ),  # a location that a delivery no longer covers, or an undone one, goes away
    "held_level": (_ALL, _READ),  # gone with the hold
    "hold": (_KEEP, _KEEP),
    "inventory": (_ALL, _READ),  # undo of a first delivery takes its levels away
    "last_reading": (_ALL, _READ),  # one row a feed, written anew with each applied delivery
    "level_change": (_ADD, _READ),
    "listing": (_READ, _KEEP),
    "product": (_KEEP, _READ),
    "product_link": (_ALL, _READ),
    "publication": (_READ, _ALL),  # reconcile removes rows that are past their days
    "rejection": (_ALL, _READ),  # a delivery that is read again gets its rejections anew
    "reservation": (_KEEP, _KEEP),
}

VIEWS = ("inventory_v1", "unified_stock_v1", "available_to_sell_v1", "change_feed_v1")


@dataclass(frozen=True, slots=True)
class RoleState:
    """Which group roles the server has, and which it lacks."""

    present: tuple[str, ...]
    missing: tuple[str, ...]


def set_rights(connection: Connection) -> RoleState | None:
    """Give the group roles that exist exactly the rights of this version, and return which exist; None on SQLite.

    Run by the owner, after every upgrade; safe to repeat. Raises ConfigError (through the engine) for another login.
    """
    if connection.dialect.name != "postgresql":
        return None
    known = text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)")
    found = set(connection.execute(known, {"names": list(GROUPS)}).scalars())
    present = tuple(name for name in GROUPS if name in found)
    schema = connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    for statement in rights(present, schema):
        connection.execute(text(statement))
    return RoleState(present, tuple(name for name in GROUPS if name not in found))


def make_roles(connection: Connection) -> None:
    """Make the group roles that are missing, as far as this login may; nothing on SQLite."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(CREATE_ROLES))


def rights(present: tuple[str, ...], schema: str) -> Iterator[str]:
    """Yield the SQL that sets every right of the roles in `present`; it takes away first, so that nothing old stays."""
    for table in sorted(HISTORY):
        yield f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM PUBLIC, CURRENT_USER"
    for role in present:
        yield f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}"
        yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {role}"
        yield f"GRANT USAGE ON SCHEMA {schema} TO {role}"
        yield f"GRANT SELECT ON {', '.join(VIEWS)} TO {role}"
    for role, column in ((INGEST, 0), (PUBLISHER, 1)):
        if role in present:
            yield from (f"GRANT {allowed[column]} ON {table} TO {role}" for table, allowed in TABLES.items())
            yield f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"


def administrator_sql() -> str:
    """Return what an administrator runs where the owner may not make roles: the group roles, and how logins join them."""
    made = "\n".join(f"CREATE ROLE {role} NOLOGIN;" for role in GROUPS)
    return f"""-- Once for the whole server, as an administrator. Then run `stockfeed db roles` as the owner, for the rights.
{made}
-- Each program gets a login of its own, a member of the roles it needs:
-- CREATE ROLE stockfeed_app LOGIN PASSWORD '...' IN ROLE {INGEST}, {PUBLISHER};
-- CREATE ROLE reports LOGIN PASSWORD '...' IN ROLE {READONLY};
"""
