"""Login and phone numbers for WeChat mini-programs, on AWS Lambda.

The rooms of this package:

* ``http`` – requests in, answers and problem documents out; ``fields`` – what a body may hold.
* ``login``, ``phone``, ``open_data`` – the three calls; ``sessions`` – our own session tokens.
* ``wechat`` – WeChat's server API; ``access_token`` – one token shared by every environment.
* ``errors`` – every error, and the table of WeChat's errcodes.
* ``services`` – what is built once per environment; ``settings`` – from which variables;
  ``aws`` and ``secret_store`` – AWS clients and what Secrets Manager holds.
* ``invocation`` – time budget, metrics and log of the one request being served.
"""
