"""Print pyproject's lower bounds as constraints of pip: every library at its oldest allowed version.

python tests/oldest.py > constraints.txt
"""

import re
import sys
import tomllib
from pathlib import Path

BOUND = re.compile(r"(?P<name>[\w.-]+)(?:\[[^\]]*\])?>=(?P<version>[\w.]+)(?P<more>[^;]*)(?P<marker>;.*)?")


def constraints(text):
    """Return one line for each library that the package and its extras name."""
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    lines = set()
    for requirement in [*project["dependencies"], *(requirement for named in extras.values() for requirement in named)]:
        bound = BOUND.fullmatch(requirement)
        if bound is None:
            raise ValueError(f"pyproject.toml: {requirement!r} names no lower bound")
        lines.add(f"{bound['name']}=={bound['version']}{bound['marker'] or ''}")
    return sorted(lines)


if __name__ == "__main__":
    sys.stdout.write("\n".join(constraints((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))) + "\n")
