"""The identity providers whose assertions we take."""


def problems() -> list[tuple[str, str]]:
    """Return what is wrong with the configured metadata, as (message, hint)."""
    return []
