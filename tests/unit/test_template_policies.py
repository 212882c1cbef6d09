"""Who may do what: every role of the transformed templates, to the last action and resource."""

import json
from typing import Any

import pytest

from infra.cloudformation import read_document
from tests.harness.transform import TEMPLATES, Document, of_type, transformed

LOG = {"logs:CreateLogStream", "logs:PutLogEvents"}
SECRET = {"secretsmanager:GetSecretValue"}
ACCESS_TOKEN = {"dynamodb:GetItem", "dynamodb:UpdateItem"}
NETWORK = {"NetworkInterfacePolicy"}
FED_BY_A_QUEUE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}

# By role: what it may do to which resource, and which policies from elsewhere it has.
ALLOWED: dict[str, tuple[dict[str, set[str]], set[str]]] = {
    "LoginRole": (
        {
            "Sessions.Arn": {"dynamodb:PutItem"},
            "AppSecrets.Id": SECRET,
            "KeyRing.Id": SECRET,
            "LoginLog.Arn": LOG,
        },
        NETWORK,
    ),
    "PhoneRole": (
        {
            "Sessions.Arn": {"dynamodb:GetItem"},
            "AccessTokens.Arn": ACCESS_TOKEN,
            "PhoneExchanges.Arn": {
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
                "dynamodb:DeleteItem",
            },
            "AppSecrets.Id": SECRET,
            "KeyRing.Id": SECRET,
            "PhoneLog.Arn": LOG,
        },
        NETWORK,
    ),
    "DecryptRole": (
        {
            "Sessions.Arn": {
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
                "dynamodb:DeleteItem",
            },
            "AccessTokens.Arn": ACCESS_TOKEN,
            "AppSecrets.Id": SECRET,
            "KeyRing.Id": SECRET,
            "DecryptLog.Arn": LOG,
        },
        NETWORK,
    ),
    "SessionRole": (
        {
            "Sessions.Arn": {
                "dynamodb:GetItem",
                "dynamodb:Query",
                "dynamodb:DeleteItem",
                "dynamodb:BatchWriteItem",
                "dynamodb:UpdateItem",
            },
            "AccessTokens.Arn": ACCESS_TOKEN,
            "AppSecrets.Id": SECRET,
            "KeyRing.Id": SECRET,
            "SessionLog.Arn": LOG,
        },
        NETWORK,
    ),
    "AuthorizerRole": (
        {
            "Sessions.Arn": {"dynamodb:GetItem"},
            "KeyRing.Id": SECRET,
            "AuthorizerLog.Arn": LOG,
        },
        set(),
    ),
    "IntrospectRole": (
        {
            "Sessions.Arn": {"dynamodb:GetItem"},
            "ApiClients.Id": SECRET,
            "KeyRing.Id": SECRET,
            "IntrospectLog.Arn": LOG,
        },
        set(),
    ),
    "WeChatPushRole": (
        {
            "AppSecrets.Id": SECRET,
            "UserEvents.Arn": {"sqs:SendMessage"},
            "WeChatPushLog.Arn": LOG,
        },
        set(),
    ),
    "UserEventsRole": (
        {
            "Sessions.Arn": {"dynamodb:Query", "dynamodb:BatchWriteItem"},
            "PhoneExchanges.Arn": {"dynamodb:PutItem"},
            "KeyRing.Id": SECRET,
            "UserEvents.Arn": FED_BY_A_QUEUE,
            "UserEventsLog.Arn": LOG,
        },
        set(),
    ),
    "MerchantsRole": (
        {
            "Platform.Arn": {"dynamodb:GetItem", "dynamodb:Query"},
            "AccessTokens.Arn": ACCESS_TOKEN,
            "AppSecrets.Id": SECRET,
            "KeyRing.Id": SECRET,
            "MerchantsLog.Arn": LOG,
        },
        NETWORK,
    ),
    "PlatformEventsRole": (
        {
            "Platform.Arn": ACCESS_TOKEN,
            "AccessTokens.Arn": {*ACCESS_TOKEN, "dynamodb:DeleteItem"},
            "AppSecrets.Id": SECRET,
            "KeyRing.Id": SECRET,
            "PlatformEvents.Arn": FED_BY_A_QUEUE,
            "PlatformEventsLog.Arn": LOG,
        },
        NETWORK,
    ),
    "AccessTokenRole": (
        {
            "AccessTokens.Arn": ACCESS_TOKEN,
            "AppSecrets.Id": SECRET,
            "KeyRing.Id": SECRET,
            "AccessTokenLog.Arn": LOG,
        },
        NETWORK,
    ),
    "EndSessionsRole": (
        {
            "Sessions.Arn": {"dynamodb:Query", "dynamodb:BatchWriteItem"},
            "KeyRing.Id": SECRET,
            "EndSessionsLog.Arn": LOG,
        },
        set(),
    ),
    "RefreshAccessTokenRole": (
        {
            "AccessTokens.Arn": ACCESS_TOKEN,
            "AppSecrets.Id": SECRET,
            "KeyRing.Id": SECRET,
            "RefreshAccessTokenLog.Arn": LOG,
            "FailedRenewals.Arn": {"sqs:SendMessage"},
        },
        NETWORK,
    ),
    "RefreshScheduleRole": (
        {
            "RefreshAccessTokenFunctionAliaslive": {"lambda:InvokeFunction"},
            "FailedRenewals.Arn": {"sqs:SendMessage"},
        },
        set(),
    ),
    "DeploymentRole": (
        {},
        {"arn:${AWS::Partition}:iam::aws:policy/service-role/AWSCodeDeployRoleForLambda"},
    ),
}
ASKS = {"AccountFunctionArn": {"lambda:InvokeFunction"}}
IS_SERVED = {"Platform.Arn": {"dynamodb:GetItem"}}
USES_ITS_TOKEN = {"Platform.Arn": ACCESS_TOKEN}
BESIDES: dict[str, dict[str, dict[str, set[str]]]] = {
    "HasAccountFunction": {
        "LoginRole": ASKS,
        "PhoneRole": {**ASKS, "Sessions.Arn": {"dynamodb:UpdateItem"}},
        "DecryptRole": ASKS,
        "UserEventsRole": ASKS,
    },
    "HasPlatform": {
        "LoginRole": {**IS_SERVED, "AccessTokens.Arn": ACCESS_TOKEN},
        "PhoneRole": USES_ITS_TOKEN,
        "DecryptRole": USES_ITS_TOKEN,
        "SessionRole": USES_ITS_TOKEN,
        "AccessTokenRole": USES_ITS_TOKEN,
        "RefreshAccessTokenRole": {"Platform.Arn": {*ACCESS_TOKEN, "dynamodb:Query"}},
        "AuthorizerRole": IS_SERVED,
        "IntrospectRole": IS_SERVED,
        "EndSessionsRole": IS_SERVED,
        "WeChatPushRole": {
            "Platform.Arn": {"dynamodb:UpdateItem"},
            "KeyRing.Id": SECRET,
            "PlatformEvents.Arn": {"sqs:SendMessage"},
        },
    },
}
"""By condition and role: what it may do besides."""
TRUSTED = {
    "RefreshScheduleRole": "scheduler.amazonaws.com",
    "DeploymentRole": "codedeploy.${AWS::Region}.${AWS::URLSuffix}",
}


