"""One stack for the tests of this folder, and an authority for those that speak TLS."""

from pathlib import Path

import pytest
from trustme import CA

from tests.harness.fixtures import running_stack

__all__ = ["running_stack"]


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CA:
    """An authority that this machine trusts."""
    authority = CA()
    authorities = tmp_path / "authorities.pem"
    authority.cert_pem.write_to_path(str(authorities))
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    return authority
