"""A delivery's file as batches of text cells: options checked, workbooks and archives parsed in a limited child process.

Never parses a workbook or an archive in this process, and never lets a child process outlive its reader.
"""

from collections.abc import Collection, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from schemas.errors import ConfigError, DeliveryError
from schemas.feed_config import TypedSection
from stockfeed.reading_process import reading_process
from transforms.formats.content import ARCHIVE_HEAD, archive_kind
from transforms.formats.limits import Limits
from transforms.formats.options import ReaderOptions
from transforms.formats.registry import find, load_reader, options_model

if TYPE_CHECKING:
    from schemas.records import RawBatch
    from stockfeed.reading_process import ReadingProcess

UNPACKED = "unpacked"  # the file that a child writes which only unpacks


def read_batches(
    path: Path, section: TypedSection, *, expected_columns: Collection[str] = (), identifier_columns: Collection[str] = ()
) -> "Iterator[RawBatch]":
    """Return the batches of the file at `path`, read as the feed's `format` table says.

    `expected_columns` are header names that help to find the header (`header_row = "auto"`); `identifier_columns` those that hold
    SKUs and barcodes, in which a workbook's dates and fractions are reported. Raises ConfigError at once for wrong options;
    DeliveryError while the file is read, FILE-LIMIT or FILE-CRASH also for what happens to the child process.
    """
    with_options = opened_batches(path, section, expected_columns=expected_columns, identifier_columns=identifier_columns)
    return _each(with_options)


def opened_batches(
    path: Path, section: TypedSection, *, expected_columns: Collection[str] = (), identifier_columns: Collection[str] = ()
) -> "AbstractContextManager[Iterator[RawBatch]]":
    """Return the same as a context: a child process starts on entering it, before the first batch is asked for, and ends with it.

    So it can start while this process still loads what it needs for the batches.
    """
    options = checked_options(section, expected_columns=expected_columns, identifier_columns=identifier_columns)
    return _opened(path, section.type, options)


def _each(context: "AbstractContextManager[Iterator[RawBatch]]") -> "Iterator[RawBatch]":
    with context as batches:
        yield from batches


def checked_options(
    section: TypedSection, *, expected_columns: Collection[str] = (), identifier_columns: Collection[str] = ()
) -> ReaderOptions:
    """Return the typed options of a format table. Raises ConfigError that lists every mistake."""
    columns = {"expected_columns": tuple(expected_columns), "identifier_columns": tuple(identifier_columns)}
    given = {name: value for name, value in columns.items() if value}
    try:
        options = options_model(section.type).model_validate(section.options | given)
    except ValidationError as error:
        mistakes = [f"format.{'.'.join(map(str, m['loc']))}: {m['msg']}" for m in error.errors(include_url=False)]
        raise ConfigError("; ".join(mistakes), f'Correct the [feed.format] table of type "{section.type}".') from error
    assert isinstance(options, ReaderOptions)
    return options


@contextmanager
def plain_file(path: Path, name: str, options: ReaderOptions) -> "Iterator[tuple[Path, ReaderOptions]]":
    """Yield a file of the format `name` as it is out of its archive, and the options it is read with there; gone afterwards.

    For those that look into a file without its rows. Raises DeliveryError as reading does.
    """
    if not _is_packed(path, options):
        yield path, options
        return
    with reading_process() as process:
        for _ in process.batches({**_request(path, name, options), "unpack": UNPACKED}, options.limits):
            pass
        unpacked = process.folder / UNPACKED
        yield (unpacked, options.inside()) if unpacked.exists() else (path, options)


def _request(path: Path, name: str, options: ReaderOptions) -> dict[str, Any]:
    limits = TypeAdapter(Limits).dump_python(options.limits)
    return {"format": name, "path": str(path.resolve()), "options": options.model_dump(mode="json"), "limits": limits}


def _is_packed(path: Path, options: ReaderOptions) -> bool:
    """Return whether the file has to be unpacked, which only a child process does."""
    if options.archive != "auto":
        return options.archive != "none"
    with path.open("rb") as stream:
        return archive_kind(stream.read(ARCHIVE_HEAD)) is not None


@contextmanager
def _opened(path: Path, name: str, options: ReaderOptions) -> "Iterator[Iterator[RawBatch]]":
    """Yield the batches that are read here, or by a limited child process, which is gone when this context is left."""
    if not find(name).limited and not _is_packed(path, options):
        batches = load_reader(name)(lambda: path.open("rb"), options)
        try:
            yield batches
        finally:
            if isinstance(batches, Generator):
                batches.close()  # and with it the file
        return
    request = _request(path, name, options)
    with reading_process() as process:
        batches = process.batches(request, options.limits)  # asked before the first batch is
        with closing(_checked_at_last(process, batches, request, options.limits)) as told:
            yield told


def _checked_at_last(
    process: "ReadingProcess", batches: "Iterator[RawBatch]", request: dict[str, Any], limits: Limits
) -> "Generator[RawBatch, None, None]":
    """Yield the batches. A file whose parser runs out of memory is given to another child, which checks it before it is parsed.

    The two work at once where that is allowed, and which of them comes to its end first must not change what is told.
    """
    begun = False
    try:
        for batch in batches:
            begun = True
            yield batch
    except DeliveryError:
        if begun or not process.ran_out_of_memory or request["format"] != "spreadsheet":
            raise
    else:
        return
    with reading_process() as another:
        yield from another.batches({**request, "check_first": True}, limits)
