"""Great Expectations itself, on the records of a delivery: for expectations we do not evaluate, and for the audit.

Never reaches the network (no analytics, no cloud, no data docs) and is never imported at start: it costs seconds.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from schemas.errors import ConfigError
from schemas.feed_config import Expectation
from schemas.findings import Finding
from schemas.rejections import CODES, Rejection, rejection
from transforms.contract import contract_view, describe
from transforms.expectations import NUMBERS, TEXTS


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """What Great Expectations said of one expectation; `unexpected_rows` are rows of the file, ascending, with repeats."""

    type: str
    column: str | None
    success: bool
    unexpected_count: int
    unexpected_rows: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON-ready values."""
        return {**asdict(self), "unexpected_rows": list(self.unexpected_rows)}


@dataclass(frozen=True, slots=True)
class QualityResult:
    """The results of all expectations, in the order given; `success` when every one is met."""

    success: bool
    results: tuple[ExpectationResult, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON-ready values."""
        return {"success": self.success, "results": [result.as_dict() for result in self.results]}


def run_great_expectations(records: pl.DataFrame, expectations: Sequence[Expectation]) -> QualityResult:
    """Return Great Expectations' own verdict on `records` (RECORD_SCHEMA; quantities seen in units, costs in currency units).

    Raises ConfigError when an expectation's arguments are wrong or it cannot be computed on these columns.
    """
    if not expectations:
        return QualityResult(success=True, results=())
    objects = [_gx_object(expectation) for expectation in expectations]
    context = _context()
    asset = context.data_sources.add_pandas("deliveries").add_dataframe_asset("records")
    definition = asset.add_batch_definition_whole_dataframe("delivery")
    batch = definition.get_batch(batch_parameters={"dataframe": pandas_frame(records)})
    rows = records["row"].to_list()
    results = tuple(_result(batch, obj, e, rows) for obj, e in zip(objects, expectations, strict=True))
    return QualityResult(success=all(r.success for r in results), results=results)


def check_arguments(expectations: Sequence[Expectation]) -> None:
    """Return nothing. Raises ConfigError for the first expectation whose arguments Great Expectations refuses."""
    for expectation in expectations:
        _gx_object(expectation)


def findings(expectations: Sequence[Expectation], quality: QualityResult) -> tuple[Finding, ...]:
    """Return a Finding for each expectation of severity warn, hold or reject that is not met."""
    return tuple(
        Finding(
            code="EXPECT-FAILED",
            severity=expectation.severity,
            message=f"the delivery does not meet the contract: expected {describe(expectation)}",
            remedy="Ask the supplier, or change the [[feed.expect]] entry.",
            measured=f"{result.unexpected_count} values fail" if result.unexpected_count else None,
            column=result.column,
            row=result.unexpected_rows[0] if result.unexpected_rows else None,
        )
        for expectation, result in zip(expectations, quality.results, strict=True)
        if expectation.severity != "row" and not result.success
    )


def row_rejections(records: pl.DataFrame, expectations: Sequence[Expectation], quality: QualityResult) -> tuple[Rejection, ...]:
    """Return EXPECT-FAILED for each unexpected row of the expectations of severity "row"."""
    lines = dict(records.select("row", "line").iter_rows())
    return tuple(
        rejection(
            "EXPECT-FAILED",
            row=row,
            line=lines[row],
            column=result.column,
            message=f"{CODES['EXPECT-FAILED'].sentence}: {describe(expectation)}",
        )
        for expectation, result in zip(expectations, quality.results, strict=True)
        if expectation.severity == "row"
        for row in dict.fromkeys(result.unexpected_rows)
    )


def pandas_frame(records: pl.DataFrame) -> Any:
    """Return the records as a pandas frame whose dtypes are all said: float64 numbers, object texts and dates, None for null."""
    import pandas as pd

    view = contract_view(records)
    columns: dict[str, Any] = {}
    for name in view.columns:
        if name in NUMBERS:
            columns[name] = pd.Series(view[name].fill_null(float("nan")).to_list(), dtype="float64")
        elif name == "row":
            columns[name] = pd.Series(view[name].to_list(), dtype="int64")
        else:
            columns[name] = pd.Series(view[name].to_list(), dtype="object")
    return pd.DataFrame(columns)


def _context() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read when the library is imported
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    context = gx.get_context(project_config=config, mode="ephemeral")
    context.enable_analytics(enable=False)
    return context


def _gx_object(expectation: Expectation) -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    remarks = {"meta", "notes", "description"}
    arguments = {name: value for name, value in expectation.arguments.items() if name not in remarks}
    try:
        return ExpectationConfiguration(type=expectation.type, kwargs=arguments).to_domain_obj()
    except ExpectationNotFoundError as error:
        raise ConfigError(
            f"[[feed.expect]]: unknown expectation {expectation.type!r}", "See the Great Expectations gallery for names."
        ) from error
    except ValueError as error:  # pydantic's ValidationError is one
        told = "; ".join(line.strip() for line in str(error).splitlines()[1:])
        raise ConfigError(
            f"[[feed.expect]] {expectation.type}: {told or error}", "Correct the arguments of this expectation."
        ) from error


def _result(batch: Any, obj: Any, expectation: Expectation, rows: list[int]) -> ExpectationResult:
    # no unexpected_index_column_names: with them, COMPLETE takes minutes; positions are enough
    with warnings.catch_warnings():
        # pandas warns of groups in a regular expression: they are the data engineer's, and mean no harm
        warnings.simplefilter("ignore", UserWarning)
        verdict = batch.validate(obj, result_format={"result_format": "COMPLETE"})
    failure = _failure(verdict.exception_info)
    if failure:
        raise ConfigError(
            f"[[feed.expect]] {expectation.type}: cannot be evaluated: {failure}",
            f"Number columns are {', '.join(NUMBERS)}; text columns are {', '.join(TEXTS)}.",
        )
    positions = verdict.result.get("unexpected_index_list") or []
    return ExpectationResult(
        type=expectation.type,
        column=expectation.arguments.get("column"),
        success=bool(verdict.success),
        unexpected_count=int(verdict.result.get("unexpected_count") or 0),
        unexpected_rows=tuple(rows[position] for position in positions),
    )


def _failure(info: Any) -> str | None:
    """Return the first exception message of a result; its shape is flat for one metric and nested by metric for several."""
    if not isinstance(info, dict):
        return None
    if info.get("raised_exception"):
        return str(info.get("exception_message"))
    nested = (_failure(value) for value in info.values())
    return next((message for message in nested if message), None)