@pytest.fixture(scope="module")
def template() -> Document:
    return transformed()


@pytest.fixture(scope="module")
def roles(template: Document) -> dict[str, Document]:
    return of_type(template, "AWS::IAM::Role")


def test_these_are_all_the_roles_and_policies_there_are(template: Document) -> None:
    kinds = {resource["Type"] for resource in template["Resources"].values()}
    assert {kind for kind in kinds if kind.startswith("AWS::IAM::")} == {
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Role",
    }
    assert of_type(template, "AWS::IAM::ManagedPolicy").keys() == NETWORK
    assert of_type(template, "AWS::IAM::Role").keys() == ALLOWED.keys()


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_may_do_this_and_nothing_else(roles: dict[str, Document], role: str) -> None:
    statements = [
        statement
        for policy in roles[role].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    assert granted([each for each in statements if "Fn::If" not in each]) == ALLOWED[role][0]
    conditional = [each["Fn::If"] for each in statements if "Fn::If" in each]
    assert all(otherwise == {"Ref": "AWS::NoValue"} for _, _, otherwise in conditional)
    assert {condition for condition, _, _ in conditional} <= BESIDES.keys()
    for name_of, roles_of in BESIDES.items():
        besides = [statement for condition, statement, _ in conditional if condition == name_of]
        assert granted(besides) == roles_of.get(role, {})


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_has_these_policies_from_elsewhere_and_no_others(
    roles: dict[str, Document], role: str
) -> None:
    policies = roles[role].get("ManagedPolicyArns", [])
    assert {name(policy) for policy in policies} == ALLOWED[role][1]


@pytest.mark.parametrize("role", ALLOWED)
def test_one_service_may_take_a_role(roles: dict[str, Document], role: str) -> None:
    (statement,) = roles[role]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Action"] == "sts:AssumeRole"
    assert {key: name(value) for key, value in statement["Principal"].items()} == {
        "Service": TRUSTED.get(role, "lambda.amazonaws.com")
    }


def test_with_a_domain_of_its_own_the_api_is_reached_in_no_other_way(template: Document) -> None:
    (api,) = of_type(template, "AWS::ApiGatewayV2::Api").values()
    assert "FailOnWarnings" not in api
    (server,) = api["Body"]["servers"]
    assert server["x-amazon-apigateway-endpoint-configuration"] == {
        "disableExecuteApiEndpoint": {"Fn::If": ["HasCustomDomain", True, False]}
    }
    condition, own, standard = template["Outputs"]["ApiUrl"]["Value"]["Fn::If"]
    assert (condition, own) == ("HasCustomDomain", {"Fn::Sub": "https://${CustomDomainName}"})
    assert "execute-api" in standard["Fn::Sub"]


def test_what_needs_no_wechat_can_have_concurrency_of_its_own(template: Document) -> None:
    functions = of_type(template, "AWS::Lambda::Function")
    reserved = {
        key: function["ReservedConcurrentExecutions"]["Fn::If"]
        for key, function in functions.items()
        if "ReservedConcurrentExecutions" in function
    }
    none = {"Ref": "AWS::NoValue"}
    assert reserved == {
        "AuthorizerFunction": ["HasReservedConcurrency", {"Ref": "ReservedConcurrency"}, none],
        "RefreshAccessTokenFunction": ["HasReservedConcurrency", 2, none],
    }
    assert template["Conditions"]["HasReservedConcurrency"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "ReservedConcurrency"}, 0]}]
    }


