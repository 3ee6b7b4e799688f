"""What an operation raises instead of answering."""

from typing import Any


class ApiError(Exception):
    """An error answer of a service: its code, its text, its HTTP status and further members of the modelled error."""

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members


def invalid(message: str) -> ApiError:
    """Return a `ValidationException` saying `message`."""
    return ApiError("ValidationException", message)


def in_use(message: str) -> ApiError:
    """Return a `ResourceInUse` saying `message`."""
    return ApiError("ResourceInUse", message)


class StateFileError(RuntimeError):
    """The state file cannot be read; the message is one line for a person."""
