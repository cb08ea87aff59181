"""What it takes to start: starting.py import | name | load_ext. IPython's own start is not counted."""

from __future__ import annotations

import json
import sys

from measure import Clock

if __name__ == "__main__":
    if sys.argv[1] == "import":
        with Clock() as clock:
            import fastreq_jupyter
        kept = [fastreq_jupyter.__name__]
    elif sys.argv[1] == "name":
        with Clock() as clock:
            from fastreq_jupyter import fastreq
        kept = [fastreq.__name__]
    else:
        from IPython.core.interactiveshell import InteractiveShell

        shell = InteractiveShell.instance()
        with Clock() as clock:
            shell.run_line_magic("load_ext", "fastreq_jupyter")
        kept = ["extension"]
    print(json.dumps(clock.figures(kept, 1)))
