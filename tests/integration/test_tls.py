"""A certificate that does not hold ends a call to WeChat or AWS before anything is sent."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from botocore.exceptions import BotoCoreError
from trustme import CA, LeafCert

from local.simulated_wechat import App, SimulatedWeChat, serve
from wechat_auth import aws
from wechat_auth.errors import STORAGE_UNAVAILABLE, WeChatUnavailableError
from wechat_auth.wechat import WeChat

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

APPID = "wx0123456789abcdef"
SECRET = "5ec4e7000000000000000000005ec4e7"
HERE = "127.0.0.1"
LAST_YEAR = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def wechat() -> SimulatedWeChat:
    return SimulatedWeChat([App(APPID, SECRET)])


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CA:
    """An authority that this machine trusts."""
    authority = CA()
    authorities = tmp_path / "authorities.pem"
    authority.cert_pem.write_to_path(str(authorities))
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authorities))
    return authority


@contextmanager
def over_tls(wechat: SimulatedWeChat, certificate: LeafCert) -> Iterator[str]:
    """Serve the simulation with a certificate; give its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with serve(wechat) as server:
        server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
        yield server.url.replace("http:", "https:")


def of_a_stranger(_: CA) -> LeafCert:
    return CA().issue_cert(HERE)


def of_another_host(trusted: CA) -> LeafCert:
    return trusted.issue_cert("api.weixin.qq.com")


def that_has_expired(trusted: CA) -> LeafCert:
    return trusted.issue_cert(HERE, not_after=LAST_YEAR)


Certificate = Callable[[CA], LeafCert]
bad = pytest.mark.parametrize("certificate", [of_a_stranger, of_another_host, that_has_expired])


def test_wechat_is_called_where_its_certificate_holds(wechat: SimulatedWeChat, trusted: CA) -> None:
    phone = wechat.phone()
    with over_tls(wechat, trusted.issue_cert(HERE)) as url:
        client = WeChat([url])
        client.connect()
        assert client.code2session(APPID, SECRET, phone.login()).openid == phone.openid


@bad
def test_wechat_is_told_nothing_where_it_does_not(
    wechat: SimulatedWeChat, trusted: CA, certificate: Certificate
) -> None:
    with over_tls(wechat, certificate(trusted)) as url:
        client = WeChat([url])
        client.connect()
        with pytest.raises(WeChatUnavailableError) as caught:
            client.code2session(APPID, SECRET, wechat.phone().login())
    assert caught.value.reason == "SSLError"
    assert wechat.calls == ()


def test_aws_is_called_where_its_certificate_holds(
    wechat: SimulatedWeChat, trusted: CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    with over_tls(wechat, trusted.issue_cert(HERE)) as url:
        ask_dynamodb(url, monkeypatch)


@bad
def test_aws_is_told_nothing_where_it_does_not(
    wechat: SimulatedWeChat,
    trusted: CA,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Certificate,
) -> None:
    with (
        over_tls(wechat, certificate(trusted)) as url,
        pytest.raises(BotoCoreError) as caught,
    ):
        ask_dynamodb(url, monkeypatch)
    told = aws.explain(caught.value)
    assert (told.problem, told.reason) == (STORAGE_UNAVAILABLE, "SSLError")


def ask_dynamodb(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL_DYNAMODB": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }.items():
        monkeypatch.setenv(name, value)
    aws._session.cache_clear()
    client = cast("DynamoDBClient", aws._client("dynamodb"))
    try:
        client.get_item(TableName="Sessions", Key={"user_id": {"S": "u"}})
    finally:
        client.close()
        aws._session.cache_clear()
