"""The access_token of each app: one for every execution environment.

* ``access_tokens`` – the policy: who renews when, and who waits.
* ``table`` – the row that all environments share, and its lease.
* ``sources`` – the calls that issue a token.
"""
