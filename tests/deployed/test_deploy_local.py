"""`make deploy-local`, but for what make installs and builds."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3

from local.ministack import ROOT


def test_it_deploys_prints_calls_that_work_and_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "local.deployment"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        said = ""
        while "_phone/tap" not in said and (line := process.stdout.readline()):
            said += line
        # That of introspection needs the token of another.
        calls = [call for call in re.findall(r"curl -sS 'http.*", said) if "<token>" not in call]
        answers = [json.loads(subprocess.check_output(call, shell=True)) for call in calls]  # noqa: S602
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert [set(answer) for answer in answers] == [
        {"token", "expiresAt"},
        {"phoneNumber", "purePhoneNumber", "countryCode"},
        {"data", "session"},
    ]
    assert list(tmp_path.iterdir()) == []
    (aws_url,) = re.findall(r"AWS +(http\S+)", said)
    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.request("GET", aws_url, retries=False)
