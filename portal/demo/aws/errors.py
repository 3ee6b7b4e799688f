"""What an operation raises instead of answering."""


class ApiError(Exception):
    """An error answer of a service: its code, its text and its HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> ApiError:
    """Return a `ValidationException` saying `message`."""
    return ApiError("ValidationException", message)


def in_use(message: str) -> ApiError:
    """Return a `ResourceInUse` saying `message`."""
    return ApiError("ResourceInUse", message)


class StateFileError(RuntimeError):
    """The state file cannot be read; the message is one line for a person."""
