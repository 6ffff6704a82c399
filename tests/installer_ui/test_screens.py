"""Every screen as text, in both languages, on the machine's own screen and on a serial line, at 80×24.

``UPDATE_GOLDENS=1 pytest tests/installer_ui/test_screens.py`` writes ``tests/screens`` again; look at the
difference before committing it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from installer_ui import steps
from installer_ui.app import InstallerApp
from installer_ui.charge import Charge, Holder
from installer_ui.flow import make_page
from installer_ui.glyphs import SAFE
from installer_ui.i18n import LANGUAGES
from installer_ui.screens.done import Done
from installer_ui.screens.found import Found
from installer_ui.screens.notice import Notice
from installer_ui.screens.page import Page
from installer_ui.screens.pause import Pause
from installer_ui.screens.work import Work
from installer_ui.steps import Step
from mediakit.install.execute import Result
from mediakit.install.machine import Detection
from mediakit.install.plan import InstallPlan, make_plan
from mediakit.install.state import Network
from mediakit.progress import Cancel, Event, Observer

GOLDENS = Path(__file__).parent.parent / "screens"
COLUMNS, ROWS = 80, 24
MIB = 1 << 20
TTYS = {"vt": "/dev/tty1", "serial": "/dev/ttyS0"}
ENGINE = "0f8fad5b-d9cb-469f-a165-70867728950e"
REPORT = "The report is on the stick: reports/20260101T000000Z-7XK2P5J-0a1b.json"
Tour = dict[str, str]


class Bare(InstallerApp):
    """The application without its wizard: screens are pushed one by one."""

    def begin(self) -> None:
        pass


class Busy(Charge):
    """Another console is in charge."""

    def holder(self) -> Holder | None:
        return Holder(4711, "/dev/tty1", False)


def screen_text(app: InstallerApp) -> str:
    """What stands on the screen, without blanks at the end of rows."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips) + "\n"


def make_app(app_on: Callable[..., InstallerApp], machine: str, language: str, tty: str) -> Bare:
    app = app_on(machine, language, TTYS[tty])
    bare = Bare(app.installation, app.draft, app.tty)
    bare.detection = app.installation.probe(lambda event: None)
    return bare


def detection(app: InstallerApp) -> Detection:
    assert app.detection is not None
    return app.detection


async def look(pilot: Pilot[int], page: Page, *keys: str) -> str:
    """The text of ``page`` after ``keys``."""
    pilot.app.push_screen(page)
    await pilot.pause()
    own = [worker for worker in pilot.app.workers if worker.node is page]
    if own:  # what it does in the background belongs on the picture
        await pilot.app.workers.wait_for_complete(own)
        await pilot.pause()
    for line in (page.keys_text(), page.next_text(), page.title_text()):
        assert len(line) <= COLUMNS - 4, f"cut off: {line}"
    for key in keys:
        await pilot.press(key)
    await pilot.pause()
    assert isinstance(pilot.app, InstallerApp)
    text = screen_text(pilot.app)
    pilot.app.pop_screen()
    await pilot.pause()
    return text


async def simple_screens(pilot: Pilot[int], app: Bare, machine: str) -> AsyncIterator[tuple[str, str]]:
    """Screens that need no more than a draft."""
    draft = app.draft.change(action="fresh", disk="/dev/sda")
    front = [Step.WELCOME, Step.LICENCE, Step.KEYBOARD]
    rest = [Step.DISK, Step.HOST, Step.PASSWORD, Step.NETWORK, Step.ZONE]
    for n, step in [*enumerate(front, 2), *enumerate(rest, 6)]:
        yield f"{n:02}-{step.name.lower()}", await look(pilot, make_page(step, draft, None))
    yield (
        "11-zone-cities",
        await look(pilot, make_page(Step.ZONE, draft.change(zone="Europe/Madrid"), None), "enter"),
    )
    static = draft.change(network=Network("static", "192.168.1.20/24", "10.0.0.1", ("9.9.9.9",)))
    keys = ("enter", "enter", "enter", "enter")
    yield "12-network-fault", await look(pilot, make_page(Step.NETWORK, static, None), *keys)
    yield "13-licence-fault", await look(pilot, make_page(Step.LICENCE, draft, None), "enter")


async def found_screens(pilot: Pilot[int], app: Bare, machine: str) -> AsyncIterator[tuple[str, str]]:
    yield f"05-found-{machine}", await look(pilot, Found(app.draft))
    yield f"05-found-{machine}-end", await look(pilot, Found(app.draft), "end")
    yield f"05-found-{machine}-details", await look(pilot, Found(app.draft), "d")
    if app.screen.__class__ is not Found and len(app.screen_stack) > 1:
        app.pop_screen()


