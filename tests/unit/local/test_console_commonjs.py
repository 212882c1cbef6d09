import re
import shutil
import subprocess
from pathlib import Path

import pytest

from local.console.commonjs import as_es_module

MINIPROGRAM = Path(__file__).parents[3] / "miniprogram"


@pytest.mark.parametrize("name", ["kit/index.js", "kit/errors.js", "kit/wechat.js"])
def test_the_kit_is_served_as_it_is_inside_a_module(name: str) -> None:
    source = (MINIPROGRAM / name).read_text("utf-8")
    module = as_es_module(source)
    assert source in module
    assert module.endswith("export default module.exports\n")


def test_each_module_that_is_required_is_imported_once() -> None:
    module = as_es_module(
        "const a = require('./a')\nconst b = require('../b.js')\nrequire('./a')\n"
    )
    assert re.findall(r"^import (\w+) from '(.*)'$", module, re.MULTILINE) == [
        ("required0", "./a.js"),
        ("required1", "../b.js"),
    ]


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_it_runs_as_a_module_and_exports_what_it_did(tmp_path: Path) -> None:
    (tmp_path / "two.js").write_text(as_es_module("module.exports = { two: 2 }\n"))
    source = (
        "const { two } = require('./two')\nmodule.exports = function four() { return two * two }"
    )
    (tmp_path / "four.js").write_text(as_es_module(source))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "main.js").write_text("import four from './four.js'\nconsole.log(four())\n")
    node = shutil.which("node") or ""
    done = subprocess.run(  # noqa: S603 - our own text
        [node, "main.js"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "4\n"
