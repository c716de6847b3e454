"""Every error that Parley raises on purpose.

    ParleyError
    ├── SettingsError         a variable of the environment or of .env holds what it may not
    ├── EmbeddedRedisError    no Redis of our own can run here, or another process has it
    ├── MessageRejected       a stage has told the client that a message failed for good
    ├── SessionGone           the session expired or never existed
    └── ModelError            the model gave no usable answer; `code` says why

The message of each is one line that can be shown as it is: secrets and tokens are masked in it.
"""

from __future__ import annotations

from enum import StrEnum


class ParleyError(Exception):
    """Base of all errors below; catch it to show a line instead of a traceback."""


class SettingsError(ParleyError):
    """A setting holds a wrong value.

    Attributes:
        variable: the name of the environment variable.
        value: what it holds, masked if it is a secret; None when it is not set.
        allowed: what it may hold, in words.
    """

    def __init__(self, variable: str, value: str | None, allowed: str) -> None:
        super().__init__(variable, value, allowed)
        self.variable = variable
        self.value = value
        self.allowed = allowed

    def __str__(self) -> str:
        held = "is not set" if self.value is None else f"holds {self.value!r}"
        return f"{self.variable} {held}; allowed: {self.allowed}"


class EmbeddedRedisError(ParleyError):
    """The embedded Redis can't run.

    Attributes:
        reason: what went wrong.
        ways_out: what the user can do, each a clause.
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
    """A stage has told the client that its message failed for good, and leaves it to the dead letters.

    Attributes:
        error: what failed.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error

    def __str__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}"


class SessionGone(ParleyError):
    """The session expired or never existed.

    Attributes:
        token: the session's token, masked.
    """

    def __init__(self, token: str) -> None:
        # Masked here, so that no caller can log the whole token by logging the error.
        self.token = mask(token)
        super().__init__(self.token)

    def __str__(self) -> str:
        return f"session {self.token} expired or does not exist"


class ModelErrorCode(StrEnum):
    """Why a model gave no usable answer; clients receive it as the error frame's code."""

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
    """Why a model does not take a message, whenever it is sent."""

    TOO_LONG = "too_long"
    FILTERED = "filtered"


class ModelError(ParleyError):
    """The model gave no usable answer.

    Attributes:
        code: why.
        detail: one line in our own words for the person who waits for the answer.
        retryable: whether the same request may succeed later.
        status: the HTTP status, None when there was no HTTP response.
        retry_after: seconds after which a new request is welcome, None when the server named none.
        partial: whether a part of the answer came before; that part is worth keeping, and the same request
            made again would show it twice.
        report: the cause as the model server or the system worded it, cleaned of control characters and
            secrets; for the operators' log alone.
        message: the part of the report that is the server's message, without the rest of its body.
        loading: whether the server is up and loads its model, so that waiting helps.
        refusal: why the model does not take this message; it is not to be sent again, not even as context
            of a later one. None for every other failure.
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
        """The error and the server's own words, for the operators' log."""
        return f"{self}; {self.report}" if self.report else str(self)


def mask(secret: str) -> str:
    """Return enough of a token or key to tell it from others, and no more: its first 8 characters at most."""
    # Half of a short one at most, or the mask would show all there is.
    return f"{secret[: min(8, len(secret) // 2)]}…"
