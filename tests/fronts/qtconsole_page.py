"""Type cells into a real qtconsole without a screen and print what its window shows then; run by the interpreter that has Qt.

python qtconsole_page.py CELLS.json [PICTURE.png]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from qtconsole.manager import QtKernelManager
from qtconsole.rich_jupyter_widget import RichJupyterWidget
from qtpy import QtCore
from qtpy.QtWidgets import QApplication


class Typist(QtCore.QObject):
    """Whoever types the cells, one as soon as that before has ended."""

    def __init__(self, widget: RichJupyterWidget, cells: list[str], picture: str | None) -> None:
        super().__init__()
        self._widget = widget
        self._cells = cells
        self._picture = picture
        self._typed = 0
        self._clock = QtCore.QTimer(self)
        self._clock.timeout.connect(self.look)
        self._clock.start(50)

    def look(self) -> None:
        """Where a prompt waits, type the next cell, or say what is shown and leave."""
        shown = self._widget._control.toPlainText()
        if not shown.rstrip().endswith(f"In [{self._typed + 1}]:"):
            return
        if self._typed < len(self._cells):
            self._widget.execute(self._cells[self._typed])
            self._typed += 1
            return
        print(shown, flush=True)
        self._clock.stop()
        if self._picture:
            self._widget.grab().save(self._picture)
        QApplication.instance().quit()


def main() -> None:
    application = QApplication(sys.argv[:1])
    manager = QtKernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    widget = RichJupyterWidget()
    widget.kernel_manager, widget.kernel_client = manager, client
    widget.resize(1000, 800)
    widget.show()
    typist = Typist(widget, json.loads(Path(sys.argv[1]).read_text()), sys.argv[2] if len(sys.argv) > 2 else None)
    application.exec()
    typist.deleteLater()
    client.stop_channels()
    manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main()
