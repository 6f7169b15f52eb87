"""Viewers of the dashboard for benchmarks/dashboard.py: each looks as the page's script does, until it is ended.

python benchmarks/dashboard_viewers.py URL COUNT
"""

import asyncio
import sys

import aiohttp

LIVE_SECONDS = 3.0


async def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    async with asyncio.TaskGroup() as viewers:
        for number in range(count):
            viewers.create_task(_look(url, LIVE_SECONDS * number / count))
        sys.stdout.write("looking\n")
        sys.stdout.flush()


async def _look(url: str, first: float) -> None:
    await asyncio.sleep(first)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        while True:
            async with session.get(f"{url}/dashboard/live", params={"page": "/dashboard/"}) as answer:
                answer.raise_for_status()
                async for _ in answer.content.iter_any():
                    pass


if __name__ == "__main__":
    asyncio.run(main())
