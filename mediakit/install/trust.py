"""Whose word counts: an upgrade is checked with the keys of the installed Engine, a fresh install with those
of the medium (FORMATS: manifest). Keys lie in ``/usr/share/engine/keys/*.pub`` of a system image.
"""

from __future__ import annotations

from collections.abc import Sequence

from mediakit import run
from mediakit.block.target import open_target
from mediakit.engine import keys as engine_keys
from mediakit.engine import signature
from mediakit.errors import FormatError, MediakitError, MissingToolError, TrustError
from mediakit.formats import squashfs
from mediakit.install import bootenv, windows
from mediakit.install.payload import Image
from mediakit.install.plan import InstallPlan
from mediakit.install.upgrade import Places
from mediakit.install.windows import Window

FOLDER = "usr/share/engine/keys"
_SECONDS = 60.0


def running_keys() -> tuple[signature.PublicKey, ...]:
    """The keys of the running system: an Engine's own, or the medium's; elsewhere the public test key."""
    return engine_keys.trusted_keys() or engine_keys.built_in()


def check_with_medium(image: Image) -> signature.SignatureCheck:
    """The key that signed the image; TrustError unless the running system trusts it."""
    return check_with_keys(image, running_keys())


def check_with_engine(image: Image, places: Places, *, confirmed: bool = False) -> None:
    """TrustError unless the image is signed by a key of the installed Engine.

    ``confirmed``: somebody typed that the medium's keys count where the Engine's cannot be read.
    """
    try:
        good = bootenv.read(places.esp.reader, 0, places.esp.size_bytes).get("good", "a")
        found = slot_keys(places.slots[good])
    except MissingToolError:
        raise
    except (MediakitError, KeyError) as error:
        if confirmed:
            check_with_medium(image)
            return
        raise unreadable() from error
    check_with_keys(image, found)


def unreadable() -> TrustError:
    """What stops an unattended run whose Engine has no keys that can be read."""
    return TrustError(
        "The keys of the installed Engine cannot be read, so nothing can be checked with them.",
        "On the screens you may confirm that the medium's keys are used; or reinstall on purpose.",
    )


def needs_medium_keys(plan: InstallPlan) -> bool:
    """Whether the installed Engine's keys cannot be read. MissingToolError without unsquashfs."""
    if plan.action not in ("upgrade", "repair") or plan.already:
        return False
    with open_target(plan.disk, writable=False) as target:
        try:
            places = {name: place for name, (_, place) in windows.partitions(target).items()}
            esp = places[windows.ESP]
            good = bootenv.read(esp.reader, 0, esp.size_bytes).get("good", "a")
            slot_keys(places[windows.SLOT_NAMES[good]])
        except MissingToolError:
            raise
        except (MediakitError, KeyError):
            return True
    return False


def check_with_keys(image: Image, keys: Sequence[signature.PublicKey]) -> signature.SignatureCheck:
    """How the manifest is signed; TrustError unless that is good."""
    result = signature.check(image.manifest_bytes, image.signature_text, keys)
    if result.is_good:
        return result
    reasons = {
        "missing": "The medium's manifest is not signed.",
        "bad": "The signature of the medium's manifest is wrong.",
        "unknown_key": "The medium is signed with a key that is not trusted here.",
    }
    raise TrustError(
        reasons.get(result.state, "The medium's signature cannot be checked."),
        "Use a medium from your Engine's maker.",
    )


def slot_keys(slot: Window) -> tuple[signature.PublicKey, ...]:
    """The trusted keys inside a slot's squashfs, read without mounting; FormatError when there are none."""
    squashfs.parse(slot.read(0, squashfs.SUPERBLOCK_BYTES))
    place = run.safe_path(slot.target.path)
    argv = ["unsquashfs", "-o", str(slot.start), "-cat", place, f"{FOLDER}/*.pub"]
    text = run.run(argv, timeout=_SECONDS).text
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    blocks = [
        f"{line}\n{lines[index + 1]}\n"
        for index, line in enumerate(lines[:-1])
        if line.startswith("untrusted comment:")
    ]
    if not blocks:
        raise FormatError("The system slot holds no trusted keys.")
    return tuple(signature.load_public(block, "installed Engine") for block in blocks)
