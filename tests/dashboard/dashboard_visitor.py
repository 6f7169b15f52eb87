"""A visitor of the page: a browser without scripts."""

import asyncio
from collections.abc import Mapping

import httpx
from dashboard_door import FakeDoor


class Visitor:
    """One browser without scripts: it keeps cookies and follows nothing by itself."""

    def __init__(self, door: FakeDoor) -> None:
        self._app = door.app()
        self.cookies = httpx.Cookies()

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Return the answer to a GET."""
        return self._send("GET", path, None, headers)

    def post(self, path: str, form: Mapping[str, object], **headers: str) -> httpx.Response:
        """Return the answer to a form."""
        return self._send("POST", path, form, headers)

    def form_token(self, path: str = "/dashboard/jobs") -> str:
        """Return the token of the forms of a page."""
        return self.get(path).text.partition('name="form_token" value="')[2].partition('"')[0]

    def login(self, key: str) -> httpx.Response:
        """Log in with a key."""
        return self.post("/dashboard/login", {"key": key, "form_token": self.form_token("/dashboard/login")})

    def _send(
        self, method: str, path: str, form: Mapping[str, object] | None, headers: Mapping[str, str]
    ) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost:8080", cookies=self.cookies
            ) as client:
                answer = await client.request(method, path, data=form, headers=named)
            self.cookies.update(answer.cookies)
            return answer

        return asyncio.run(send())
