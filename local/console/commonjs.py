"""A mini-program's CommonJS module as the ES module that a browser loads, its text as it is."""

import re

_REQUIRE = re.compile(r"require\('(\.{1,2}/[\w./-]+)'\)")


def as_es_module(source: str) -> str:
    """Wrap a module: what it requires is imported in front, what it exports is the default."""
    required = list(dict.fromkeys(_REQUIRE.findall(source)))
    imports = "".join(
        f"import required{at} from '{path}{'' if path.endswith('.js') else '.js'}'\n"
        for at, path in enumerate(required)
    )
    known = ", ".join(f"'{path}': required{at}" for at, path in enumerate(required))
    return (
        f"{imports}const module = {{ exports: {{}} }}\n"
        f"const require = path => ({{ {known} }})[path]\n"
        f"{source}\nexport default module.exports\n"
    )