def test_every_function_has_a_role_of_its_own(template: Document) -> None:
    functions = of_type(template, "AWS::Lambda::Function")
    assert {key: name(function["Role"]) for key, function in functions.items()} == {
        key: f"{key.removesuffix('Function')}Role.Arn" for key in functions
    }


IN_THE_NETWORK = (
    "Login",
    "Phone",
    "Decrypt",
    "Session",
    "AccessToken",
    "RefreshAccessToken",
    "Merchants",
    "PlatformEvents",
)


def test_functions_can_leave_the_network_in_one_deployment(template: Document) -> None:
    """The right to give interfaces back stays when FixedAddresses becomes 0 and the network goes.

    A role changes before its function: had it this right only with the network, Lambda could not
    take the function out of it, and the network could not be deleted.
    """
    functions = of_type(template, "AWS::Lambda::Function")
    attached = {key for key, function in functions.items() if "VpcConfig" in function}
    assert attached == {f"{name}Function" for name in IN_THE_NETWORK}
    for key in attached:
        assert functions[key]["VpcConfig"]["Fn::If"][0] == "HasFixedAddresses"
        role = template["Resources"][functions[key]["Role"]["Fn::GetAtt"][0]]
        assert role["Properties"]["ManagedPolicyArns"] == [{"Ref": "NetworkInterfacePolicy"}]
        assert role.get("Condition") == template["Resources"][key].get("Condition")
    assert "Condition" not in template["Resources"]["NetworkInterfacePolicy"]
    assert not of_type(read_document(TEMPLATES["egress"]), "AWS::IAM::ManagedPolicy")


def test_functions_in_the_network_may_have_interfaces_but_their_code_may_not(
    template: Document,
) -> None:
    (policy,) = of_type(template, "AWS::IAM::ManagedPolicy").values()
    allow, deny = policy["PolicyDocument"]["Statement"]
    assert {key: allow[key] for key in ("Effect", "Resource")} == {
        "Effect": "Allow",
        "Resource": "*",
    }
    assert set(allow["Action"]) == {
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    }
    assert (deny["Effect"], deny["Action"]) == ("Deny", allow["Action"])
    assert deny["Condition"]["ArnLike"].keys() == {"lambda:SourceFunctionArn"}


def test_the_network_reaches_in_dynamodb_what_functions_may_do_there() -> None:
    (endpoint,) = of_type(read_document(TEMPLATES["egress"]), "AWS::EC2::VPCEndpoint").values()
    (statement,) = endpoint["PolicyDocument"]["Statement"]
    in_network = [tables for tables, policies in ALLOWED.values() if policies == NETWORK]
    actions = {action for tables in in_network for each in tables.values() for action in each}
    assert set(statement["Action"]) == {a for a in actions if a.startswith("dynamodb:")}


