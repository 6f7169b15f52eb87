"""The measure of the others: the same calls from a bare aiohttp client at an even pace, keeping nothing."""

import asyncio
import time
from itertools import cycle

import aiohttp
import psutil
from harness import MODEL, World, cpu_seconds


def bare_calls(running: World, calls: int, per_second: float) -> dict[str, float]:
    """Make so many calls, evenly over the organizations; returns their rate as the provider saw it, refusals, CPU."""
    before, seen = cpu_seconds(psutil.Process()), len(running.simulator.control.calls())
    asyncio.run(_calls(running, calls, per_second))
    cpu = cpu_seconds(psutil.Process()) - before
    made = sorted(running.simulator.control.calls()[seen:], key=lambda call: float(call["arrived_seconds"]))
    seconds = made[-1]["arrived_seconds"] - made[0]["arrived_seconds"]
    return {
        "bare aiohttp: share of the paced rate": (len(made) - 1) / seconds / per_second,
        "bare aiohttp: answers 429": float(sum(call["status"] == 429 for call in made)),
        "bare aiohttp: CPU ms a call": 1000 * cpu / calls,
    }


async def _calls(running: World, calls: int, per_second: float) -> None:
    body = {"model": MODEL, "prompt": "bare", "n": 1, "size": "1024x1024", "response_format": "b64_json"}
    url = f"{running.simulator.base_url}/images/generations"
    keys = cycle([org.api_key for org in running.simulator.config.orgs])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(key: str) -> None:
            async with session.post(url, json=body, headers={"authorization": f"Bearer {key}"}) as answer:
                await answer.json()

        started, tasks = time.monotonic(), []
        for i in range(calls):
            await asyncio.sleep(max(0.0, started + i / per_second - time.monotonic()))
            tasks.append(asyncio.create_task(call(next(keys))))
        await asyncio.gather(*tasks)
