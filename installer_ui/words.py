"""What screens say about disks, Engines, offers and plans. Pure: a catalogue and data in, text out."""

from __future__ import annotations

from collections.abc import Iterable

from installer_ui.i18n import Catalogue
from installer_ui.port import Medium
from installer_ui.steps import Draft
from mediakit.install import secureboot
from mediakit.install.machine import Content, Detection, Disk, Machine, Offer
from mediakit.install.machine import DetectedEngine as Engine
from mediakit.install.plan import InstallPlan as Plan
from mediakit.install.state import Network
from mediakit.units import format_size

ACTIONS = {
    "continue": "Continue the interrupted work",
    "upgrade": "Upgrade to {version}",
    "repair": "Repair",
    "reinstall": "Remove and reinstall",
    "rollback": "Roll back",
    "fresh": "Fresh install",
}
EFFECTS = {
    "continue": "Finishes what was interrupted. The virtual machines stay as they are.",
    "upgrade": "The virtual machines and the settings stay as they are.",
    "repair": "Writes the same version again. The virtual machines and the settings stay as they are.",
    "reinstall": "Removes this Engine and its settings. You choose whether the virtual machines stay.",
    "rollback": "Goes back to the version before. The virtual machines stay as they are.",
    "fresh": "You choose the disk on the next screen. Everything on that disk is lost.",
}
STATES = {
    "ok": "in order",
    "damaged": "damaged",
    "interrupted": "an upgrade was interrupted",
    "trial": "a new version is on trial",
    "never_booted": "never started yet",
}
INTERRUPTED = {
    "upgrade": "an upgrade to {version} was interrupted",
    "repair": "a repair was interrupted",
    "reinstall": "an installation of {version} was interrupted",
    "fresh": "an installation of {version} was interrupted",
}

ORIGINS = {"local": "local", "custom": "custom", "shared": "shared"}
SLOT_STATES = {
    "empty": "empty",
    "good": "good",
    "trial": "trial",
    "other": "other",
    "damaged": "damaged",
}


def action_text(t: Catalogue, action: str, medium: Medium) -> str:
    """``Upgrade to 5.1``."""
    return t.tr(ACTIONS.get(action, action), version=medium.version)


def machine_text(t: Catalogue, machine: Machine) -> str:
    """One line about the machine."""
    firmware = "UEFI" if machine.firmware == "uefi" else "BIOS"
    if machine.secure_boot:
        firmware = t.tr("UEFI with Secure Boot")
    name = " ".join(word for word in (machine.vendor, machine.model) if word)
    serial = t.tr("serial {serial}", serial=machine.serial) if machine.serial else ""
    words = [name, serial, firmware, format_size(machine.ram_bytes)]
    return ", ".join(word for word in words if word)


def disk_text(t: Catalogue, disk: Disk) -> str:
    """One line about a disk."""
    serial = t.tr("serial {serial}", serial=disk.serial) if disk.serial else t.tr("no serial number")
    words = [format_size(disk.size_bytes), disk.bus, disk.model, serial]
    return f"{disk.path}: " + ", ".join(word for word in words if word)


def vm_count(t: Catalogue, engine: Engine) -> str:
    count = len(engine.vms)
    if count == 0:
        return t.tr("no virtual machines")
    return t.trn("{n} virtual machine", "{n} virtual machines", count)


def engine_text(t: Catalogue, engine: Engine) -> str:
    """One line about an Engine."""
    state = t.tr(STATES[engine.state]) if engine.state in STATES else engine.state
    begun = engine.interrupted
    if engine.state == "interrupted" and begun is not None and begun.action in INTERRUPTED:
        state = t.tr(INTERRUPTED[begun.action], version=begun.version or "?")
    words = [
        t.tr("Engine {version} (build {build})", version=engine.version or "?", build=engine.build or "?"),
        state,
        vm_count(t, engine),
    ]
    server = registered_with(engine)
    if server:
        words.append(t.tr("registered with {server}", server=server))
    return ", ".join(words)


def registered_with(engine: Engine) -> str:
    """The Synchronizer that ``engine`` is registered with, or nothing."""
    return engine.registration.server if engine.registration else ""


def contents_text(t: Catalogue, disk: Disk) -> str:
    """What lies on a disk beside Engines, in one line."""
    found = [content_name(t, content) for content in disk.contents]
    if not found:
        return t.tr("nothing known on it")
    return ", ".join(dict.fromkeys(found))


def content_name(t: Catalogue, content: Content) -> str:
    return t.sentence(content.what or content.label or content.kind)


