"""Login and phone numbers for WeChat mini-programs, on AWS Lambda.

The rooms of this package, from the roof to the cellar; each imports only from below:

* ``http`` – the shell: an event of Lambda's in, an answer or a problem document out; ``mistakes``
  – what is sent by mistake, told apart.
* ``backend`` – the wiring: what an execution environment is made of.
* ``login``, ``phone``, ``open_data``, ``session_key`` – what a user asks for; ``introspection`` –
  what a server of the team's asks; ``pushes`` – what WeChat itself tells.
* ``fields`` – what a request's body may hold; ``user_events`` – consent withdrawn, account closed.
* ``account`` – the team's own account function, if there is one.
* ``platform`` – a third-party platform, where there is one: ``platform.authorizations`` (who
  authorises it, and what its schedule looks after), ``platform.pushes`` (what WeChat pushes to it),
  ``platform.platform`` (whom it serves), ``platform.sources`` (its tokens), ``platform.table``
  (ticket and refresh tokens), ``platform.calls`` (its part of WeChat's API).
* ``sessions`` – our own session tokens; ``failure_budget`` – failed decryptions of a day;
  ``phone_records`` – what is kept of a phone exchange; ``codes`` – the two kinds of code.
* ``tokens`` – one access_token for every environment: ``tokens.access_tokens`` (who renews when),
  ``tokens.table`` (the shared row and its lease), ``tokens.sources`` (who issues).
* ``secret_store`` – key ring, AppSecrets and API clients; ``app_secrets`` – the forms in which
  AppSecrets are stored; ``wechat`` – WeChat's server API; ``secured_calls`` – API security, for
  the apps that have it.
* ``storage`` – DynamoDB, Secrets Manager, Lambda and SQS, and where botocore stops.
* ``connections`` – HTTP on which every request has one deadline, for both.
* ``invocation`` – time budget, metrics and log of the one request being served.
* ``settings`` – what a deployment can choose; ``apps`` – which mini-programs it serves.
* ``errors`` – every error, and the table of WeChat's errcodes.
"""
