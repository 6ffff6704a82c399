"""Whole flows with keys typed, on recorded machines, at 80×24."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Input, Static

from installer_ui.app import InstallerApp
from installer_ui.charge import Charge
from installer_ui.screens.page import Page
from mediakit.engine.signature import SignatureCheck
from mediakit.errors import TrustError
from mediakit.install.machine import Room
from mediakit.install.plan import InstallPlan

SIZE = (80, 24)
AppOn = Callable[..., InstallerApp]


async def at(pilot: Pilot[int], name: str, patience: float = 0.0) -> Page:
    """Wait until the screen ``name`` is up and settled."""
    for _ in range(200):
        await pilot.pause(patience / 20 or None)
        screen = pilot.app.screen
        if type(screen).__name__ == name and screen.is_mounted:
            own = [worker for worker in pilot.app.workers if worker.node is screen]
            if own:
                await pilot.app.workers.wait_for_complete(own)
                await pilot.pause()
            assert isinstance(screen, Page)
            return screen
    raise AssertionError(f"{name} did not come; {pilot.app.screen!r} is there")


async def to_found(pilot: Pilot[int]) -> Page:
    await at(pilot, "Welcome")
    await pilot.press("enter")
    await at(pilot, "Licence")
    await pilot.press("down", "enter")
    await at(pilot, "Keyboard")
    await pilot.press("enter", "enter")
    return await at(pilot, "Found")


async def settings(pilot: Pilot[int]) -> None:
    await at(pilot, "Host")
    await pilot.press("enter")
    await at(pilot, "Password")
    await pilot.press(*"secret123", "enter", *"secret123", "enter")
    await at(pilot, "NetworkPage")
    await pilot.press("enter")
    await at(pilot, "Zone")
    await pilot.press("enter")


def ended_by(app: InstallerApp) -> str:
    return str(app.installation.ended_by)  # type: ignore[attr-defined]


async def test_an_upgrade_is_five_screens_and_a_yes(app_on: AppOn) -> None:
    app = app_on("engine-5.0")
    async with app.run_test(size=SIZE) as pilot:
        await to_found(pilot)
        await pilot.press("enter")
        summary = await at(pilot, "Summary")
        assert app.draft.action == "upgrade"
        assert "Your 3 virtual machines stay as they are." in summary._text()  # type: ignore[attr-defined]
        await pilot.press("enter")
        await at(pilot, "Done")
        await pilot.press("enter")
    assert ended_by(app) == "reboot"
    assert app.return_value == 0


async def test_a_fresh_install_on_an_empty_disk_asks_everything_once(app_on: AppOn) -> None:
    app = app_on("blank")
    async with app.run_test(size=SIZE) as pilot:
        await to_found(pilot)
        await pilot.press("enter")
        await at(pilot, "DiskPage")
        await pilot.press("enter")
        await settings(pilot)
        await at(pilot, "Summary")
        assert app.draft.disk == "/dev/sda"
        assert app.draft.password_hash.startswith(("$y$", "$6$"))
        assert app.draft.zone == "UTC"
        await pilot.press("enter")
        await at(pilot, "Done")
        await pilot.press("down", "enter")
    assert ended_by(app) == "poweroff"


async def test_a_reinstall_costs_the_typed_word(app_on: AppOn) -> None:
    app = app_on("engine-5.0")
    async with app.run_test(size=SIZE) as pilot:
        await to_found(pilot)
        await pilot.press("down", "down", "enter")
        await at(pilot, "Keep")
        await pilot.press("enter")
        await settings(pilot)
        summary = await at(pilot, "Summary")
        await pilot.press("enter")
        await pilot.pause()
        assert pilot.app.screen is summary, "Enter alone must not begin"
        await pilot.press(*"yes", "enter")
        await pilot.pause()
        assert pilot.app.screen is summary
        summary.query_one(Input).value = ""
        await pilot.press(*"ERASE", "enter")
        await at(pilot, "Done")
        assert app.draft.keep_vms


async def test_what_is_not_possible_is_chosen_in_vain_and_says_why(app_on: AppOn) -> None:
    app = app_on("engine-5.0")
    async with app.run_test(size=SIZE) as pilot:
        found = await to_found(pilot)
        await pilot.press("down", "enter")
        await pilot.pause()
        assert pilot.app.screen is found
        assert "Not possible: Engine 5.0 (build 5000) is installed" in str(
            found.query_one("#fault", Static).render()
        )


async def test_escape_leads_back_to_the_welcome_and_no_further(app_on: AppOn) -> None:
    app = app_on("blank")
    async with app.run_test(size=SIZE) as pilot:
        await to_found(pilot)
        for name in ("Keyboard", "Licence", "Welcome", "Welcome"):
            await pilot.press("escape")
            await at(pilot, name)


async def test_without_a_disk_nothing_can_be_chosen(app_on: AppOn) -> None:
    app = app_on("no-disk")
    async with app.run_test(size=SIZE) as pilot:
        found = await to_found(pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert pilot.app.screen is found


async def test_the_licence_must_be_accepted(app_on: AppOn) -> None:
    app = app_on("blank")
    async with app.run_test(size=SIZE) as pilot:
        await at(pilot, "Welcome")
        await pilot.press("enter")
        licence = await at(pilot, "Licence")
        await pilot.press("enter")
        await pilot.pause()
        assert pilot.app.screen is licence


async def test_another_console_takes_over_until_the_work_begins(app_on: AppOn, tmp_path: Path) -> None:
    app, other = app_on("engine-5.0"), Charge(tmp_path, "/dev/tty1")
    app.charge = Charge(tmp_path, "/dev/ttyS0")
    async with app.run_test(size=SIZE) as pilot:
        await to_found(pilot)
        assert not other.take()
        app.is_working = True
        app.hand_over()
        assert not other.take(), "while something is written nobody takes over"
        app.is_working = False
        app.hand_over()
        await at(pilot, "Welcome")
        assert other.take()
        await pilot.press("enter")
        notice = await at(pilot, "Notice")
        assert "/dev/tty1" in str(notice.query_one("#who", Static).render())
        other.release()
        await at(pilot, "Welcome", patience=2.0)


async def test_an_interrupted_upgrade_is_preselected(app_on: AppOn) -> None:
    app = app_on("windows-and-engines")
    async with app.run_test(size=SIZE) as pilot:
        found = await to_found(pilot)
        option = found._option()  # type: ignore[attr-defined]
        assert option.offer.action == "continue"


async def test_a_reinstall_that_was_cut_is_continued_with_the_settings_asked_and_the_vms_kept(
    app_on: AppOn,
) -> None:
    """Without the settings the new Engine would have no password that anybody knows."""
    app = app_on("reinstall-interrupted")
    planned: list[InstallPlan] = []
    plan = app.installation.plan
    app.installation.plan = lambda choice: planned.append(plan(choice)) or planned[-1]  # type: ignore[method-assign,func-returns-value]
    async with app.run_test(size=SIZE) as pilot:
        await to_found(pilot)
        await pilot.press("enter")
        await settings(pilot)
        await at(pilot, "Summary")
        await pilot.press("enter")
        await at(pilot, "Done")
    assert (planned[-1].action, planned[-1].keep_vms) == ("reinstall", True)
    assert app.draft.password_hash != "!"


async def test_the_mediums_keys_cost_a_typed_word(app_on: AppOn) -> None:
    app = app_on("engine-5.0")
    app.installation.has_unreadable_keys = True  # type: ignore[attr-defined]
    async with app.run_test(size=SIZE) as pilot:
        await to_found(pilot)
        await pilot.press("enter")
        trust = await at(pilot, "Trust")
        assert "E7620F1842B4E81F" in screen_text(app)
        await pilot.press("enter", *"yes", "enter")
        await pilot.pause()
        assert pilot.app.screen is trust and "not the word" in screen_text(app)
        await pilot.press("escape")
        await at(pilot, "Found")
        await pilot.press("enter")
        await at(pilot, "Trust")
        await pilot.press(*"TRUST", "enter")
        await at(pilot, "Summary")
        await pilot.press("enter")
        await at(pilot, "Done")
    assert app.installation.trusted_medium  # type: ignore[attr-defined]


async def test_without_need_nobody_is_asked_for_keys_and_none_are_trusted(app_on: AppOn) -> None:
    app = app_on("engine-5.0")
    async with app.run_test(size=SIZE) as pilot:
        await to_found(pilot)
        await pilot.press("enter")
        await at(pilot, "Summary")
        await pilot.press("enter")
        await at(pilot, "Done")
    assert not app.installation.trusted_medium  # type: ignore[attr-defined]


async def test_a_medium_that_nobody_can_trust_is_refused_before_the_word(app_on: AppOn) -> None:
    app = app_on("engine-5.0")
    app.installation.has_unreadable_keys = True  # type: ignore[attr-defined]

    def refuse() -> SignatureCheck:
        raise TrustError("The medium's manifest is not signed.", "Use a medium from your Engine's maker.")

    app.installation.medium_key = refuse  # type: ignore[method-assign]
    async with app.run_test(size=SIZE) as pilot:
        await to_found(pilot)
        await pilot.press("enter")
        await at(pilot, "Pause")
        assert "not signed" in screen_text(app)


def screen_text(app: InstallerApp) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def test_the_notice_draws_only_what_has_changed(app_on: AppOn, tmp_path: Path) -> None:
    """On a serial line the same again every second would be most of what it can carry."""
    app, other = app_on("engine-5.0"), Charge(tmp_path, "/dev/tty1")
    app.charge = Charge(tmp_path, "/dev/ttyS0")
    assert other.take()
    async with app.run_test(size=SIZE) as pilot:
        notice = await at(pilot, "Notice")
        drawn: list[str] = []
        notice.put = lambda ident, content: drawn.append(content)  # type: ignore[method-assign]
        for _ in range(5):
            notice._look()  # type: ignore[attr-defined]
        assert not drawn
        other.begin()
        for _ in range(5):
            notice._look()  # type: ignore[attr-defined]
        assert len(drawn) == 2 and "working" in drawn[1]


async def test_vms_that_cannot_be_kept_say_why_before_anything_else_is_asked(app_on: AppOn) -> None:
    app = app_on("engine-5.0")
    found = app.installation.probe(lambda event: None)
    small = Room(314572800, 1048576, 1 << 20, 1 << 20, 1 << 30, 1 << 36)
    engine = replace(found.disks[0].engines[0], room=small)
    disk = replace(found.disks[0], engines=(engine,))
    app.installation._detection = replace(found, disks=(disk,))  # type: ignore[attr-defined]
    async with app.run_test(size=SIZE) as pilot:
        await to_found(pilot)
        await pilot.press("down", "down", "enter")
        keep = await at(pilot, "Keep")
        assert "the slots beside the kept VM store have 1.00 MiB" in " ".join(screen_text(app).split())
        await pilot.press("enter")
        await pilot.pause()
        assert pilot.app.screen is keep and "Save the VMs elsewhere" in screen_text(app)
        await pilot.press("down", "enter")
        await at(pilot, "Host")
    assert not app.draft.keep_vms
