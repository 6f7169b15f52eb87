"""Scripts that are asked for in the same turn of the event loop go to the server together.

Most of what a command costs its client is taking a connection and waiting for it, not the bytes: one such trip for the
ten jobs that one commit of the ledger ends is a tenth of a job's CPU.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import exceptions

from imagequeue.queue.scripts import TROUBLE, Argument, Scripts, digest, unavailable

RUNS_MAX: Final = 64
"""Scripts in one trip: an answer to the last is not kept waiting long by the first."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A script to be run, and who waits for its answer."""

    name: str
    arguments: Sequence[Argument]
    answer: asyncio.Future[Any]


class Together:
    """Runs scripts as `Scripts.run` does; each is still a step of its own on the server."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._prefixes = (scripts.keys.rq, scripts.keys.own)
        self._waiting: list[Run] = []
        self._trips: set[asyncio.Task[None]] = set()

    async def run(self, name: str, arguments: Sequence[Argument]) -> Any:
        """Return what script `name` answers; QueueUnavailable when it is not known whether it ran."""
        loop = asyncio.get_running_loop()
        run = Run(name=name, arguments=(*self._prefixes, *arguments), answer=loop.create_future())
        self._waiting.append(run)
        if len(self._waiting) == 1:
            loop.call_soon(self._leave)
        return await run.answer

    def _leave(self) -> None:
        runs, self._waiting = self._waiting, []
        for start in range(0, len(runs), RUNS_MAX):
            trip = asyncio.create_task(self._send(runs[start : start + RUNS_MAX]))
            self._trips.add(trip)
            trip.add_done_callback(self._trips.discard)

    async def _send(self, runs: Sequence[Run]) -> None:
        try:
            answers = await self._evaluate(runs)
        except Exception as error:  # the boundary of this task: the error is each caller's answer
            answers = [error] * len(runs)
        for run, answer in zip(runs, answers, strict=True):
            if run.answer.done():
                continue  # its caller left; the script acts for the holder of a claim only, so it does no harm
            if isinstance(answer, TROUBLE):
                run.answer.set_exception(unavailable(answer))
            elif isinstance(answer, Exception):
                run.answer.set_exception(answer)
            else:
                run.answer.set_result(answer)

    async def _evaluate(self, runs: Sequence[Run]) -> list[Any]:
        answers = await self._trip(runs)
        unknown = [i for i, answer in enumerate(answers) if isinstance(answer, exceptions.NoScriptError)]
        if unknown:  # a new server, or one whose scripts were flushed; these did not run
            for name in {runs[i].name for i in unknown}:
                await self._scripts.load(name)
            for i, answer in zip(unknown, await self._trip([runs[i] for i in unknown]), strict=True):
                answers[i] = answer
        return answers

    async def _trip(self, runs: Sequence[Run]) -> list[Any]:
        async with self._scripts.redis.pipeline(transaction=False) as pipe:
            for run in runs:
                pipe.evalsha(digest(run.name), 0, *run.arguments)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers
