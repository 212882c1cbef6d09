"""What a team writes with the client that openapi-python-client makes of the contract."""

import sys

from wechat_auth_client import Client
from wechat_auth_client.api.login import login
from wechat_auth_client.models.login_request import LoginRequest
from wechat_auth_client.models.session import Session

session = login.sync(client=Client(base_url=sys.argv[1]), body=LoginRequest(code=sys.argv[2]))
print("logged in" if isinstance(session, Session) and session.token else session)
