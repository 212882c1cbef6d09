from collections.abc import Callable
from pathlib import Path

import pytest

from local.template import (
    Authorizer,
    GeneratedSecret,
    Key,
    Queue,
    Route,
    Secret,
    Table,
    TemplateError,
    read_template,
)

Write = Callable[[str], Path]

TEMPLATE = """
Parameters:
  Memory: {Type: Number, Default: 256}
  Mode: {Type: String, Default: plain}
  Owner: {Type: String}
Conditions:
  Fancy: !Equals [!Ref Mode, fancy]
  Plain: !Not [!Condition Fancy]
Globals:
  Function:
    Handler: app.handler
    MemorySize: !Ref Memory
    Layers: [!Ref Shared]
    Environment:
      Variables:
        TABLE: !Ref Items
        OWNER: !Ref Owner
        MODE: !If [Fancy, very, !Ref Mode]
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        Authorizers:
          Guard:
            FunctionArn: !GetAtt GuardFunction.Arn
            AuthorizerPayloadFormatVersion: "2.0"
            EnableSimpleResponses: true
            Identity: {Headers: [Authorization]}
  GuardFunction:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/guard/}
  HelloFunction:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${AWS::StackName}-hello-${!literal}"
      CodeUri: functions/hello/
      Timeout: 7
      MemorySize: 1024
      Layers: [!Ref Extra]
      VpcConfig: !If [Fancy, !ImportValue Network, !ImportValue OtherNetwork]
      SnapStart: !If [Fancy, !ImportValue Network, !ImportValue OtherNetwork]
      Environment: {Variables: {ARN: !Sub "${HelloFunction.Arn}", OWNER: !Ref AWS::NoValue}}
      Events:
        Open:
          Type: HttpApi
          Properties: {ApiId: !Ref Api, Method: post, Path: /open}
        Guarded:
          Type: HttpApi
          Properties: {ApiId: !Ref Api, Method: GET, Path: /guarded, Auth: {Authorizer: Guard}}
        Tick:
          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(1 minute)}
        Said:
          Type: SQS
          Properties: {Queue: !GetAtt Said.Arn}
  Shared:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layers/shared/}
  Extra:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layers/extra/}
  Items:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions:
        - {AttributeName: owner, AttributeType: B}
        - {AttributeName: number, AttributeType: N}
      KeySchema:
        - {AttributeName: owner, KeyType: HASH}
        - {AttributeName: number, KeyType: RANGE}
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
  FancyItems:
    Type: AWS::DynamoDB::Table
    Condition: Fancy
    Properties: {TableName: !Sub "${AWS::StackName}-fancy", AttributeDefinitions: [], KeySchema: []}
  Said:
    Type: AWS::SQS::Queue
  Unsaid:
    Type: AWS::SQS::Queue
  Empty:
    Type: AWS::SecretsManager::Secret
  Generated:
    Type: AWS::SecretsManager::Secret
    Properties:
      GenerateSecretString:
        SecretStringTemplate: '{"a":"b"}'
        GenerateStringKey: c
        PasswordLength: 20
        ExcludePunctuation: true
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "template.yaml"
        path.write_text(text, "utf-8")
        return path

    return write


def test_a_function_has_its_own_settings_over_the_globals(write: Write) -> None:
    path = write(TEMPLATE)
    hello = read_template(path, {"Owner": "me"}, stack_name="s").functions["hello"]
    assert hello.logical_id == "HelloFunction"
    assert hello.function_name == "s-hello-${literal}"
    assert hello.folder == path.parent / "functions/hello"
    assert hello.handler == "app.handler"
    assert (hello.timeout, hello.memory) == (7, 1024)
    assert hello.layers == (path.parent / "layers/shared", path.parent / "layers/extra")


def test_an_authorizer_knows_its_function(write: Write) -> None:
    application = read_template(write(TEMPLATE), {"Owner": "me"})
    assert application.authorizers["Guard"].function == "guard"
    with pytest.raises(TemplateError, match=r"GetAtt Nobody\.Arn is not simulated"):
        read_template(write(TEMPLATE.replace("GuardFunction.Arn", "Nobody.Arn")), {"Owner": "me"})


def test_environment_variables_are_resolved_to_text(write: Write) -> None:
    functions = read_template(write(TEMPLATE), {"Owner": "me"}, stack_name="s").functions
    assert functions["guard"].environment == {"TABLE": "Items", "OWNER": "me", "MODE": "plain"}
    assert functions["hello"].environment == {
        "TABLE": "Items",
        "MODE": "plain",
        "ARN": "arn:aws:lambda:us-east-1:123456789012:function:s-hello-${literal}",
    }


def test_defaults_of_lambda_apply_where_nothing_is_said(write: Write) -> None:
    guard = read_template(write(TEMPLATE), {"Owner": "me"}).functions["guard"]
    assert (guard.function_name, guard.timeout, guard.memory) == ("GuardFunction", 3, 256)


def test_routes_know_their_function_and_authorizer(write: Write) -> None:
    application = read_template(write(TEMPLATE), {"Owner": "me"})
    assert application.routes == (
        Route("POST", "/open", "hello", None),
        Route("GET", "/guarded", "hello", "Guard"),
    )
    assert application.authorizers == {"Guard": Authorizer("Guard", "guard", ("authorization",))}


def test_tables_and_secrets_are_read(write: Write) -> None:
    application = read_template(write(TEMPLATE), {"Owner": "me"})
    keys = (Key("owner", "B", "HASH"), Key("number", "N", "RANGE"))
    assert application.tables == (Table("Items", "Items", keys, "expires_at"),)
    assert application.secrets == (
        Secret("Empty", "Empty", None),
        Secret(
            "Generated",
            "Generated",
            GeneratedSecret('{"a":"b"}', "c", 20, exclude_punctuation=True),
        ),
    )


def test_queues_know_what_works_them_off(write: Write) -> None:
    application = read_template(write(TEMPLATE), {"Owner": "me"})
    assert application.queues == (Queue("Said", "hello"), Queue("Unsaid", None))


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/push/a", {"appid": "a"}),
        ("/push/", None),
        ("/push", None),
        ("/push/a/b", None),
        ("/pull/a", None),
    ],
)
def test_a_route_knows_what_stands_in_its_path(path: str, values: dict[str, str] | None) -> None:
    assert Route("GET", "/push/{appid}", "hello", None).values(path) == values


def test_a_parameter_decides_a_condition(write: Write) -> None:
    application = read_template(write(TEMPLATE), {"Owner": "me", "Mode": "fancy"}, stack_name="s")
    assert [table.name for table in application.tables] == ["Items", "s-fancy"]
    assert application.functions["guard"].environment["MODE"] == "very"


def test_a_parameter_without_default_needs_a_value(write: Write) -> None:
    with pytest.raises(TemplateError, match="parameter Owner has no default: give it a value"):
        read_template(write(TEMPLATE))


def test_an_unknown_parameter_is_refused(write: Write) -> None:
    with pytest.raises(TemplateError, match="no parameter Onwer"):
        read_template(write(TEMPLATE), {"Owner": "me", "Onwer": "me"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("!Ref Items", "!ImportValue Items", "Fn::ImportValue is not simulated"),
        ("!Ref Items", "!Ref Itens", "there is no parameter or resource Itens"),
        ("!Ref Items", "!GetAtt Items.StreamArn", "GetAtt Items.StreamArn is not simulated"),
        ("!If [Fancy,", "!If [Fance,", "there is no condition Fance"),
        ("Type: ScheduleV2", "Type: S3", "HelloFunction: events of type S3 are not simulated"),
        ("Path: /open", "Path: '/open/{id+}'", "route POST /open/{id+} is not simulated"),
        ("Method: post", "Method: any", "route ANY /open is not simulated"),
        ("Authorizer: Guard", "Authorizer: Nobody", "there is no authorizer Nobody"),
        ('Version: "2.0"', 'Version: "1.0"', "only payload 2.0 with simple responses"),
        (
            "      Auth:\n",
            "      Auth:\n        DefaultAuthorizer: Guard\n",
            "DefaultAuthorizer is",
        ),
        ('!Sub "${HelloFunction.Arn}"', "!Sub [a, {}]", "Fn::Sub with values of its own is not"),
    ],
)
def test_what_is_not_simulated_is_named(write: Write, old: str, new: str, message: str) -> None:
    assert old in TEMPLATE
    with pytest.raises(TemplateError) as caught:
        read_template(write(TEMPLATE.replace(old, new)), {"Owner": "me"})
    assert message in str(caught.value)


def test_functions_that_disagree_about_a_variable_cannot_share_a_process(write: Write) -> None:
    changed = TEMPLATE.replace("{ARN:", "{MODE: other, ARN:")
    application = read_template(write(changed), {"Owner": "me"})
    with pytest.raises(TemplateError, match="environment variable MODE differs"):
        _ = application.environment


def test_this_projects_template_is_read_whole() -> None:
    template = Path(__file__).parents[3] / "template.yaml"
    application = read_template(template, {"WeChatAppIds": "wx0123456789abcdef"})
    environment = application.environment
    assert environment["WECHAT_APPIDS"] == "wx0123456789abcdef"
    assert environment["SESSIONS_TABLE"] == "Sessions"
    assert environment["SESSION_DAYS"] == "7"
    assert environment["PHONE_REQUIRES_LOGIN"] == "false"
    assert {name: function.timeout for name, function in application.functions.items()} == {
        "login": 18,
        "phone": 25,
        "decrypt": 25,
        "session": 15,
        "authorizer": 8,
        "introspect": 8,
        "wechat_push": 8,
        "user_events": 60,
        "access_token": 20,
        "end_sessions": 60,
        "refresh_access_token": 30,
    }
