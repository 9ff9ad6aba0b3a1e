"""Reading bytes through a format's reader, all batches at once."""

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from schemas.records import CellProblem, RawBatch
from schemas.rejections import Rejection
from transforms.formats.registry import load_reader, options_model


@dataclass
class Everything:
    """All batches of a file put together."""

    batches: list[RawBatch]

    @property
    def header(self) -> tuple[str, ...]:
        return self.batches[0].header

    @property
    def cells(self) -> list[tuple[str, ...]]:
        return [row[2:] for batch in self.batches for row in batch.frame.rows()]

    @property
    def places(self) -> list[tuple[int, int | None]]:
        return [row[:2] for batch in self.batches for row in batch.frame.rows()]

    @property
    def rejections(self) -> list[Rejection]:
        return [rejection for batch in self.batches for rejection in batch.rejections]

    @property
    def rejected(self) -> list[tuple[str, int | None]]:
        return [(r.code, r.row) for r in self.rejections]

    @property
    def problems(self) -> list[CellProblem]:
        return [problem for batch in self.batches for problem in batch.cell_problems]

    @property
    def skipped(self) -> Counter[str]:
        return sum((Counter(batch.skipped) for batch in self.batches), Counter())

    @property
    def notes(self) -> list[str]:
        return [note for batch in self.batches for note in batch.notes]


Read = Callable[..., Everything]


@pytest.fixture
def read_csv() -> Read:
    def read(data: bytes, **options: Any) -> Everything:
        typed = options_model("delimited").model_validate(options)
        return Everything(list(load_reader("delimited")(lambda: io.BytesIO(data), typed)))

    return read


@pytest.fixture
def read_sheet() -> Read:
    def read(data: bytes, **options: Any) -> Everything:
        typed = options_model("spreadsheet").model_validate(options)
        return Everything(list(load_reader("spreadsheet")(lambda: io.BytesIO(data), typed)))

    return read


@pytest.fixture
def read_format() -> Read:
    def read(name: str, data: bytes, columns: tuple[str, ...] = (), **options: Any) -> Everything:
        typed = options_model(name).model_validate({"expected_columns": columns, **options})
        return Everything(list(load_reader(name)(lambda: io.BytesIO(data), typed)))

    return read
