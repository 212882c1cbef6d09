"""The settings without which there is no backend."""

REQUIRED = {
    "WECHAT_APPIDS": "wx0123456789abcdef",
    "APP_SECRETS_ID": "AppSecrets",
    "KEY_RING_ID": "KeyRing",
    "API_CLIENTS_ID": "ApiClients",
    "SESSIONS_TABLE": "Sessions",
    "ACCESS_TOKENS_TABLE": "AccessTokens",
    "PHONE_EXCHANGES_TABLE": "PhoneExchanges",
    "USER_EVENTS_QUEUE": "https://sqs.us-east-1.amazonaws.com/123456789012/UserEvents",
}
