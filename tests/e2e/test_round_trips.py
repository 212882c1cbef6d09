"""How often a warm request leaves the process: what a call costs and how long it takes."""

from tests.harness.api import Api, legacy
from tests.harness.backend import Backend


def test_a_login_is_one_call_to_wechat_and_one_write(api: Api, backend: Backend) -> None:
    api.logged_in(backend.wechat.phone())
    before = _asked(backend)
    api.logged_in(backend.wechat.phone())
    assert _since(before, backend) == {"code2Session": 1, "PutItem": 1}


def test_a_phone_exchange_is_one_call_a_session_read_and_the_idempotency_pair(
    api: Api, backend: Backend
) -> None:
    phone = backend.wechat.phone()
    token = api.logged_in(phone)
    api.phone(phone.tap_phone_number().code, token=token)
    before = _asked(backend)
    api.phone(phone.tap_phone_number().code, token=token)
    assert _since(before, backend) == {
        "getPhoneNumber": 1,
        "GetItem": 1,
        "PutItem": 1,
        "UpdateItem": 1,
    }


def test_a_phone_exchange_without_login_reads_no_session(api: Api, backend: Backend) -> None:
    phone = backend.wechat.phone()
    api.phone(phone.tap_phone_number().code)
    before = _asked(backend)
    api.phone(phone.tap_phone_number().code)
    assert _since(before, backend) == {"getPhoneNumber": 1, "PutItem": 1, "UpdateItem": 1}


def test_a_repeated_phone_code_is_one_write_that_is_refused(api: Api, backend: Backend) -> None:
    code = backend.wechat.phone().tap_phone_number().code
    api.phone(code)
    before = _asked(backend)
    assert api.phone(code).status == 200
    assert _since(before, backend) == {"PutItem": 1}


def test_a_decrypted_phone_number_is_one_read_and_one_call(api: Api, backend: Backend) -> None:
    phone = backend.wechat.phone()
    token = api.logged_in(phone)
    api.decrypt(token=token, **legacy(phone.tap_phone_number()))
    before = _asked(backend)
    assert api.decrypt(token=token, **legacy(phone.tap_phone_number())).status == 200
    assert _since(before, backend) == {"Query": 1, "checkEncryptedData": 1}


def test_other_open_data_is_one_read(api: Api, backend: Backend) -> None:
    phone = backend.wechat.phone()
    token = api.logged_in(phone)
    info = phone.user_info()
    before = _asked(backend)
    body = {"encryptedData": info.encrypted_data, "iv": info.iv}
    assert api.decrypt(token=token, **body).status == 200
    assert _since(before, backend) == {"Query": 1}


def test_a_session_check_is_one_read(api: Api, backend: Backend) -> None:
    token = api.logged_in(backend.wechat.phone())
    before = _asked(backend)
    assert api.session(token).status == 200
    assert _since(before, backend) == {"GetItem": 1}


def test_the_authorizer_is_one_read(api: Api, backend: Backend) -> None:
    token = api.logged_in(backend.wechat.phone())
    before = _asked(backend)
    event = {"headers": {"authorization": f"Bearer {token}"}}
    assert backend.stack.invoke("authorizer", event)["isAuthorized"] is True
    assert _since(before, backend) == {"GetItem": 1}


def test_bad_input_leaves_the_process_not_once(api: Api, backend: Backend) -> None:
    before = _asked(backend)
    assert api.login("no code&appid=x").status == 400
    assert api.phone("'").status == 400
    assert api.decrypt(token="not-a-token", encryptedData="AA==", iv="AA==").status == 400
    assert api.session("not-a-token").status == 401
    assert _since(before, backend) == {}


def _asked(backend: Backend) -> dict[str, int]:
    return {**backend.operations, **backend.wechat.counts()}


def _since(before: dict[str, int], backend: Backend) -> dict[str, int]:
    now = _asked(backend)
    return {
        name: number - before.get(name, 0)
        for name, number in now.items()
        if number != before.get(name, 0)
    }
