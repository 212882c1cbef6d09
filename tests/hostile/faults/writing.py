"""What the functions write is searched for everything that the backend was ever given or made."""

from collections.abc import Iterator

from local.simulated_wechat.world import World
from tests.harness.api import Api
from tests.harness.backend import Backend
from tests.harness.leaks import Secrets

_secrets = Secrets()  # for all tests: what one was given must not turn up in another


def leaks_in(text: str, backend: Backend, api: Api | None = None) -> list[str]:
    """Name the kinds of secrets and personal data that stand in a text."""
    world = backend.wechat._world
    with world.lock:
        known = list(_of_wechat(world))
    known += [("key", key) for name, key in backend.secret("KeyRing").items() if name != "current"]
    known += [
        ("session token", answer.json["token"])
        for answer in (api.answers if api else ())
        if answer.path == "/login" and answer.status == 200
    ]
    for what, value in known:
        if value:
            _secrets.note(what, value)
    return _secrets.found_in(text)


def _of_wechat(world: World) -> Iterator[tuple[str, str | None]]:
    yield from (("AppSecret", app.secret) for app in world.apps.values())
    yield from (("code", code) for code in world.billed.arrivals)
    yield from (("access_token", token) for token in world.tokens._tokens)
    for person in world.people.values():
        yield "openid", person.openid
        yield "unionid", person.unionid
        yield "session_key", person.session_key
        yield "phone number", person.number