class Holding:
    """Executes up to the middle of a step and stays there until it is cancelled."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(
        self, plan: InstallPlan, observer: Observer, cancel: Cancel, *, trust_medium: bool = False
    ) -> Result:
        for step in plan.steps[:2]:
            observer(Event("phase", plan.disk, step.key, total_bytes=step.bytes, message=step.what))
        observer(Event("progress", plan.disk, "slot", 90 * MIB, 240 * MIB, 45.0 * MIB, 3.4))
        return Result("interrupted")


async def work_screens(pilot: Pilot[int], app: Bare, machine: str) -> AsyncIterator[tuple[str, str]]:
    """Summaries, the work, and the end, on an Engine 5.0."""
    engine = {"disk": "/dev/sda", "install_id": ENGINE}
    for action, more in (
        ("upgrade", {}),
        ("reinstall", {"keep_vms": True}),
        ("reinstall", {"keep_vms": False}),
    ):
        draft = app.draft.change(action=action, **engine, **more)
        plan = app.installation.plan(steps.choice(detection(app), draft))
        name = action + ("-erase" if more.get("keep_vms") is False else "")
        yield f"20-summary-{name}", await look(pilot, make_page(Step.SUMMARY, draft, plan))
    yield "21-keep", await look(pilot, make_page(Step.KEEP, draft, None))
    trusting = app.draft.change(action="repair", needs_keys=True, **engine)
    yield "28-trust", await look(pilot, make_page(Step.KEYS, trusting, None))
    yield "29-trust-fault", await look(pilot, make_page(Step.KEYS, trusting, None), "y", "enter")
    upgrade = app.draft.change(action="upgrade", **engine)
    plan = app.installation.plan(steps.choice(detection(app), upgrade))
    app.installation = Holding(app.installation)
    yield "22-work", await look(pilot, Work(upgrade, plan))
    yield "23-work-stop", await look(pilot, Work(upgrade, plan), "escape")
    yield "24-done", await look(pilot, Done(upgrade, Result("done", "", 84.0), REPORT))
    failed = Result(
        "failed",
        "The new system was written, and reads back different. The disk may be failing: replace it. The old system was not touched.",
    )
    yield "25-failed", await look(pilot, Done(upgrade, failed, REPORT))
    yield (
        "26-refused",
        await look(pilot, Pause(upgrade, app.catalogue.tr("This is not possible"), "…", Step.SUMMARY)),
    )
    app.charge = Busy()
    yield "27-notice", await look(pilot, Notice(app.draft))


async def secure_boot_screens(pilot: Pilot[int], app: Bare, machine: str) -> AsyncIterator[tuple[str, str]]:
    """The machine's firmware does not know the Engine's certificate."""
    found = detection(app)
    this = replace(found.machine, firmware="uefi", secure_boot=True, engine_key="missing")
    app.detection = replace(found, machine=this)
    yield "30-secure-boot-found", await look(pilot, Found(app.draft))
    yield "30-secure-boot-details", await look(pilot, Found(app.draft), "d")
    app.pop_screen()
    draft = app.draft.change(action="upgrade", disk="/dev/sda", install_id=ENGINE)
    plan = make_plan(app.detection, steps.choice(app.detection, draft), HasMedium(app))  # type: ignore[arg-type]
    yield "31-secure-boot-summary", await look(pilot, make_page(Step.SUMMARY, draft, plan))


class HasMedium:
    """An image as far as a plan looks at it."""

    def __init__(self, app: InstallerApp) -> None:
        self.manifest = app.installation.medium


TOURS = {
    "simple": ("windows-and-engines", simple_screens),
    "found-5.0": ("engine-5.0", found_screens),
    "found-many": ("windows-and-engines", found_screens),
    "found-blank": ("blank", found_screens),
    "found-none": ("no-disk", found_screens),
    "work": ("engine-5.0", work_screens),
    "secure-boot": ("engine-5.0", secure_boot_screens),
}


@pytest.mark.parametrize("tty", TTYS)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("tour", TOURS)
async def test_every_screen_reads_as_it_should(
    app_on: Callable[..., InstallerApp], monkeypatch: pytest.MonkeyPatch, tour: str, language: str, tty: str
) -> None:
    """As its golden; no wider than 80 columns, in glyphs of the console font, with footer and header whole."""
    monkeypatch.setattr(Work, "_elapsed", lambda self: self.t.tr("Running for {time}.", time="8 s"))
    monkeypatch.setattr(Work, "dismiss", lambda self, result=None: None)
    machine, screens = TOURS[tour]
    app = make_app(app_on, machine, language, tty)
    wrong = []
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        async for name, text in screens(pilot, app, machine):
            path = GOLDENS / f"{language}-{tty}" / f"{name}.txt"
            if os.environ.get("UPDATE_GOLDENS"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            elif text != path.read_text(encoding="utf-8"):
                wrong.append(f"{path.name}:\n{text}")
            rows = text.rstrip("\n").split("\n")
            assert max(map(len, rows)) <= COLUMNS
            assert set(text) - SAFE <= {"\n"}, name
            assert len(rows) == ROWS, "the footer's last row is the last of the screen"
            assert rows[0].startswith(" Engine 5.1 (5100)")
            assert rows[21] == "─" * COLUMNS, name
    assert not wrong, "\n".join(wrong)
