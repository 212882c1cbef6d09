"""Each request that a client can make, prepared so that it works, and can be made again."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, cast

from moto.sqs.models import sqs_backends

from local import COMPONENT
from local.runtime import FunctionError
from local.simulated_wechat import App, Phone, Pushed, ThirdPartyPlatform
from local.simulated_wechat.platform import Authorization
from local.stack import app_secrets
from local.template import ACCOUNT_ID, REGION
from tests.harness.api import IDEMPOTENCY_KEY, Answer, Api, Document, legacy
from tests.harness.deployment import Deployment
from wechat_auth.user_events import CLOSED, UserEvent

if TYPE_CHECKING:
    from wechat_auth.errors import AuthError

MERCHANT = "wx0000000000abc010"

Outcome = str
"""``200``, or what a problem document says: ``503 storage_unavailable retry``; of a push, which has
no document, the status alone; of what a queue brings, ``again`` if it must come again."""
Ask = Callable[[], Outcome]


@dataclass(frozen=True, slots=True)
class Scene:
    """Who asks whom."""

    api: Api
    deployment: Deployment
    phone: Phone

    def token(self) -> str:
        answer = self.api.login(self.phone.login(), appid=self.phone.appid)
        token: str = answer.json["token"]
        return token

    def secure(self) -> None:
        """Have API security; to make its keys takes long, so once is enough."""
        if not self.deployment.wechat.api_security:
            self.deployment.secure()

    def store_push_keys(self) -> None:
        self.deployment.put_secret("AppSecrets", app_secrets(self.deployment.wechat))

    def platform(self) -> ThirdPartyPlatform:
        """Have a third-party platform, with a ticket and nobody who has authorised it."""
        platform = self.deployment.wechat.platform
        assert platform
        self.store_push_keys()
        self.deployment.configure(COMPONENT_APPID=COMPONENT)
        platform.ticket()
        table = self.deployment.backend.platform_table
        assert table.keep_ticket(platform.newest_ticket, int(time.time()))
        return platform

    def authorizing(self) -> Authorization:
        """Let a merchant authorise the platform, which has not heard of it yet."""
        platform = self.platform()
        self.deployment.wechat.put_app(App(MERCHANT, "", cloud=True))
        platform.authorize(MERCHANT)
        return platform.authorizations[MERCHANT]

    def of_merchant(self) -> Self:
        """Return the same scene with a user of a merchant that has authorised the platform."""
        made = self.authorizing()
        made.taken_up = True
        assert self.deployment.backend.platform_table.authorize(
            MERCHANT, made.refresh_token, frozenset(made.permissions), made.authorized_at
        )
        return replace(self, phone=self.deployment.wechat.phone(MERCHANT))

    def waiting(self, queue: str) -> int:
        """Return how many messages are in a queue."""
        return len(sqs_backends[ACCOUNT_ID][REGION].queues[queue].messages)


def outcome(answer: Answer) -> Outcome:
    if answer.status < 300:
        return str(answer.status)
    status, code, action = answer.problem
    return f"{status} {code} {action}"


def login(scene: Scene) -> Ask:
    code = scene.phone.login()
    return lambda: outcome(scene.api.login(code))


def phone(scene: Scene) -> Ask:
    code = scene.phone.tap_phone_number().code
    return lambda: outcome(scene.api.phone(code, key=IDEMPOTENCY_KEY))


def phone_with_session(scene: Scene) -> Ask:
    token, code = scene.token(), scene.phone.tap_phone_number().code
    return lambda: outcome(scene.api.phone(code, token=token))


def phone_in_classic_mode(scene: Scene) -> Ask:
    scene.deployment.configure(ACCESS_TOKEN_MODE="classic")
    return phone(scene)


def phone_again(scene: Scene) -> Ask:
    code = scene.phone.tap_phone_number().code
    assert scene.api.phone(code, key=IDEMPOTENCY_KEY).status == 200
    return lambda: outcome(scene.api.phone(code, key=IDEMPOTENCY_KEY))


def decrypt(scene: Scene) -> Ask:
    token, tap = scene.token(), scene.phone.tap_phone_number()
    return lambda: outcome(scene.api.decrypt(token=token, **legacy(tap)))


def decrypt_in_one_shot(scene: Scene) -> Ask:
    code, tap = scene.phone.login(), scene.phone.tap_phone_number()
    return lambda: outcome(scene.api.decrypt(code=code, **legacy(tap)))


def decrypt_what_cannot_be(scene: Scene) -> Ask:
    token, tap = scene.token(), scene.deployment.wechat.phone().tap_phone_number()
    return lambda: outcome(scene.api.decrypt(token=token, **legacy(tap)))


def decrypt_a_cloud_id(scene: Scene) -> Ask:
    token, tap = scene.token(), scene.phone.tap_phone_number()
    return lambda: outcome(scene.api.decrypt(token=token, cloudID=tap.cloud_id))


def phone_with_api_security(scene: Scene) -> Ask:
    scene.secure()
    return phone(scene)


def decrypt_with_api_security(scene: Scene) -> Ask:
    scene.secure()
    return decrypt(scene)


def session(scene: Scene) -> Ask:
    token = scene.token()
    return lambda: outcome(scene.api.session(token))


def session_verified(scene: Scene) -> Ask:
    token = scene.token()
    return lambda: outcome(scene.api.session(token, "?verify=true"))


def logout(scene: Scene) -> Ask:
    token = scene.token()
    return lambda: outcome(scene.api.logout(token))


def logout_everywhere(scene: Scene) -> Ask:
    scene.token()
    token = scene.token()
    return lambda: outcome(scene.api.logout(token, "?all=true"))


def authorizer(scene: Scene) -> Ask:
    event = {"headers": {"authorization": f"Bearer {scene.token()}"}}

    def ask() -> Outcome:
        try:
            answer = scene.deployment.stack.invoke("authorizer", event)
        except FunctionError as error:
            return f"500 {cast('AuthError', error.__cause__).problem.code}"
        return "200" if answer["isAuthorized"] else "403"

    return ask


def introspection(scene: Scene) -> Ask:
    token = scene.token()
    return lambda: outcome(scene.api.introspect(token))


def invoked(scene: Scene, function: str, payload: dict[str, object]) -> Outcome:
    try:
        scene.deployment.stack.invoke(function, payload)
    except FunctionError as error:
        return f"error {cast('AuthError', error.__cause__).problem.code}"
    return "200"


def access_token(scene: Scene) -> Ask:
    return lambda: invoked(scene, "access_token", {"appid": scene.phone.appid})


def end_sessions(scene: Scene) -> Ask:
    scene.token()
    payload: dict[str, object] = {"appid": scene.phone.appid, "openids": [scene.phone.openid]}
    return lambda: invoked(scene, "end_sessions", payload)


def schedule(scene: Scene) -> Ask:
    return lambda: str(scene.deployment.stack.invoke("refresh_access_token", {})[scene.phone.appid])


def pushed(scene: Scene, push: Pushed, queue: str | None = None, to: str | None = None) -> Outcome:
    """Push something; what was answered ``success`` must be in the queue that it is for."""
    before = scene.waiting(queue) if queue else 0
    status, text = scene.deployment.push(push, to)
    assert text == ("success" if status == 200 else "")
    lost = queue and status == 200 and scene.waiting(queue) == before
    return f"{status} lost" if lost else str(status)


def push(scene: Scene) -> Ask:
    scene.store_push_keys()
    event = scene.deployment.wechat.message_push().event(CLOSED, scene.phone.openid)
    return lambda: pushed(scene, event, "UserEvents")


def push_of_a_ticket(scene: Scene) -> Ask:
    ticket = scene.platform().ticket()
    scene.deployment.clear("Platform")
    return lambda: pushed(scene, ticket, to=COMPONENT)


def push_of_an_authorisation(scene: Scene) -> Ask:
    event = scene.platform().authorize(MERCHANT)
    return lambda: pushed(scene, event, "PlatformEvents", COMPONENT)


def worked_off(scene: Scene, function: str, message: Mapping[str, object]) -> Outcome:
    """Let a function work off a queue with one message."""
    record = {"messageId": "1", "body": json.dumps(message)}
    failed = scene.deployment.stack.invoke(function, {"Records": [record]})["batchItemFailures"]
    return "again" if failed else "200"


def user_events(scene: Scene) -> Ask:
    scene.token()
    event = UserEvent(CLOSED, scene.phone.appid, int(time.time()), scene.phone.openid)

    def ask() -> Outcome:
        done = worked_off(scene, "user_events", event.document())
        return "200 undone" if done == "200" and scene.deployment.items("Sessions") else done

    return ask


def platform_events(scene: Scene) -> Ask:
    made = scene.authorizing()
    event = {"appid": MERCHANT, "at": made.authorized_at, "code": made.code}

    def ask() -> Outcome:
        done = worked_off(scene, "platform_events", event)
        items = scene.deployment.items("Platform")
        kept = [item for item in items if item["appid"]["S"] == MERCHANT and "sealed" in item]
        return "200 undone" if done == "200" and not kept else done

    return ask


def platform_events_withdrawn(scene: Scene) -> Ask:
    scene = scene.of_merchant()
    event = {"appid": MERCHANT, "at": int(time.time())}
    return lambda: worked_off(scene, "platform_events", event)


def login_of_merchant(scene: Scene) -> Ask:
    code = scene.of_merchant().phone.login()
    return lambda: outcome(scene.api.login(code, appid=MERCHANT))


_NO_FAULT = {"renewed", "fresh", "0 found"}


def schedule_with_platform(scene: Scene) -> Ask:
    scene = scene.of_merchant()

    def ask() -> Outcome:
        """Say what failed first, if anything: what comes after may fail by that."""
        try:
            said = scene.deployment.stack.invoke("refresh_access_token", {}).values()
        except FunctionError as error:
            return cast("AuthError", error.__cause__).problem.code
        return str(next((what for what in said if what not in _NO_FAULT), "200"))

    return ask


def of_merchant(prepare: Callable[[Scene], Ask]) -> Callable[[Scene], Ask]:
    """Return the same request of a merchant's user."""
    return lambda scene: prepare(scene.of_merchant())


