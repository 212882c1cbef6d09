"""How often a warm request leaves the process: what a call costs and how long it takes."""

from tests.harness.api import IDEMPOTENCY_KEY as KEY
from tests.harness.api import Api, legacy
from tests.harness.deployment import Deployment


def test_a_login_is_one_call_to_wechat_and_one_write(api: Api, deployment: Deployment) -> None:
    api.logged_in(deployment.wechat.phone())
    before = _asked(deployment)
    api.logged_in(deployment.wechat.phone())
    assert _since(before, deployment) == {"code2Session": 1, "PutItem": 1}


def test_a_phone_exchange_is_one_call_a_session_read_and_the_idempotency_pair(
    api: Api, deployment: Deployment
) -> None:
    phone = deployment.wechat.phone()
    token = api.logged_in(phone)
    api.phone(phone.tap_phone_number().code, token=token)
    before = _asked(deployment)
    api.phone(phone.tap_phone_number().code, token=token)
    assert _since(before, deployment) == {
        "getPhoneNumber": 1,
        "GetItem": 1,
        "PutItem": 1,
        "UpdateItem": 1,
    }


def test_a_phone_exchange_without_login_reads_no_session(api: Api, deployment: Deployment) -> None:
    phone = deployment.wechat.phone()
    api.phone(phone.tap_phone_number().code)
    for key, writes in ((KEY, {"PutItem": 1, "UpdateItem": 1}), (None, {})):
        before = _asked(deployment)
        api.phone(phone.tap_phone_number().code, key=key)
        assert _since(before, deployment) == {"getPhoneNumber": 1, **writes}


def test_a_repeated_phone_code_is_one_write_that_is_refused(
    api: Api, deployment: Deployment
) -> None:
    code = deployment.wechat.phone().tap_phone_number().code
    api.phone(code, key=KEY)
    before = _asked(deployment)
    assert api.phone(code, key=KEY).status == 200
    assert _since(before, deployment) == {"PutItem": 1}


def test_a_decrypted_phone_number_is_one_read_one_call_and_a_failure_counted_and_given_back(
    api: Api, deployment: Deployment
) -> None:
    phone = deployment.wechat.phone()
    token = api.logged_in(phone)
    api.decrypt(token=token, **legacy(phone.tap_phone_number()))
    before = _asked(deployment)
    tap = phone.tap_phone_number()
    assert api.decrypt(token=token, **legacy(tap)).status == 200
    assert _since(before, deployment) == {"Query": 1, "UpdateItem": 2, "checkEncryptedData": 1}
    before = _asked(deployment)
    assert api.decrypt(token=token, **legacy(tap)).status == 200
    assert _since(before, deployment) == {"Query": 1}


def test_other_open_data_is_one_read(api: Api, deployment: Deployment) -> None:
    phone = deployment.wechat.phone()
    token = api.logged_in(phone)
    info = phone.user_info()
    before = _asked(deployment)
    body = {"encryptedData": info.encrypted_data, "iv": info.iv}
    assert api.decrypt(token=token, **body).status == 200
    assert _since(before, deployment) == {"Query": 1}


def test_a_session_check_is_one_read(api: Api, deployment: Deployment) -> None:
    token = api.logged_in(deployment.wechat.phone())
    before = _asked(deployment)
    assert api.session(token).status == 200
    assert _since(before, deployment) == {"GetItem": 1}


def test_the_authorizer_is_one_read(api: Api, deployment: Deployment) -> None:
    token = api.logged_in(deployment.wechat.phone())
    before = _asked(deployment)
    event = {"headers": {"authorization": f"Bearer {token}"}}
    assert deployment.stack.invoke("authorizer", event)["isAuthorized"] is True
    assert _since(before, deployment) == {"GetItem": 1}


def test_introspection_is_one_read(api: Api, deployment: Deployment) -> None:
    token = api.logged_in(deployment.wechat.phone())
    api.introspect(token)
    before = _asked(deployment)
    assert api.introspect(token).json["active"] is True
    assert _since(before, deployment) == {"GetItem": 1}


def test_to_end_the_sessions_of_a_user_is_a_query_and_a_batch(
    api: Api, deployment: Deployment
) -> None:
    person = deployment.wechat.phone()
    api.logged_in(person)
    before = _asked(deployment)
    assert deployment.stack.invoke("end_sessions", {"openids": [person.openid]}) == {"ended": 1}
    assert _since(before, deployment) == {"Query": 1, "BatchWriteItem": 1}


def test_an_account_function_is_one_call_more_unless_an_answer_is_repeated(
    api: Api, deployment: Deployment
) -> None:
    deployment.with_account_function(lambda *_: {"accountId": "u-1", "claims": {"a": 1}})
    phone = deployment.wechat.phone()
    token = api.logged_in(phone)
    api.phone(phone.tap_phone_number().code, token=token)
    before = _asked(deployment)
    api.logged_in(phone)
    assert _since(before, deployment) == {"code2Session": 1, "Invoke": 1, "PutItem": 1}
    exchange = {"getPhoneNumber": 1, "GetItem": 1, "PutItem": 1, "UpdateItem": 1}
    before = _asked(deployment)
    code = phone.tap_phone_number().code
    api.phone(code, token=token)
    assert _since(before, deployment) == {**exchange, "Invoke": 1}
    before = _asked(deployment)
    api.phone(code, token=token)
    # One more to see that consent was not withdrawn since.
    assert _since(before, deployment) == {"GetItem": 2, "PutItem": 1}
    token = api.logged_in(phone)
    tap = phone.tap_phone_number()
    before = _asked(deployment)
    assert api.decrypt(token=token, **legacy(tap)).status == 200
    assert _since(before, deployment) == {
        "Query": 1, "UpdateItem": 2, "checkEncryptedData": 1, "Invoke": 1,
    }  # fmt: skip


def test_news_of_the_account_is_one_write_to_the_session(api: Api, deployment: Deployment) -> None:
    deployment.with_account_function(
        lambda event, _: {"accountId": "u-1"} if event["event"] == "phone" else {}
    )
    phone = deployment.wechat.phone()
    api.phone(phone.tap_phone_number().code, token=api.logged_in(phone))
    token = api.logged_in(phone)
    before = _asked(deployment)
    api.phone(phone.tap_phone_number().code, token=token)
    assert _since(before, deployment) == {
        "getPhoneNumber": 1, "GetItem": 1, "PutItem": 1, "UpdateItem": 2, "Invoke": 1,
    }  # fmt: skip


def _asked(deployment: Deployment) -> dict[str, int]:
    return {**deployment.operations, **deployment.wechat.counts()}


def _since(before: dict[str, int], deployment: Deployment) -> dict[str, int]:
    now = _asked(deployment)
    return {
        name: number - before.get(name, 0)
        for name, number in now.items()
        if number != before.get(name, 0)
    }
