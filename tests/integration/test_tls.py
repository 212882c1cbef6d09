"""A certificate that does not hold ends a call to WeChat or AWS before anything is sent."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from trustme import CA, LeafCert

from local import embedded_aws
from local.simulated_wechat import App, SimulatedWeChat, serve
from wechat_auth.errors import STORAGE_UNAVAILABLE, WeChatUnavailableError
from wechat_auth.storage import Aws, StorageError, Table
from wechat_auth.wechat import WeChat

APPID = "wx0123456789abcdef"
SECRET = "5ec4e7000000000000000000005ec4e7"
HERE = "127.0.0.1"
LAST_YEAR = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def wechat() -> SimulatedWeChat:
    return SimulatedWeChat([App(APPID, SECRET)])


@contextmanager
def over_tls(wechat: SimulatedWeChat, certificate: LeafCert) -> Iterator[str]:
    """Serve the simulation with a certificate; give its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with serve(wechat, tls=context) as server:
        yield server.url


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
    assert str(caught.value.reason).startswith("TLS: ")
    assert wechat.calls == ()


def test_aws_is_called_where_its_certificate_holds(wechat: SimulatedWeChat, trusted: CA) -> None:
    with over_tls(wechat, trusted.issue_cert(HERE)) as url:
        assert things(url).get({"id": "u"}) is None


@bad
def test_aws_is_told_nothing_where_it_does_not(
    wechat: SimulatedWeChat, trusted: CA, certificate: Certificate
) -> None:
    with over_tls(wechat, certificate(trusted)) as url, pytest.raises(StorageError) as caught:
        things(url).get({"id": "u"})
    assert (caught.value.problem, caught.value.reason) == (STORAGE_UNAVAILABLE, "SSLError")


def things(url: str) -> Table:
    """Return a table of a DynamoDB at this URL."""
    return Aws(embedded_aws.create_client(url)).table("Things")
