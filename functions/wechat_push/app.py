"""/wechat-push/{appid} and /wechat-push/{platform}/{appid}: what WeChat itself tells a server."""

from wechat_auth.backend import Backend
from wechat_auth.http import Request, push
from wechat_auth.pushes import MAX_PUSH, receive, verify_address


@push
def handler(request: Request, backend: Backend) -> str | None:
    """Answer ``echostr`` or ``success``; ``None`` refuses what is not WeChat's to this app."""
    appid = request.path["appid"]
    platform = request.path.get("platform", appid)
    if platform == backend.settings.component_appid and request.method == "POST":
        merchant = appid if "platform" in request.path else None
        return backend.receive_of_platform(merchant, request.content(MAX_PUSH), request.query)
    if appid not in backend.settings.appids or "platform" in request.path:
        return None
    if request.method == "GET":
        return verify_address(appid, request.query, secrets=backend.secrets)
    return receive(
        appid,
        request.content(MAX_PUSH),
        request.query,
        secrets=backend.secrets,
        user_events=backend.user_events,
        now=backend.clock(),
    )
