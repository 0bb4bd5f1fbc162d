"""A service account of Google's, for tests: its key in a file, and a server of their own that gives tokens for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from clouds.scripted import Reply

if TYPE_CHECKING:
    from pathlib import Path

    from clouds.scripted import Scripted


def _key() -> str:
    return (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )


KEY = _key()


class Account:
    """The key of a service account in a file, and the server that gives tokens for it."""

    def __init__(self, folder: Path, server: Scripted) -> None:
        self.path = folder / "key.json"
        self.server = server
        info = {
            "type": "service_account",
            "project_id": "project-of-the-key",
            "private_key_id": "1",
            "private_key": KEY,
            "client_email": "somebody@project.example",
            "token_uri": f"{server.url}/token",
        }
        self.path.write_text(json.dumps(info))

    def accept(self, *tokens: str) -> None:
        """Give these, one after the other."""
        self.server.script = [
            Reply(
                200, json.dumps({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}).encode()
            )
            for token in tokens
        ]
