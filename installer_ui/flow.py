"""The wizard: one coroutine that shows a screen, notes its answer, goes on or back; ``steps`` decides."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from installer_ui import steps
from installer_ui.i18n import load
from installer_ui.result import exit_status
from installer_ui.steps import Draft, Step
from mediakit.errors import MediakitError
from mediakit.install.execute import Result
from mediakit.install.plan import InstallPlan

if TYPE_CHECKING:
    from installer_ui.app import InstallerApp
    from installer_ui.screens.page import Page


async def run(app: InstallerApp) -> None:
    """From the welcome to the end of the session; ends the application with its status."""
    step = Step.WELCOME
    while len(app.screen_stack) > 1:
        await app.pop_screen()
    await be_in_charge(app)
    plan: InstallPlan | None = None
    ended = Result("interrupted")
    while True:
        if step is Step.SUMMARY:
            plan = await make_plan(app)
            if plan is None:
                step = Step.FOUND
                continue
            if app.draft.needs_keys and not app.draft.trusts:
                step = Step.KEYS
        if step is Step.DONE:
            if await finish(app, plan, ended) != "again":
                app.exit(exit_status(ended))
                return
            app.detection, step = None, Step.FOUND
            continue
        set_working(app, step is Step.WORK)
        answer: Any = await app.push_screen_wait(make_page(step, app.draft, plan))
        if step is Step.WELCOME and app.charge is not None and (answer is None or not app.charge.take()):
            await be_in_charge(app)
            continue
        if is_back(answer):
            step = steps.before(step, app.draft)
            continue
        if step is Step.WORK:
            ended = answer
        app.draft = note(step, app.draft, answer)
        if step is Step.WELCOME:
            app.catalogue = load(app.draft.language)
        step = steps.after(step, app.draft)


async def be_in_charge(app: InstallerApp) -> None:
    """Wait, with a notice, until no other console is in charge; taking it comes with the first answer."""
    from installer_ui.screens.notice import Notice

    if app.charge is not None and app.charge.holder() is not None:
        await app.push_screen_wait(Notice(app.draft))


def set_working(app: InstallerApp, is_working: bool) -> None:
    """While something is written, no other console takes over."""
    if app.charge is not None and is_working != app.is_working:
        (app.charge.begin if is_working else app.charge.end)()
    app.is_working = is_working


def is_back(answer: object) -> bool:
    from installer_ui.screens.page import Back

    return isinstance(answer, Back)


def note(step: Step, draft: Draft, answer: Any) -> Draft:
    """``draft`` with the answer of ``step``."""
    if step is Step.WELCOME:
        keyboard = "es" if answer == "es" and draft.keyboard == "us" else draft.keyboard
        return draft.change(language=answer, keyboard=keyboard)
    if step is Step.FOUND:
        return draft.change(
            action=answer.offer.action,
            disk=answer.disk.path if answer.disk else draft.disk if draft.action == "fresh" else "",
            install_id=answer.engine.install_id if answer.engine else "",
            continues=steps.continues(answer),
            keep_vms=True,
            needs_keys=False,
            trusts=False,
        )
    fields = {
        Step.KEYBOARD: "keyboard",
        Step.DISK: "disk",
        Step.KEEP: "keep_vms",
        Step.HOST: "host_name",
        Step.PASSWORD: "password_hash",
        Step.NETWORK: "network",
        Step.ZONE: "zone",
        Step.KEYS: "trusts",
    }
    return draft.change(**{fields[step]: answer}) if step in fields else draft


PAGES = {
    Step.WELCOME: ("welcome", "Welcome"),
    Step.LICENCE: ("licence", "Licence"),
    Step.KEYBOARD: ("keyboard", "Keyboard"),
    Step.FOUND: ("found", "Found"),
    Step.DISK: ("disk", "DiskPage"),
    Step.KEEP: ("keep", "Keep"),
    Step.HOST: ("host", "Host"),
    Step.PASSWORD: ("password", "Password"),
    Step.NETWORK: ("network", "NetworkPage"),
    Step.ZONE: ("zone", "Zone"),
    Step.KEYS: ("trust", "Trust"),
    Step.SUMMARY: ("summary", "Summary"),
    Step.WORK: ("work", "Work"),
}
"""Step to the module and class of its screen, imported only when it is shown."""


def make_page(step: Step, draft: Draft, plan: InstallPlan | None) -> Page:
    """The screen of ``step``."""
    module, name = PAGES[step]
    made: Any = getattr(import_module(f"installer_ui.screens.{module}"), name)
    page: Page = made(draft, plan) if step in (Step.SUMMARY, Step.WORK) else made(draft)
    return page


async def make_plan(app: InstallerApp) -> InstallPlan | None:
    """The plan for the draft; where it is refused, the reason is shown and None returned."""
    from installer_ui.screens.pause import Pause

    assert app.detection is not None
    accepted = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        plan = app.installation.plan(steps.choice(app.detection, app.draft, accepted=accepted))
        needs_keys = await asyncio.to_thread(app.installation.needs_medium_keys, plan)
        if needs_keys:
            app.installation.medium_key()  # refuses a medium that nobody could trust
        app.draft = app.draft.change(needs_keys=needs_keys, trusts=app.draft.trusts and needs_keys)
        return plan
    except MediakitError as error:
        text = "\n\n".join(app.catalogue.sentence(words) for words in (error.message, error.hint) if words)
        title = app.catalogue.tr("This is not possible")
        await app.push_screen_wait(Pause(app.draft, title, text, Step.SUMMARY))
        return None


async def finish(app: InstallerApp, plan: InstallPlan | None, ended: Result) -> str:
    """Write the report, show the last screen, and do what it answers."""
    from installer_ui.screens.done import Done

    try:
        report = app.installation.write_report(plan, ended)
    except MediakitError as error:
        report = str(error)
    answer = str(await app.push_screen_wait(Done(app.draft, ended, report)))
    if answer != "again":
        app.installation.finish(answer)
    return answer
