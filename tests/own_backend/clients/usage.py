"""What a team writes with the client that openapi-python-client makes of the contract."""

import sys

from wechat_auth_client import Client
from wechat_auth_client.api.login import login
from wechat_auth_client.models.invalid_request_problem import InvalidRequestProblem
from wechat_auth_client.models.login_code_rejected_problem import LoginCodeRejectedProblem
from wechat_auth_client.models.login_request import LoginRequest
from wechat_auth_client.models.session import Session

client = Client(base_url=sys.argv[1])
for code in (sys.argv[2], sys.argv[2], "no code"):
    match login.sync(client=client, body=LoginRequest(code=code)):
        case Session(token=token) if token:
            print("logged in")
        case LoginCodeRejectedProblem() | InvalidRequestProblem() as problem:
            print(problem.code.value, problem.status.value, problem.action.value)
        case other:
            print("not typed:", other)