def offer_notes(t: Catalogue, offer: Offer) -> tuple[str, ...]:
    """The lines under an offer: what it does, or why it is not possible."""
    if offer.allowed:
        return ()
    return (t.tr("Not possible: {reason}", reason=t.sentence(offer.reason)),)


def offer_details(t: Catalogue, offer: Offer, engine: Engine | None) -> str:
    """The pane under the list: effect, reason, way forward, evidence."""
    lines = []
    if offer.allowed:
        lines.append(t.tr(EFFECTS[offer.action]) if offer.action in EFFECTS else "")
        if offer.reason:
            lines.append(t.sentence(offer.reason))
    else:
        lines.append(t.tr("Not possible: {reason}", reason=t.sentence(offer.reason)))
    if offer.way_forward:
        lines.append(t.tr("What to do: {hint}", hint=t.sentence(offer.way_forward)))
    if offer.allowed and offer.action == "upgrade" and engine is not None and registered_with(engine):
        lines.append(t.tr("This Engine is registered: its Synchronizer usually upgrades it. Here works too."))
    if engine is not None and engine.evidence:
        lines.append(t.tr("Seen: {what}", what=" ".join(t.sentence(what) for what in engine.evidence)))
    return "\n".join(line for line in lines if line)


def details_text(t: Catalogue, detection: Detection) -> str:
    """Everything that was found, to read."""
    lines = [f"# {t.tr('This machine')}", machine_text(t, detection.machine)]
    lines += [t.sentence(words) for words in secureboot.standing(detection.machine) if words]
    if not detection.machine.cpu_ok:
        lines.append(t.tr("The processor cannot run Xen as Engine needs it."))
    for disk in detection.disks:
        lines += ["", f"# {disk_text(t, disk)}", "  " + t.tr("Holds: {what}", what=contents_text(t, disk))]
        for finding in disk.findings:
            lines.append("  " + " ".join(t.sentence(s) for s in (finding.what, finding.hint) if s))
        for engine in disk.engines:
            lines += ["  " + engine_text(t, engine), "    " + t.tr("Identity: {id}", id=engine.install_id)]
            for slot in engine.slots:
                state = t.tr(SLOT_STATES.get(slot.state, slot.state))
                version = t.tr("{version} (build {build})", version=slot.version, build=slot.build)
                lines.append(
                    f"    {slot.name}: {version}, {state}" if slot.version else f"    {slot.name}: {state}"
                )
            lines += ["    " + t.sentence(what) for what in engine.evidence]
            for vm in engine.vms:
                lines.append(
                    f"    {vm.name}, {t.tr(ORIGINS.get(vm.origin, vm.origin))}, {format_size(vm.size_bytes)}"
                )
    return "\n".join(lines)


def vms_stay(t: Catalogue, engine: Engine | None) -> str:
    """What happens to the virtual machines when they are kept."""
    count = len(engine.vms) if engine else 0
    if count == 0:
        return t.tr("There are no virtual machines on this Engine.")
    return t.trn("Your virtual machine stays as it is.", "Your {n} virtual machines stay as they are.", count)


def vms_lost(t: Catalogue, engine: Engine | None) -> str:
    """What happens to the virtual machines when they are wiped."""
    count = len(engine.vms) if engine else 0
    if count == 0:
        return t.tr("There are no virtual machines on this Engine.")
    return t.trn("Your virtual machine is lost.", "Your {n} virtual machines are lost.", count)


def plan_text(t: Catalogue, plan: Plan) -> str:
    """Kept, rewritten, lost."""
    lines: list[str] = []

    def block(title: str, sentences: Iterable[str]) -> None:
        own = [t.sentence(s) for s in sentences]
        if own:
            lines.extend([f"# {title}", *(f"  {line}" for line in own)])

    block(t.tr("Lost"), plan.loses)
    block(t.tr("Kept"), plan.keeps)
    block(t.tr("Rewritten"), plan.rewrites)
    return "\n".join(lines)


def network_text(t: Catalogue, network: Network) -> str:
    if network.mode == "dhcp":
        return t.tr("automatic (DHCP)")
    if network.mode == "none":
        return t.tr("no network")
    words = [network.address, t.tr("gateway {address}", address=network.gateway) if network.gateway else ""]
    return ", ".join(word for word in (*words, *network.dns) if word)


def settings_text(t: Catalogue, draft: Draft) -> str:
    """The answers of screen 6, in one line."""
    return t.tr(
        "Host name {host}, network {network}, time zone {zone}.",
        host=draft.host_name,
        network=network_text(t, draft.network),
        zone=draft.zone,
    )
