"""The few calls of a Matrix client that the tests and the demo need."""

import hashlib
import hmac
import itertools
import json
import urllib.error
import urllib.request
from typing import Any

from testbed.servers.process import SynapseProcess
from testbed.servers.server import REGISTRATION_SECRET
from testbed.waiting import HANG_S


class MatrixClient:
    """A user, made by `register`, on one server.

    Args:
        url: of the server.
        token: the user's token.
        timeout_s: how long to wait for an answer.
    """

    def __init__(self, url: str, token: str = "", timeout_s: float = HANG_S) -> None:
        self.url = url
        self.token = token
        self._timeout_s = timeout_s
        known = SynapseProcess.tokens.setdefault(url, [])
        if token and token not in known:
            known.append(token)
        self._transactions = itertools.count()

    def impatient(self) -> "MatrixClient":
        """The same user with the time-out of most clients."""
        return MatrixClient(self.url, self.token, timeout_s=30)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON.

        Raises:
            urllib.error.HTTPError: the server refused.
            OSError: it did not answer within `timeout_s`.
        """
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.msg += f": {error.read(1000).decode(errors='replace')}"
            raise

    @classmethod
    def register(cls, url: str, name: str, *, admin: bool) -> "MatrixClient":
        client = cls(url)
        nonce = client.call("GET", "/_synapse/admin/v1/register")["nonce"]
        password = f"password of {name}"
        parts = (nonce, name, password, "admin" if admin else "notadmin")
        mac = hmac.new(REGISTRATION_SECRET.encode(), "\0".join(parts).encode(), hashlib.sha1)
        answer = client.call(
            "POST",
            "/_synapse/admin/v1/register",
            {
                "nonce": nonce,
                "username": name,
                "password": password,
                "admin": admin,
                "mac": mac.hexdigest(),
            },
        )
        return cls(url, answer["access_token"])

    def create_room(self, name: str, alias: str | None = None) -> str:
        """A private room; with an alias (its local part), one that everybody may join."""
        public = {"preset": "public_chat", "room_alias_name": alias} if alias else {}
        body = {"name": name, **public}
        room_id: str = self.call("POST", "/_matrix/client/v3/createRoom", body)["room_id"]
        return room_id

    def join(self, room_id: str) -> None:
        self.call("POST", f"/_matrix/client/v3/rooms/{room_id}/join", {})

    def send(self, room_id: str, text: str) -> None:
        path = f"/_matrix/client/v3/rooms/{room_id}/send/m.room.message/{next(self._transactions)}"
        self.call("PUT", path, {"msgtype": "m.text", "body": text})

    def set_updates_enabled(self, enabled: bool) -> None:
        """Set Synapse's own switch for background updates (administrators only)."""
        path = "/_synapse/admin/v1/background_updates/enabled"
        self.call("POST", path, {"enabled": enabled})

    def updates_status(self) -> Any:
        return self.call("GET", "/_synapse/admin/v1/background_updates/status")

    def run_job(self, name: str) -> None:
        self.call("POST", "/_synapse/admin/v1/background_updates/start_job", {"job_name": name})
