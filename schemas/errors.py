"""Every error stockfeed raises on purpose, grouped by what the caller has to do.

StockfeedError(message, hint, detail)
├── ConfigError        a file or setting must be changed      exit 3, no retry
│   └── CredentialsError   login refused or connection missing
├── TransientError     try again later, honours retry_after   exit 75, retried
└── PermanentError     a person must look                     exit 4, no retry
    ├── DeliveryError      this delivery cannot be read → rejected, others go on
    └── HeldError          waits for a person                 exit 2

Never raised for a bad row: those are `schemas.rejections.Rejection` values.
"""

from typing import ClassVar


class StockfeedError(Exception):
    """An error with one line for a person, a remedy, and detail for the log.

    `message` says what is wrong, `hint` says what to do about it, `detail` is for the log only and may be long.
    None of the three may hold a secret.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigError(StockfeedError):
    """A configuration file, setting or command-line argument must be changed."""

    exit_code = 3


class CredentialsError(ConfigError):
    """A login was refused, or the named connection does not exist."""


class TransientError(StockfeedError):
    """The outside world failed in a way that may pass: try again, not before `retry_after` seconds if given."""

    exit_code = 75

    def __init__(self, message: str, hint: str = "", detail: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint, detail)
        self.retry_after = retry_after


class PermanentError(StockfeedError):
    """Trying again gives the same result: a person must look."""

    exit_code = 4


class DeliveryError(PermanentError):
    """This delivery cannot be read as declared; it becomes `rejected` and other deliveries go on.

    `code` is one of `schemas.rejections.CODES`; `row`, `line` and `column` say where, as far as known.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        detail: str = "",
        *,
        code: str = "FILE-UNREADABLE",
        row: int | None = None,
        line: int | None = None,
        column: str | None = None,
        value: str | None = None,
    ) -> None:
        super().__init__(message, hint, detail)
        self.code = code
        self.row = row
        self.line = line
        self.column = column
        self.value = value


class HeldError(PermanentError):
    """A delivery or a publish waits for a person's decision."""

    exit_code = 2
