"""Many writers on S3 at once, through a bad network, and while the server dies: nothing is lost or doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg import MinioRegistryBackend
from casreg.testing import servers
from clouds.races import RacesOnACloud

if TYPE_CHECKING:
    from casreg.backends.base import Backend
    from casreg.testing.proxy import Request

pytestmark = pytest.mark.clouds


@pytest.fixture(autouse=True)
def keys_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes, which get a pickle without credentials, find them there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", servers.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", servers.SECRET_KEY)


class TestSeaweedFS(RacesOnACloud):
    kills = 4

    def server(self, request: pytest.FixtureRequest) -> servers.Server:
        server: servers.Server = request.getfixturevalue("seaweedfs")
        return server

    def own_server(self) -> servers.Server:
        return servers.seaweedfs()

    def backend(self, url: str, place: str) -> Backend:
        return MinioRegistryBackend(f"s3://races/{place}?endpoint={url}", timeout=10)

    def may_die(self, turn: int, waiting: list[Request]) -> bool:
        """In the middle of a write of whatever it is; every second time, of a commit."""
        writes = [request.target for request in waiting if request.method == "PUT"]
        return any("/refs/" in target for target in writes) if turn % 2 else bool(writes)
