"""The demo shop's bulk operations: a query run over everything, its answer as a file of lines, children after their parents.

Never runs anything before it is asked how far it is: the state moves on at each look, so that nothing waits.
"""

import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError, GraphQLObjectType, execute_sync, get_named_type, parse, validate
from graphql.language import FieldNode, Visitor, visit
from graphql.utilities import TypeInfo, TypeInfoVisitor

from stockfeed.demo.shop_schema import Root, shop_schema
from stockfeed.demo.shop_stock import ShopStock

MOST_UNDER_WAY, MOST_CONNECTIONS = 5, 5
_IN_PROGRESS = "A bulk query operation for this app and shop is already in progress."
_FINAL = frozenset({"COMPLETED", "FAILED", "CANCELED", "EXPIRED"})


@dataclass(slots=True)
class Operation:
    """One bulk operation; `looks` is how often it was asked about."""

    id: str
    query: str
    key: str  # of its file's address, as a signature
    status: str = "CREATED"
    looks: int = 0
    file: bytes = b""
    objects: int = 0
    roots: int = 0


@dataclass(slots=True)
class ShopBulk:
    """All bulk operations of a shop. The rest are its bad days.

    `running` looks find an operation under way; it ends as `outcome`. `told` replaces members of what is said about it, `file` is
    what is given for a file instead of the real one.
    """

    stock: ShopStock
    base: str = ""
    running: int = 1
    outcome: str = "COMPLETED"
    told: dict[str, Any] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    file: bytes | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, query: str) -> dict[str, Any]:
        """Return the payload of bulkOperationRunQuery."""
        problem = _problem(query)
        if problem is not None:
            return _refused("INVALID", problem, ["query"])
        with self._lock:
            if sum(one.status not in _FINAL for one in self.operations.values()) >= MOST_UNDER_WAY:
                return _refused(
                    "OPERATION_IN_PROGRESS", "A bulk query operation for this app and shop is already in progress.", None
                )
            made = Operation(f"gid://shopify/BulkOperation/{len(self.operations) + 1}", query, secrets.token_hex(16))
            self.operations[made.id] = made
        return {"bulkOperation": self._shown(made), "userErrors": []}

    def state(self, operation_id: str) -> dict[str, Any] | None:
        """Return how far an operation is, a step further than at the last look; None for an unknown one."""
        with self._lock:
            found = self.operations.get(operation_id)
            if found is None:
                return None
            if found.status == "CANCELING":
                found.status = "CANCELED"
            elif found.status not in _FINAL:
                found.looks += 1
                found.status = "RUNNING"
                if found.looks > self.running:
                    self._finish(found)
            return self._shown(found) | (self.told if found.status in _FINAL else {})

    def cancel(self, operation_id: str) -> dict[str, Any] | None:
        """Return the operation, on its way to its end."""
        with self._lock:
            found = self.operations.get(operation_id)
            if found is not None and found.status not in _FINAL:
                found.status = "CANCELING"
            return self._shown(found) if found else None

    def download(self, key: str) -> bytes | None:
        """Return the file with this key, None if there is none."""
        for one in self.operations.values():
            if secrets.compare_digest(one.key, key) and one.file:
                return one.file if self.file is None else self.file
        return None

    def _finish(self, operation: Operation) -> None:
        lines = list(_lines(self._answer(operation.query)))
        operation.file = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
        operation.objects, operation.roots = len(lines), sum("__parentId" not in line for line in lines)
        operation.status = self.outcome

    def _answer(self, query: str) -> dict[str, Any]:
        with self.stock.lock:
            result = execute_sync(shop_schema(), parse(query), Root(self.stock, unbounded=True))
        if result.errors or result.data is None:
            raise RuntimeError(result.errors)
        return result.data

    def _shown(self, operation: Operation) -> dict[str, Any]:
        url = f"{self.base}/bulk/{operation.id.rpartition('/')[2]}.jsonl?X-Signature={operation.key}" if operation.file else None
        completed = operation.status == "COMPLETED"
        return {
            "__typename": "BulkOperation",
            "id": operation.id,
            "status": operation.status,
            "errorCode": "INTERNAL_SERVER_ERROR" if operation.status == "FAILED" else None,
            "objectCount": str(operation.objects),
            "rootObjectCount": str(operation.roots),
            "fileSize": str(len(operation.file)) if url and completed else None,
            "url": url if completed else None,
            "partialDataUrl": url if operation.status == "FAILED" else None,
        }


def _refused(code: str, message: str, path: list[str] | None) -> dict[str, Any]:
    return {"bulkOperation": None, "userErrors": [{"code": code, "field": path, "message": message}]}


class _Connections(Visitor):
    """Counts the connections of a query."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self.types, self.count = types, 0

    def enter_field(self, _node: FieldNode, *_: Any) -> None:
        named = get_named_type(self.types.get_type())
        self.count += isinstance(named, GraphQLObjectType) and named.name.endswith("Connection")


def _problem(query: str) -> str | None:
    try:
        document = parse(query)
    except GraphQLError as error:
        return f"Invalid bulk query: {error.message}"
    errors = validate(shop_schema(), document)
    if errors:
        return f"Invalid bulk query: {errors[0].message}"
    types = TypeInfo(shop_schema())
    counter = _Connections(types)
    visit(document, TypeInfoVisitor(types, counter))
    if not counter.count:
        return "Bulk queries must contain at least one connection."
    return f"Bulk queries cannot contain more than {MOST_CONNECTIONS} connections." if counter.count > MOST_CONNECTIONS else None


def _lines(value: dict[str, Any], parent: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the nodes of all connections in `value`, each followed by those inside it."""
    for inner in value.values():
        if not (isinstance(inner, dict) and isinstance(inner.get("edges"), list)):
            continue
        for edge in inner["edges"]:
            node = edge["node"]
            own = {name: one for name, one in node.items() if not (isinstance(one, dict) and "edges" in one)}
            yield own | ({"__parentId": parent} if parent else {})
            yield from _lines(node, node.get("id"))
