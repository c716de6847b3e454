"""Define every error that Parley raises on purpose.

    ParleyError
    ├── SettingsError         a variable of the environment or of .env holds an invalid value
    │   └── PortTakenError    it holds a port on which another process listens
    ├── EmbeddedRedisError    the embedded Redis can't run, or another process uses it
    ├── MessageRejected       a message failed for good, and its client has got an error
    └── ModelError            the model gave no usable answer, for the reason in ``code``

The text of each is one line that can be shown to users: secrets and tokens in it are masked.
"""

from __future__ import annotations

from enum import StrEnum


class ParleyError(Exception):
    """The base of all errors below; catch it to print one line instead of a traceback."""


class SettingsError(ParleyError):
    """A setting holds an invalid value.

    Attributes:
        variable: the name of the environment variable.
        value: its value, masked if it is a secret; None when it is not set.
        allowed: a description of the allowed values.
    """

    def __init__(self, variable: str, value: str | None, allowed: str) -> None:
        super().__init__(variable, value, allowed)
        self.variable = variable
        self.value = value
        self.allowed = allowed

    def __str__(self) -> str:
        held = "is not set" if self.value is None else f"holds {self.value!r}"
        return f"{self.variable} {held}; allowed: {self.allowed}"


class PortTakenError(SettingsError):
    """A setting holds a port on which another process listens at the moment."""


class EmbeddedRedisError(ParleyError):
    """The embedded Redis can't run.

    Attributes:
        reason: the cause.
        ways_out: the remedies for the user, each a clause.
    """

    def __init__(self, reason: str, ways_out: tuple[str, ...] = ()) -> None:
        super().__init__(reason, ways_out)
        self.reason = reason
        self.ways_out = ways_out

    def __str__(self) -> str:
        if not self.ways_out:
            return self.reason
        return f"{self.reason}; ways out: {', or '.join(self.ways_out)}"


class MessageRejected(ParleyError):
    """A message failed for good and becomes a dead letter; its client has already got an error.

    Attributes:
        error: the cause.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error

    def __str__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}"


class ModelErrorCode(StrEnum):
    """The reason why a model gave no usable answer; clients get it as the code of an error frame."""

    TIMEOUT = "model_timeout"
    UNREACHABLE = "model_unreachable"
    UNAUTHORIZED = "model_unauthorized"
    PAYMENT_REQUIRED = "model_payment_required"
    NOT_FOUND = "model_not_found"
    REJECTED = "model_rejected"
    RATE_LIMITED = "model_rate_limited"
    LOADING = "model_loading"
    UNAVAILABLE = "model_unavailable"
    ERROR = "model_error"
    BAD_RESPONSE = "model_bad_response"


class MessageRefusal(StrEnum):
    """The reason why a model refuses a message on every try."""

    TOO_LONG = "too_long"
    FILTERED = "filtered"


class ModelError(ParleyError):
    """The model gave no usable answer.

    Attributes:
        code: the reason.
        detail: one line for the user, in Parley's own words.
        retryable: whether the same request may succeed later.
        status: the HTTP status, None when there was no HTTP response.
        retry_after: seconds after which the server accepts a new request, None when it named no time.
        partial: whether a part of the answer came before; that part is kept, and repeating the request would
            show it twice.
        report: the cause in the words of the model server or the operating system, without control
            characters and secrets; only for the operator's log.
        message: the server's message within the report, without the rest of the response body.
        loading: whether the server is up but still loads its model, so that waiting helps.
        refusal: the reason why the model refuses this message, which must not be sent again, not even as
            context of a later one; None for every other failure.
    """

    def __init__(
        self,
        code: ModelErrorCode | str,
        detail: str,
        retryable: bool,
        status: int | None = None,
        retry_after: float | None = None,
        *,
        partial: bool = False,
        report: str = "",
        message: str = "",
        loading: bool = False,
        refusal: MessageRefusal | None = None,
    ) -> None:
        super().__init__(code, detail, retryable, status, retry_after)
        self.code = ModelErrorCode(code)
        self.detail = detail
        self.retryable = retryable
        self.status = status
        self.retry_after = retry_after
        self.partial = partial
        self.report = report
        self.message = message
        self.loading = loading
        self.refusal = refusal

    def __str__(self) -> str:
        status = "" if self.status is None else f" (HTTP {self.status})"
        return f"{self.code}: {self.detail}{status}"

    @property
    def log_line(self) -> str:
        """The error with the server's report, for the operator's log."""
        return f"{self}; {self.report}" if self.report else str(self)


def describe_error(exc: BaseException) -> str:
    """Return the class and the text of an error for a log; the ``repr`` of redis-py's errors has no text."""
    return f"{type(exc).__name__}: {exc}".rstrip(": ")


def mask(secret: str) -> str:
    """Shorten a token or key to its first characters, at most 8, which distinguish it from others."""
    # At most half of a short secret, which 8 characters would reveal.
    return f"{secret[: min(8, len(secret) // 2)]}…"
