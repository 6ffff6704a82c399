"""Owns what a failed run leaves behind: command line, serial log, both screens, and how to run it by hand."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from mediakit.errors import MediakitError
from mediakit.vm.machine import Machine


def leave(machine: Machine, folder: Path) -> Path:
    """Write what explains ``machine``'s state now to ``folder``; returns the page to read first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "command-line.txt").write_text(shlex.join(machine.argv) + "\n")
    (folder / "serial-screen.txt").write_text(machine.serial.screen_text() + "\n")
    (folder / "serial-transcript.txt").write_text(machine.serial.transcript)
    if machine.serial.log_path.parent != folder:
        shutil.copyfile(machine.serial.log_path, folder / "serial.log")
    notes = [f"Accelerator: {machine.accelerator.name}. {machine.accelerator.why}", ""]
    if machine.is_running:
        try:
            machine.screenshot(folder / "screen.png")
            (folder / "screen.txt").write_text(machine.screen_text() + "\n")
        except MediakitError as error:
            notes.append(f"No screenshot: {error}")
    else:
        notes.append("QEMU had ended already: no screenshot.")
    page = folder / "README.txt"
    page.write_text(
        "\n".join(
            [
                *notes,
                "serial.log: what came over the serial line, raw; serial-screen.txt: how it looked on 80x24;",
                "screen.png and screen.txt are the graphical screen.",
                "",
                "By hand (serial line and QEMU's monitor on the terminal, Ctrl-A c switches):",
                "",
                shlex.join(machine.by_hand()),
                "",
            ]
        )
    )
    return page
