"""How a login is taken apart: whose an import is, and what a stack is doing."""

import re

import pytest

from bench.profile import (
    READY,
    SDK_REST,
    STANDARD_LIBRARY,
    TO_WECHAT,
    doing,
    imported,
    report,
    report_connected,
    sampled,
)

TOLD = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   json.decoder
import time:       200 |        300 | json
import time:      1000 |       1500 |   botocore.session
import time:       500 |       2000 |     jmespath
import time:        40 |         40 | wechat_auth.http
import time:        60 |        100 | app
something else that was written
"""
MEASURED = "<module> (/x/environment.py:1);_measured (/x/environment.py:61)"
HANDLER = "handler (/p/aws_lambda_powertools/metrics/base.py:5);handler (/task/app.py:9)"
TO_AWS = "issue (/p/wechat_auth/sessions.py:3);_api_call (/p/botocore/client.py:9)"


def test_what_imports_take_is_added_up_by_whose_they_are() -> None:
    assert imported(TOLD) == pytest.approx(
        {STANDARD_LIBRARY: 3e-4, "botocore": 1.5e-3, "our own modules": 4e-5, READY: 6e-5}
    )


@pytest.mark.parametrize(
    ("further", "what"),
    [
        (f"{TO_AWS};sign (/p/botocore/signers.py:1);hash (/lib/hmac.py:1)",
         "AWS's SDK: signing"),
        (f"{TO_AWS};send (/p/botocore/httpsession.py:1);urlopen (/p/urllib3/pool.py:1)",
         "AWS's SDK: sending and receiving"),
        (f"{TO_AWS};emit (/p/botocore/hooks.py:1)", SDK_REST),
        ("call (/p/wechat_auth/wechat.py:7);urlopen (/p/urllib3/pool.py:1)", TO_WECHAT),
        ("seal (/p/wechat_crypto/sealing.py:1);new (/p/Crypto/Cipher/AES.py:1)",
         "sealing"),
        ("write (/p/aws_lambda_powertools/logging/logger.py:1);dumps (/lib/json/__init__.py:1)",
         "log line and metrics"),
        ("body (/p/wechat_auth/http.py:1);loads (/lib/json/__init__.py:1)", "the rest of ours"),
        ("", "the rest of ours"),
    ],
)  # fmt: skip
def test_what_a_stack_is_doing_is_told_from_its_files(further: str, what: str) -> None:
    assert doing([*MEASURED.split(";"), *HANDLER.split(";"), *further.split(";")]) == what


def test_samples_outside_the_measured_requests_do_not_count() -> None:
    stacks = f"""\
<module> (/x/environment.py:1);main (/x/environment.py:80);handler (/task/app.py:9) 1000
{MEASURED};{HANDLER};{TO_AWS} 3
{MEASURED};{HANDLER} 1
"""
    assert sampled(stacks) == {SDK_REST: 0.75, "the rest of ours": 0.25}


def test_the_greatest_part_stands_first_and_the_whole_last() -> None:
    rows = report("A login", {"little": 0.001, "much": 0.003}, 1).splitlines()[4:]
    assert [re.split(r" *\| *", row)[1:-1] for row in rows] == [
        ["much", "3.0", "75%"],
        ["little", "1.0", "25%"],
        ["all of it", "4.0", "100%"],
    ]


def test_beside_each_other_stand_medians() -> None:
    rows = report_connected({("early", 512): [(0.4, 0.01), (0.5, 0.02), (0.9, 0.03)]}).splitlines()[
        4:
    ]
    assert [re.split(r" *\| *", row)[1:-1] for row in rows] == [["early", "512", "500", "20"]]
