"""What keeps the worker from claiming: a part that its calls depend on does not work. No call while blind."""


class Health:
    """Reasons by part, e.g. `ledger` -> text; the worker claims only while there are none."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def fails(self, part: str, reason: str) -> None:
        """Note that a part does not work; a reason that names it already does so once."""
        self._reasons[part] = reason.removeprefix(f"{part}: ")

    def works(self, part: str) -> None:
        """Note that a part works again."""
        self._reasons.pop(part, None)

    @property
    def sick(self) -> tuple[str, ...]:
        """The parts that do not work."""
        return tuple(self._reasons)

    @property
    def note(self) -> str:
        """One line that says what does not work and why; empty when all is well."""
        return "; ".join(f"{part}: {reason}" for part, reason in self._reasons.items())
