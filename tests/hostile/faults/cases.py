"""Each request that a client can make, prepared so that it works, and can be made again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from local.runtime import FunctionError
from local.simulated_wechat import Phone
from tests.harness.api import IDEMPOTENCY_KEY, Answer, Api, Document, legacy
from tests.harness.deployment import Deployment

if TYPE_CHECKING:
    from wechat_auth.errors import AuthError

Outcome = str
"""``200``, or what a problem document says: ``503 storage_unavailable retry``."""
Ask = Callable[[], Outcome]


@dataclass(frozen=True, slots=True)
class Scene:
    """Who asks whom."""

    api: Api
    deployment: Deployment
    phone: Phone

    def token(self) -> str:
        return self.api.logged_in(self.phone)

    def secure(self) -> None:
        """Have API security; to make its keys takes long, so once is enough."""
        if not self.deployment.wechat.api_security:
            self.deployment.secure()


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
}
SECURED_REQUESTS = ("POST /phone, API security", "POST /decrypt, API security")
"""Of these the calls are sealed."""
