"""One console in charge: the lock between two processes, and handing over."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from installer_ui.charge import SIGNAL, Charge


def other_console(folder: Path, pipe: Connection) -> None:
    """Takes charge, hands over when asked, says what it does."""
    charge = Charge(folder, "/dev/ttyS0")
    signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})
    pipe.send(charge.take())
    if pipe.recv() == "work":
        charge.begin()
        pipe.send("working")
        pipe.recv()
    else:
        signal.sigwait({SIGNAL})
        charge.release()
        pipe.send("released")
    pipe.recv()


def start(folder: Path) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    process = context.Process(target=other_console, args=(folder, theirs), daemon=True)
    process.start()
    assert mine.recv() is True
    return process, mine


def test_one_is_in_charge_and_hands_over_when_asked(tmp_path: Path) -> None:
    process, pipe = start(tmp_path)
    charge = Charge(tmp_path, "/dev/tty1")
    assert not charge.take()
    holder = charge.holder()
    assert holder is not None
    assert (holder.pid, holder.tty, holder.is_working) == (process.pid, "/dev/ttyS0", False)
    pipe.send("hand over")
    charge.ask()
    assert pipe.recv() == "released"
    assert charge.take()
    assert charge.is_mine
    pipe.send("end")
    process.join(5)


def test_who_works_is_not_asked_and_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    process, pipe = start(tmp_path)
    charge = Charge(tmp_path, "/dev/tty1")
    pipe.send("work")
    assert pipe.recv() == "working"
    holder = charge.holder()
    assert holder is not None and holder.is_working
    charge.ask()
    assert process.is_alive()
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join(5)
    assert charge.holder() is None
    assert charge.take()


def test_nobody_is_in_charge_at_first(tmp_path: Path) -> None:
    assert Charge(tmp_path).holder() is None
