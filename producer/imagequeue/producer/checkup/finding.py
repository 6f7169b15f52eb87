"""One result of a check, and how checks are run so that none can end or hold up the others."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

CHECK_SECONDS_MAX: Final = 30.0

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found; `do` says what to do about it and is empty when all is well. No secret is ever in it."""

    status: Status
    check: str
    says: str
    do: str = ""


def ok(check: str, says: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(status="ok", check=check, says=says)


def warn(check: str, says: str, do: str) -> Finding:
    """Return a finding that something can go wrong later, or could not be looked at."""
    return Finding(status="warn", check=check, says=says, do=do)


def fail(check: str, says: str, do: str) -> Finding:
    """Return a finding that something does not work, or puts jobs or money at risk."""
    return Finding(status="fail", check=check, says=says, do=do)


async def guarded(check: str, work: Awaitable[Sequence[Finding]]) -> list[Finding]:
    """Return a check's findings; an error or a missing answer becomes a finding too."""
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return list(await work)
    except TimeoutError:
        return [fail(check, f"no answer in {CHECK_SECONDS_MAX:.0f} s", "see whether it is overloaded or cut off")]
    except Exception as error:  # a check that breaks is itself a finding
        said = " ".join(str(error).split()) or type(error).__name__
        return [fail(check, said, "mend this and run doctor again")]
