"""Every exception Limner raises on purpose.

    LimnerError
    ├── InvalidInput            a field is missing, malformed or out of range
    │   ├── UnknownScheduler    strict servers only; others replace it and say so
    │   ├── UnknownModel        a name or SHA-256 that the library does not have
    │   ├── AmbiguousModel      a name or SHA-256 that several models of it have
    │   ├── UnusableModel       the name of a file of it that cannot be read
    │   └── TooCostly           a picture that takes more to decode than is allowed
    ├── MalformedBody           the body is not what its content type says
    ├── Unauthenticated         no key
    │   └── InvalidKey          a key nobody issued, revoked or expired
    ├── Forbidden               a key without the right
    │   ├── LicenceNotAccepted  the checkpoint's licence has not been accepted
    │   └── ModelNotAllowed     a model that is not among those of the key
    ├── NotFound                no such path, model, request or picture
    ├── NotAllowed              right path, wrong verb
    ├── WrongContentType
    ├── EncodedBody             a body that is compressed or otherwise encoded
    ├── InsufficientCredits
    ├── Gone                    it was here; its keeping time is over
    ├── BodyTooLarge
    ├── IdempotencyMismatch     an Idempotency-Key used before with another body
    ├── LimitExceeded           the key's rate or concurrency limit (retry_after)
    ├── Unavailable             the whole server cannot take this now (retry_after)
    │   ├── DatabaseUnavailable
    │   ├── QueueFull
    │   ├── ModelLoading
    │   ├── EngineBroken        the engine can draw nothing any more; the process ends
    │   └── WaitedTooLong
    ├── Aborted                 the caller went away or cancelled
    ├── DecoderFault            the process that decoded a picture died
    ├── Damaged                 a file of ours is not what was written
    ├── EngineFault             drawing failed; nothing is billed
    │   └── NotFinite           latents or pixels that are not numbers
    ├── CheckpointError         a file that cannot be loaded, and why
    ├── LedgerError             a rule of the ledger was broken by its caller
    └── SettingsError           an unknown or impossible setting; stops the start

Domain code raises these; ``web/app.py`` maps each class to a status in one table.
Messages are sentences for the person who can act on them.
"""

from __future__ import annotations

from typing import Any


class LimnerError(Exception):
    """Base of all; ``str(error)`` is a sentence fit to show the caller.

    One that was pickled comes back whole, whatever its class takes to be made.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[LimnerError], arguments: tuple[Any, ...], more: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *arguments)
    error.__dict__ |= more
    return error


class InvalidInput(LimnerError):
    """A field the caller can correct.

    ``field`` is the name the caller used, so that a page can put the sentence beside it.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownScheduler(InvalidInput):
    """A scheduler name nobody knows, on a server set to be strict."""


class UnknownModel(InvalidInput):
    """A model or VAE that the library does not have under this name or SHA-256."""


class AmbiguousModel(InvalidInput):
    """A name or SHA-256 that several models have; the sentence names them."""


class UnusableModel(InvalidInput):
    """The name of a file that cannot be read; the sentence says why."""


class TooCostly(InvalidInput):
    """A picture whose decoding takes more time or memory than one may; the limit is told."""


class MalformedBody(LimnerError):
    """The body cannot be read as JSON or multipart."""


class Unauthenticated(LimnerError):
    """No key was sent."""


class InvalidKey(Unauthenticated):
    """The key is unknown, revoked or expired; which of these is not told."""


class Forbidden(LimnerError):
    """The key is good, but may not do this."""


class LicenceNotAccepted(Forbidden):
    """The checkpoint's licence asks for an acceptance this key has not given."""


class ModelNotAllowed(Forbidden):
    """A model that is not among those with which the key may draw."""


class NotFound(LimnerError):
    """Nothing is there, or nothing this key may see."""


class NotAllowed(LimnerError):
    """The path exists, not with this verb; ``allow`` lists those that work."""

    def __init__(self, message: str, allow: str = "") -> None:
        super().__init__(message)
        self.allow = allow


class WrongContentType(LimnerError):
    """A content type other than the surface takes."""


class EncodedBody(LimnerError):
    """A body in an encoding, such as gzip, that the server does not undo."""


class InsufficientCredits(LimnerError):
    """The account's available balance is below the price; both in micro-credits."""

    def __init__(self, message: str, *, available_micro: int, price_micro: int) -> None:
        super().__init__(message)
        self.available_micro = available_micro
        self.price_micro = price_micro


class Gone(LimnerError):
    """A result that existed and has expired."""


class BodyTooLarge(LimnerError):
    """The body is longer than the server reads."""


class IdempotencyMismatch(LimnerError):
    """The key was used within its time with a different body."""


class LimitExceeded(LimnerError):
    """A limit of this key; ``retry_after_s`` seconds until trying again makes sense."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = max(1, retry_after_s)


class Unavailable(LimnerError):
    """The server as a whole cannot take this now."""

    def __init__(self, message: str, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = max(1, retry_after_s)


class DatabaseUnavailable(Unavailable):
    """The database does not answer; whether the transaction was committed is not known."""


class StorageUnavailable(Unavailable):
    """The place of the pictures' files takes or gives none now: no request is to blame."""


class QueueFull(Unavailable):
    """The bounded queue has no place."""


class ModelLoading(Unavailable):
    """The port answers; the model is still loading."""


class EngineBroken(Unavailable):
    """The engine is gone, or fails whatever it draws; no request is to blame or loses a try.

    ``suspect``: but this one was drawn when it broke. ``__cause__`` is what failed first, where it
    is known.
    """

    def __init__(
        self,
        message: str = "The engine cannot draw any more and is started anew.",
        wait_s: int = 30,
        *,
        suspect: bool = False,
    ) -> None:
        super().__init__(message, wait_s)
        self.suspect = suspect


class WaitedTooLong(Unavailable):
    """The picture did not come within the waiting time; it was stopped and not billed."""


class Aborted(LimnerError):
    """The request was cancelled before it was finished."""


class DecoderFault(LimnerError):
    """A decoding process died, or could not be had; the picture may be sound."""


class Damaged(LimnerError):
    """A stored file that is cut, flipped or no longer ours; trying again would not mend it."""


class EngineFault(LimnerError):
    """Drawing failed for a reason of ours."""


class NotFinite(EngineFault):
    """The model produced values that are not numbers."""


class CheckpointError(LimnerError):
    """A checkpoint that cannot be loaded; the sentence names the file and the reason."""


class LedgerError(LimnerError):
    """A transfer the rules forbid, such as resolving a hold twice with different outcomes."""


class SettingsError(LimnerError):
    """A setting that is unknown, malformed or contradictory."""
