"""`python -m local.background`: the whole stack on free ports, for another process's tests.

Prints its addresses in one line of JSON once they answer, and ends with standard input, so that it
never outlives the process that started it.
"""

import json
import os
import sys
from pathlib import Path

from local.runtime import functions_write_to
from local.stack import Stack


def main() -> int:
    """Run the stack until standard input ends, and return the exit code."""
    terminal = sys.stdout
    # What the functions log is theirs; the line is ours.
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        functions_write_to(nowhere),
        Stack.start() as stack,
    ):
        addresses = {
            "api": stack.url,
            "wechat": stack.wechat_url,
            "aws": stack.aws_url,
            "sessionsTable": stack.application.environment["SESSIONS_TABLE"],
        }
        print(json.dumps(addresses), file=terminal, flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
