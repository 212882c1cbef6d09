"""The life of a stack, in this order, from its creation to its deletion."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from infra.cloudformation import read_document
from infra.release import BUILT
from local import COMPONENT, demo
from local.deployment import APPID, Deployment, DeploymentError
from local.ministack import ROOT
from local.stack import app_secrets
from local.template import REGION
from tests.deployed.conftest import another_stack, eventually, lines, restart
from tests.harness.api import Api
from tests.harness.leaks import Secrets

HOLD_DATA = {
    "AWS::ApiGatewayV2::Api",
    "AWS::DynamoDB::Table",
    "AWS::Logs::LogGroup",
    "AWS::SQS::Queue",
    "AWS::SecretsManager::Secret",
}
DAY = 86_400
MERCHANT = "wx0000000000abc020"
NUMBER, NICK_NAME = "13580006666", "an unmistakable nick name"


@pytest.fixture
def token(deployment: Deployment, api: Api) -> str:
    """The session of somebody who logged in before the test began."""
    return api.logged_in(deployment.wechat.phone())


@contextmanager
def nobody_notices(deployment: Deployment, token: str) -> Iterator[None]:
    """While this goes on, a user asks twice a second; every answer is 200 and no data is lost."""
    api, over, before = Api(deployment.url), threading.Event(), holding_data(deployment)

    def ask() -> None:
        while not over.wait(0.5):
            api.session(token)

    user = threading.Thread(target=ask)
    user.start()
    try:
        yield
    finally:
        over.set()
        user.join()
    statuses = Counter(answer.status for answer in api.answers)
    # New code ends a process of the emulator's even in the middle of a request; Lambda lets it end.
    assert statuses.pop(502, 0) <= 1
    assert statuses.keys() == {200}
    assert holding_data(deployment) == before
    assert api.session(token).status == 200


def holding_data(deployment: Deployment) -> dict[str, str]:
    return {k: v.id for k, v in deployment.resources.items() if v.type in HOLD_DATA}


# ---------------------------------------------------------------------------------- creation


def test_the_whole_demo_passes_through_the_deployed_api(deployment: Deployment) -> None:
    assert demo.main(lambda: nullcontext((deployment.url, deployment.wechat_url))) == 0


def test_a_platform_without_fixed_addresses_is_refused_with_the_reason(
    deployment: Deployment,
) -> None:
    """The rule that `deploy` takes out, since there are no NAT gateways here."""
    document = read_document(ROOT / BUILT)
    rules = {each: document[each] for each in ("Parameters", "Rules")}
    parameters = {"WeChatAppIds": APPID, "ComponentAppId": COMPONENT, "FixedAddresses": "0"}
    with pytest.raises(ClientError, match=r"addresses that its list holds.+errcode 61004"):
        deployment.client("cloudformation").create_stack(
            StackName="refused",
            TemplateBody=json.dumps({**rules, "Resources": {"It": {"Type": "AWS::SQS::Queue"}}}),
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in parameters.items()
            ],
        )


def test_the_access_log_goes_to_its_group_and_names_nobody(deployment: Deployment) -> None:
    stage = deployment.client("apigatewayv2").get_stage(
        ApiId=deployment.resources["Api"].id, StageName="$default"
    )
    settings = stage["AccessLogSettings"]
    assert (
        settings["DestinationArn"]
        .removesuffix(":*")
        .endswith(f":log-group:{deployment.resources['AccessLog'].id}")
    )
    fields = json.loads(settings["Format"]).values()
    assert len(fields) == 11
    assert not re.search(r"identity|authorizer|path|domain|query|header", " ".join(fields), re.I)


# ----------------------------------------------------------------------------------- updates


def test_a_change_of_code_is_seen_by_the_next_request(
    deployment: Deployment, api: Api, token: str
) -> None:
    code = deployment.folder / "SessionFunction/app.py"
    change(code, '"expiresAt": session.expires_at}', '"expiresAt": 1}')
    with nobody_notices(deployment, token):
        deployment.deploy()
    assert api.session(token).json == {"expiresAt": 1}


def test_a_change_of_a_layer_is_seen_by_the_next_request(
    deployment: Deployment, api: Api, token: str
) -> None:
    module = deployment.folder / "AuthLayer/python/wechat_auth/errors.py"
    change(module, "The Bearer token is missing", "THE BEARER TOKEN IS MISSING")
    # Its bytecode is not checked against its source.
    (module.parent / "__pycache__/errors.cpython-313.pyc").unlink()
    with nobody_notices(deployment, token):
        deployment.deploy()
    assert api.session("x").json["detail"].startswith("THE BEARER TOKEN IS MISSING")


def test_a_changed_parameter_is_seen_by_the_next_request(
    deployment: Deployment, api: Api, token: str
) -> None:
    with nobody_notices(deployment, token):
        deployment.deploy(SessionDays="30")
    assert days_of_a_session(deployment, api) == 30


def test_an_update_that_fails_is_rolled_back(deployment: Deployment, api: Api, token: str) -> None:
    document = read_document(deployment.folder / BUILT.name)
    document["Resources"]["Broken"] = {
        "Type": "AWS::SQS::Queue",
        "DependsOn": "LoginFunction",
        "Properties": {"DelaySeconds": 100_000},  # 900 are allowed
    }
    with (
        nobody_notices(deployment, token),
        pytest.raises(DeploymentError, match="ROLLBACK_COMPLETE"),
    ):
        deployment.deploy(document, SessionDays="3")
    assert days_of_a_session(deployment, api) == 30


def test_a_route_of_ones_own_asks_the_authorizer(
    deployment: Deployment, api: Api, token: str
) -> None:
    document = read_document(deployment.folder / BUILT.name)
    (deployment.folder / "Own").mkdir()
    (deployment.folder / "Own/app.py").write_text(OWN, "utf-8")
    route = {
        "ApiId": {"Ref": "Api"},
        "Method": "GET",
        "Path": "/own",
        "Auth": {"Authorizer": "SessionAuthorizer"},
    }
    document["Resources"]["OwnFunction"] = {
        "Type": "AWS::Serverless::Function",
        "Properties": {
            "CodeUri": "Own",
            "LoggingConfig": {"LogGroup": {"Ref": "SessionLog"}},
            "Events": {"Own": {"Type": "HttpApi", "Properties": route}},
        },
    }
    with nobody_notices(deployment, token):
        deployment.deploy(document, SessionDays="30")
    person = deployment.wechat.phone()
    token = api.logged_in(person)
    context = {"appid": APPID, "openid": person.openid, "unionid": ""}
    assert own(api, token) == (200, {**context, "accountId": "", "claims": "{}"})
    assert api.request("GET", "/own").status == 401
    assert api.logout(token).status == 204
    assert own(api, token)[0] == 403


def test_an_api_of_ones_own_asks_the_authorizer_as_the_guide_says(
    deployment: Deployment, api: Api
) -> None:
    guide = (ROOT / "docs/deploy.md").read_text("utf-8")
    snippet = re.search(r"```yaml\n(Authorizer:.+?)```", guide, re.DOTALL)
    assert snippet
    resources = snippet[1].replace("wechat-auth-prod", deployment.name).replace("\n", "\n  ")
    with another_stack(deployment, f"{OWN_API}  {resources}") as ids:
        others = Api(f"{deployment.aws_url}/_aws/execute-api/{ids['YourApi']}/$default")
        person = deployment.wechat.phone()
        status, caller = own(others, api.logged_in(person))
        assert (status, caller["openid"]) == (200, person.openid)
        assert own(others, "x")[0] == 403


OWN = "def handler(event, context): return event['requestContext']['authorizer']['lambda']\n"
OWN_API = f"""
Resources:
  YourApi: {{Type: AWS::ApiGatewayV2::Api, Properties: {{Name: own, ProtocolType: HTTP}}}}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {{ApiId: !Ref YourApi, StageName: $default, AutoDeploy: true}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement:
          - {{Effect: Allow, Principal: {{Service: lambda.amazonaws.com}}, Action: sts:AssumeRole}}
  Log: {{Type: AWS::Logs::LogGroup, Properties: {{LogGroupName: !Sub "/aws/lambda/${{Own}}"}}}}
  Own:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Code: {{ZipFile: "{OWN.strip()}"}}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {{ApiId: !Ref YourApi, IntegrationType: AWS_PROXY, PayloadFormatVersion: "2.0",
                 IntegrationUri: !GetAtt Own.Arn}}
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {{ApiId: !Ref YourApi, RouteKey: GET /own, AuthorizationType: CUSTOM,
                 Target: !Sub "integrations/${{Integration}}", AuthorizerId: !Ref Authorizer}}
"""


def own(api: Api, token: str) -> tuple[int, dict[str, str]]:
    answer = api.request("GET", "/own", token=token)
    return answer.status, answer.json


def days_of_a_session(deployment: Deployment, api: Api) -> int:
    answer = api.login(deployment.wechat.phone().login())
    expires_at: int = answer.json["expiresAt"]
    return round((expires_at - time.time()) / DAY)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


# ---------------------------------------------------------------------------------- operation


def test_the_schedule_renews_access_tokens_by_itself(deployment: Deployment, api: Api) -> None:
    deployment.wechat.authorize(MERCHANT)
    person = deployment.wechat.phone(MERCHANT)
    assert eventually(lambda: api.login(person.login(), appid=MERCHANT).status == 200, 20)
    dynamodb, table = deployment.client("dynamodb"), deployment.resources["AccessTokens"].id

    def known() -> set[str]:
        return {item["appid"]["S"] for item in dynamodb.scan(TableName=table)["Items"]}

    for appid in known():
        dynamodb.delete_item(TableName=table, Key={"appid": {"S": appid}})
    assert eventually(lambda: known() == {APPID, COMPONENT, MERCHANT}, seconds=80)


def test_a_renewal_that_crashes_is_in_the_queue_of_failures(deployment: Deployment) -> None:
    restart(deployment, "refresh_access_token", "nowhere.handler")
    deployment.client("lambda").invoke(
        FunctionName=f"{deployment.name}-refresh_access_token",
        InvocationType="Event",
        Payload=b'{"who":"me"}',
    )
    queue = deployment.outputs["FailedRenewalsUrl"]
    messages = eventually(
        lambda: deployment.client("sqs").receive_message(QueueUrl=queue).get("Messages"), 30
    )
    restart(deployment, "refresh_access_token")
    assert [json.loads(each["Body"])["requestPayload"] for each in messages] == [{"who": "me"}]


def test_a_changed_app_secret_is_read_by_warm_functions(
    deployment: Deployment, api: Api, token: str
) -> None:
    app = deployment.wechat.apps[0]
    deployment.wechat.put_app(replace(app, secret="f" * 32))
    deployment.store_app_secrets()
    refused = api.login(deployment.wechat.phone().login())
    assert refused.problem == (500, "misconfigured", "contact_support")
    # Each environment reads it again once it has failed, at most once a minute.
    assert eventually(lambda: api.login(deployment.wechat.phone().login()).status == 200, 70)
    assert api.session(token).status == 200


def test_a_rotated_key_ring_logs_nobody_out(deployment: Deployment, api: Api, token: str) -> None:
    rotate_keys(deployment)
    restart(deployment, "login")
    new = api.logged_in(deployment.wechat.phone())
    # Warm, it reads the ring again for a key that it does not know, at most once a minute.
    assert eventually(lambda: api.session(new).status == 200, 70)
    assert api.session(token).status == 200
    rotate_keys(deployment, without="k1")
    restart(deployment, "session")
    assert [api.session(each).status for each in (token, new)] == [401, 200]


def rotate_keys(deployment: Deployment, without: str = "") -> None:
    """Add the key k2, or remove one, as docs/deploy.md does."""
    secrets_manager, arn = deployment.client("secretsmanager"), deployment.outputs["KeyRingArn"]
    ring = json.loads(secrets_manager.get_secret_value(SecretId=arn)["SecretString"])
    ring = {**ring, "current": "k2", "k2": "a" * 64}
    ring.pop(without, None)
    secrets_manager.put_secret_value(SecretId=arn, SecretString=json.dumps(ring))


def test_what_was_logged_until_now_holds_no_secret_and_no_personal_data(
    deployment: Deployment, api: Api
) -> None:
    secrets, wechat = Secrets(), deployment.wechat
    person = wechat.phone(number=NUMBER, nick_name=NICK_NAME)
    token = secrets.note("session token", api.logged_in(person))
    tap, info = person.tap_phone_number(), person.user_info()
    assert api.phone(tap.code, token=token).status == 200
    data = {"encryptedData": info.encrypted_data, "iv": info.iv}
    assert api.decrypt(token=token, **data).status == 200
    assert api.decrypt(token=token, encryptedData="A" * 64, iv="A" * 22 + "==").status == 422
    for what, value in {
        "phone number": NUMBER,
        "nick name": NICK_NAME,
        "phone code": tap.code,
        "encryptedData": info.encrypted_data,
        "session_key": person.session_key,
    }.items():
        secrets.note(what, value)
    for entry in app_secrets(wechat).values():
        secrets.note("AppSecret", entry["secret"])
        secrets.note("Token of pushes", entry["push"]["token"])
        secrets.note("EncodingAESKey", entry["push"]["encodingAesKey"])
    for each in wechat.people:
        secrets.note("openid", each.openid)
        secrets.note("phone number", each.number)
    for access_token in wechat.access_tokens:
        secrets.note("access_token", access_token)
    assert wechat.platform
    secrets.note("ticket", wechat.platform.newest_ticket)
    secrets.note("authorisation code", wechat.platform.authorizations[MERCHANT].code)
    secrets.note("refresh token", wechat.platform.authorizations[MERCHANT].refresh_token)
    groups = [r.id for r in deployment.resources.values() if r.type == "AWS::Logs::LogGroup"]
    written = "\n".join(line for group in groups for line in lines(deployment, group))
    for marker in ('"message":"request"', '"CloudWatchMetrics"', '"remedy"'):
        assert marker in written
    assert secrets.found_in(written) == []


# ----------------------------------------------------------------------------------- deletion


def test_without_its_platform_the_stack_serves_its_own_mini_program(
    deployment: Deployment, api: Api, token: str
) -> None:
    deployment.deploy(ComponentAppId="")
    assert [name for name in deployment.resources if re.match("Platform|Merchants", name)] == []
    assert api.session(token).status == 200
    merchants = api.login(deployment.wechat.phone(MERCHANT).login(), appid=MERCHANT)
    assert merchants.problem == (400, "invalid_request", "fix_request")
    person = deployment.wechat.phone()
    token = api.logged_in(person)
    person.close_account()
    assert eventually(lambda: api.session(token).status == 401, 20)


def test_sam_delete_leaves_nothing_but_what_a_platform_cannot_get_again(
    deployment: Deployment,
) -> None:
    assert len(everything(deployment)) > 30
    name_templates_as_aws_does(deployment)
    said = deployment.sam(
        *("delete", "--no-prompts", "--stack-name", deployment.name, "--region", REGION)
    )
    assert "Deleted successfully" in said
    platform, left = f"{deployment.name}-Platform-", everything(deployment)
    assert [name for name in left if not name.startswith(platform)] == []
    assert len(left) == 1


def name_templates_as_aws_does(deployment: Deployment) -> None:
    """Give the nested templates, which are not used here, addresses of the kind that SAM CLI reads.

    It names them after the address of S3, and finds them again only at https://s3….
    """
    cloudformation, s3 = deployment.client("cloudformation"), deployment.client("s3")
    stack = {"StackName": deployment.name}
    template = cloudformation.get_template(**stack, TemplateStage="Original")["TemplateBody"]
    parameters = cloudformation.describe_stacks(**stack)["Stacks"][0]["Parameters"]
    (bucket,) = (each["Name"] for each in s3.list_buckets()["Buckets"])
    ours, aws = (f"TemplateURL: {url}/" for url in (deployment.aws_url, "https://s3.amazonaws.com"))
    s3.put_object(Bucket=bucket, Key="renamed.template", Body=template.replace(ours, aws))
    cloudformation.update_stack(
        **stack,
        TemplateURL=f"{deployment.aws_url}/{bucket}/renamed.template",
        Parameters=[
            {"ParameterKey": each["ParameterKey"], "UsePreviousValue": True} for each in parameters
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    cloudformation.get_waiter("stack_update_complete").wait(**stack, WaiterConfig={"Delay": 1})


def everything(deployment: Deployment) -> list[str]:
    """Name what there is of each kind that the stack has, except SAM CLI's own bucket."""
    listed = [
        ("apigatewayv2", "get_apis", "Items", "Name"),
        ("dynamodb", "list_tables", "TableNames", ""),
        ("iam", "list_roles", "Roles", "RoleName"),
        ("lambda", "list_functions", "Functions", "FunctionName"),
        ("lambda", "list_layers", "Layers", "LayerName"),
        ("logs", "describe_log_groups", "logGroups", "logGroupName"),
        ("scheduler", "list_schedules", "Schedules", "Name"),
        ("secretsmanager", "list_secrets", "SecretList", "Name"),
        ("sqs", "list_queues", "QueueUrls", ""),
    ]
    return [
        each[name] if name else each
        for service, call, kind, name in listed
        for each in getattr(deployment.client(service), call)().get(kind, [])
    ]
