"""Redis answers as text: the client's types allow both, the server sends bytes."""


def text(value: bytes | str) -> str:
    """Return an answer as text; bytes that are no UTF-8 are shown as such and never raise."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