def test_who_may_call_a_function_is_the_api_and_the_schedule(template: Document) -> None:
    permissions = of_type(template, "AWS::Lambda::Permission")
    assert {
        (name(each["FunctionName"]), each["Principal"], each["Action"])
        for each in permissions.values()
    } == {
        (f"{function}FunctionAliaslive", "apigateway.amazonaws.com", "lambda:InvokeFunction")
        for function in (
            "Login",
            "Phone",
            "Decrypt",
            "Session",
            "Introspect",
            "Authorizer",
            "WeChatPush",
        )
    }
    assert all("SourceArn" in each for each in permissions.values())


# ------------------------------------------------------------------ logs, tables, secrets


def test_every_function_and_the_api_log_into_a_group_with_a_retention(template: Document) -> None:
    groups = of_type(template, "AWS::Logs::LogGroup")
    names = {name(group["LogGroupName"]) for group in groups.values()}
    functions = of_type(template, "AWS::Lambda::Function").values()
    assert names == {"/aws/vendedlogs/${AWS::StackName}/access"} | {
        f"/aws/lambda/{name(function['FunctionName'])}" for function in functions
    }
    for group in groups.values():
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_every_table_is_encrypted_on_demand_and_forgets(template: Document) -> None:
    tables = of_type(template, "AWS::DynamoDB::Table")
    assert tables.keys() == {"Sessions", "AccessTokens", "PhoneExchanges", "Platform"}
    forgets = {"AttributeName": "expires_at", "Enabled": True}
    for key, table in tables.items():
        assert table["SSESpecification"] == {"SSEEnabled": True}
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table.get("TimeToLiveSpecification") == (None if key == "Platform" else forgets)


def test_what_a_platform_cannot_get_again_outlives_the_stack(template: Document) -> None:
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        assert template["Resources"]["Platform"][policy] == "Retain"


def test_queues_are_encrypted_and_forget_and_what_fails_five_times_is_kept(
    template: Document,
) -> None:
    queues = of_type(template, "AWS::SQS::Queue")
    assert queues.keys() == {"FailedRenewals", "UserEvents", "PlatformEvents", "FailedPushes"}
    for queue in queues.values():
        assert queue["MessageRetentionPeriod"] == 14 * 86_400
        assert queue["SqsManagedSseEnabled"] is True
    failed = {"Fn::GetAtt": ["FailedPushes", "Arn"]}
    for fed in ("UserEvents", "PlatformEvents"):
        assert queues[fed]["RedrivePolicy"] == {"deadLetterTargetArn": failed, "maxReceiveCount": 5}
        time_out = template["Resources"][f"{fed}Function"]["Properties"]["Timeout"]
        assert queues[fed]["VisibilityTimeout"] == 6 * time_out


def test_no_parameter_can_hold_an_appsecret() -> None:
    for path in TEMPLATES.values():
        document = read_document(path)
        secrets = of_type(document, "AWS::SecretsManager::Secret")
        for parameter, properties in document.get("Parameters", {}).items():
            assert "NoEcho" not in properties
            secret = any(word in parameter.lower() for word in ("secret", "password", "token="))
            assert not secret or parameter.endswith("Sha256")
            assert json.dumps({"Ref": parameter}) not in json.dumps(secrets)
    assert of_type(read_document(TEMPLATES["template"]), "AWS::SecretsManager::Secret").keys() == {
        "AppSecrets",
        "KeyRing",
        "ApiClients",
    }


def test_an_appsecret_is_not_in_the_template_either(template: Document) -> None:
    secrets = of_type(template, "AWS::SecretsManager::Secret")
    assert secrets["AppSecrets"].keys() == {"Description"}
    assert secrets["KeyRing"].keys() == {"Description", "GenerateSecretString"}


def granted(statements: list[Document]) -> dict[str, set[str]]:
    """Return what statements allow, by resource; none allows everything of anything."""
    found: dict[str, set[str]] = {}
    for statement in statements:
        assert statement.keys() == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        for resource in as_list(statement["Resource"]):
            found.setdefault(name(resource), set()).update(as_list(statement["Action"]))
    assert not any("*" in text for text in found.keys() | set().union(*found.values()))
    return found


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def name(value: Any) -> str:
    """Name what a policy points to: a logical id, with the attribute that is taken of it."""
    match value:
        case {"Ref": str(logical_id)}:
            return logical_id
        case {"Fn::GetAtt": [str(logical_id), str(attribute)]}:
            return f"{logical_id}.{attribute}"
        case {"Fn::Sub": str(text)}:
            return text
    assert isinstance(value, str), value
    return value
