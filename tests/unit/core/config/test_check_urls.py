"""URLs of checks: what looks like a secret is noticed, and not shown."""

import pytest

from synapse_bgthrottle.core.config.parser import parse
from synapse_bgthrottle.core.config.problems import InvalidConfigError
from synapse_bgthrottle.core.config.signal_settings import SignalSettings, secret_in, shown
from synapse_bgthrottle.core.reports.config_warnings import secrets

_UUID = "0b9c3f7e-3f2d-4c1a-9d1e-1c2b3a4d5e6f"


@pytest.mark.parametrize(
    ("secret", "url"),
    [
        (None, "http://127.0.0.1:8000/may-updates-run"),
        (None, "http://127.0.0.1:8000/may-updates-run?database=main&n=12"),
        (None, "http://h/v1/health-of-the-database-cluster"),
        (None, "http://h/?token="),
        ("a user or a password", "http://me:hunter2@h/"),
        ("token=...", "http://h/?token=1234"),
        ("access_token=...", "http://h/?a=b&access_token=abc"),
        ("API-Key=...", "http://h/?API-Key=abc"),
        ("sig=...", "http://h/?sig=abc"),
        ("a long key in its query", f"http://h/?{_UUID}"),
        ("a long key in its query", f"http://h/?u={_UUID}"),
        ("a long key in its path", f"https://h/ping/{_UUID}/go"),
    ],
)
def test_secret_in(secret: str | None, url: str) -> None:
    """A user, a telling name or a long key; told without the secret itself."""
    assert secret == secret_in(url)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/"),
        ("http://127.0.0.1:8000/...", "http://127.0.0.1:8000/go"),
        ("http://h/...", "http://h/?token=hunter2"),
        ("http://h/...", "http://h?token=hunter2"),
        ("http://...@h/...", "http://me:hunter2@h/go"),
        ("h/go", "me:hunter2@h/go"),
        ("nothing", "nothing"),
    ],
)
def test_shown(text: str, url: str) -> None:
    """Scheme, host and port, and that there is more."""
    assert text == shown(url)


def test_a_secret_is_remarked() -> None:
    """It is warned of at the start, without being told; an address without one is not."""
    (remark,) = secrets(parse({"signals": {"http": "http://h/?token=hunter2"}}))
    assert remark.startswith("signals.http: the address seems to contain a secret (token=...)")
    assert "hunter2" not in remark
    assert [] == list(secrets(parse({"signals": {"http": "http://h/go"}})))
    assert [] == list(secrets(parse({})))


def test_a_password_that_is_refused_is_not_told() -> None:
    """Neither in the error at the start, nor by check-config."""
    with pytest.raises(InvalidConfigError) as raised:
        parse({"signals": {"http": "http://me:hunter2@h/?token=hunter2"}})
    assert str(raised.value).startswith("signals.http: found 'http://...@h/...'; accepted is ")
    assert "hunter2" not in str(raised.value)


def test_settings_do_not_show_it() -> None:
    """Whatever prints settings prints no secret."""
    assert "hunter2" not in repr(SignalSettings(http_url="http://h/?token=hunter2"))
    assert "http_url=None" in repr(SignalSettings())
