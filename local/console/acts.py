"""What a person does in front of the phone, and what happens behind their back."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from local.console import masking
from local.console.feed import Feed, Message
from local.runtime import Environment
from local.simulated_wechat import Fault, Phone, SimulatedWeChat
from local.stack import app_secrets

MERCHANT: Final = "wx0000000000abc010"
"""A mini-program whose owner may authorise the platform."""
_BUSY: Final = -1  # WeChat's errcode "system busy"

Document = dict[str, Any]


class UnknownActError(Exception):
    """No act has this name."""


class Acts:
    """The acts by name; each takes the phone's name and returns what that phone gets.

    Args:
        wechat: Whose phones act.
        feed: Is told.
        invoke: Calls a function by its name.
        environment: Returns what the functions share.
        work_off: Gives what is in the queues to its functions.
    """

    def __init__(
        self,
        wechat: SimulatedWeChat,
        feed: Feed,
        invoke: Callable[[str, object], Any],
        environment: Callable[[], Environment],
        work_off: Callable[[], object],
    ) -> None:
        self._wechat = wechat
        self._feed = feed
        self._invoke = invoke
        self._environment = environment
        self._work_off = work_off
        self._acts: Mapping[str, Callable[[Phone], Document | None]] = {
            "login": self._login,
            "tap": self._tap,
            "replace_session_key": self._replace_session_key,
            "expire_sessions": self._expire_sessions,
            "kill_access_token": self._kill_access_token,
            "make_wechat_busy": self._make_wechat_busy,
            "heal": self._heal,
            "api_security": self._api_security,
            "withdraw_consent": self._withdraw_consent,
            "merchant": self._merchant,
            # Only the phone knows of these three.
            "refused": lambda _: self._note("refused"),
            "tapped_twice": lambda _: self._note("tapped_twice"),
            "reply_lost": lambda _: self._note("reply_lost"),
        }

    def __call__(self, name: str, phone: str) -> Document:
        """Act; what comes back is for the phone alone, and the feed shows it masked.

        Raises:
            UnknownActError: There is no such act.
        """
        if name not in self._acts:
            raise UnknownActError(name)
        return self._acts[name](self._wechat.phone(name=f"console {phone}")) or {}

    def _login(self, phone: Phone) -> Document:
        got = {"code": phone.login()}
        self._feed.publish(Message("phone", "wechat", "wx.login", got=masking.shown(got)))
        return got

    def _tap(self, phone: Phone) -> Document:
        tap = phone.tap_phone_number()
        got = {"code": tap.code, "encryptedData": tap.encrypted_data, "iv": tap.iv}
        self._feed.publish(Message("phone", "wechat", "getPhoneNumber", got=masking.shown(got)))
        return got

    def _replace_session_key(self, phone: Phone) -> None:
        phone.login()  # on another phone of hers: the mini-program never sees this code
        self._note("session_key_replaced", "wechat")

    def _expire_sessions(self, _: Phone) -> None:
        environment = self._environment()
        dynamodb = environment.aws.dynamodb
        table = environment.backend().settings.sessions_table
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                dynamodb.update_item(
                    TableName=table,
                    Key={name: item[name] for name in ("user", "session")},
                    UpdateExpression="SET expires_at = :past",
                    ExpressionAttributeValues={":past": {"N": "1"}},
                )
        self._note("session_expired", "dynamodb")

    def _kill_access_token(self, phone: Phone) -> None:
        self._invoke("refresh_access_token", {})  # so that there is one
        self._wechat.revoke_access_token(phone.appid)
        self._note("access_token_dead", "wechat")

    def _make_wechat_busy(self, _: Phone) -> None:
        self._wechat.faults.clear()
        self._wechat.faults.add(Fault("*", "errcode", times=None, errcode=_BUSY))
        self._note("wechat_busy", "wechat")

    def _heal(self, _: Phone) -> None:
        self._wechat.faults.clear()
        self._note("healed", "wechat")

    def _api_security(self, phone: Phone) -> Document:
        """Set it up, as an owner and an operator would, or take it away again."""
        on = phone.appid not in self._wechat.api_security
        if on:
            self._wechat.set_up_api_security(phone.appid)
        else:
            self._wechat.remove_api_security(phone.appid)
        environment = self._environment()
        environment.aws.secrets_manager.put_secret_value(
            SecretId=environment.backend().settings.app_secrets_id,
            SecretString=json.dumps(app_secrets(self._wechat)),
        )
        environment.restart()  # one that runs would read them within a minute
        self._note("api_security_on" if on else "api_security_off", "wechat")
        return {"on": on}

    def _withdraw_consent(self, phone: Phone) -> None:
        self._note("consent_withdrawn", "wechat")
        phone.withdraw()
        self._push()

    def _merchant(self, _: Phone) -> Document:
        """Let a merchant authorise the platform, or withdraw that again."""
        platform = self._wechat.platform
        on = platform is not None and MERCHANT not in platform.authorizations
        self._note("merchant_authorizes" if on else "merchant_withdraws", "wechat")
        if on:
            self._wechat.authorize(MERCHANT)
        else:
            self._wechat.withdraw(MERCHANT)
        self._push()
        return {"on": on}

    def _push(self) -> None:
        """Let WeChat push, and the queues be worked off, now rather than soon."""
        self._wechat.deliver()
        self._work_off()

    def _note(self, name: str, lane: Any = "phone") -> None:
        self._feed.publish(Message("note", lane, name))