def with_account_function(prepare: Callable[[Scene], Ask]) -> Callable[[Scene], Ask]:
    """Return the same request where the team has an account function, which knows everybody."""

    def prepared(scene: Scene) -> Ask:
        scene.deployment.with_account_function(knows_everybody)
        return prepare(scene)

    return prepared


def knows_everybody(event: Document, _: object) -> Document:
    """Let the session learn something from a phone code alone: one such write is enough."""
    return {"accountId": "u-1"} if event.get("by") == "phoneCode" else {}


REQUESTS: dict[str, Callable[[Scene], Ask]] = {
    "POST /login": login,
    "POST /phone": phone,
    "POST /phone, with a session": phone_with_session,
    "POST /phone, classic token": phone_in_classic_mode,
    "POST /phone, once more": phone_again,
    "POST /decrypt": decrypt,
    "POST /decrypt, one shot": decrypt_in_one_shot,
    "POST /decrypt, not decryptable": decrypt_what_cannot_be,
    "POST /decrypt, cloudID": decrypt_a_cloud_id,
    "POST /login, account function": with_account_function(login),
    "POST /phone, account function": with_account_function(phone_with_session),
    "POST /decrypt, account function": with_account_function(decrypt),
    "POST /decrypt, one shot, account function": with_account_function(decrypt_in_one_shot),
    "POST /phone, API security": phone_with_api_security,
    "POST /decrypt, API security": decrypt_with_api_security,
    "GET /session": session,
    "GET /session?verify": session_verified,
    "DELETE /session": logout,
    "DELETE /session?all": logout_everywhere,
    "authorizer": authorizer,
    "POST /introspect": introspection,
    "access_token": access_token,
    "end_sessions": end_sessions,
    "schedule": schedule,
    "push": push,
    "user_events": user_events,
    "user_events, account function": with_account_function(user_events),
    "push, ticket": push_of_a_ticket,
    "push, authorisation": push_of_an_authorisation,
    "platform_events": platform_events,
    "platform_events, withdrawn": platform_events_withdrawn,
    "POST /login, merchant": login_of_merchant,
    "POST /phone, merchant": of_merchant(phone_with_session),
    "POST /decrypt, merchant": of_merchant(decrypt),
    "schedule, platform": schedule_with_platform,
}
SECURED_REQUESTS = ("POST /phone, API security", "POST /decrypt, API security")
"""Of these the calls are sealed."""
