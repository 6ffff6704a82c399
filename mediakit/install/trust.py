"""Whose word counts: an upgrade is checked with the keys of the installed Engine, a fresh install with those
of the medium (FORMATS: manifest). Keys lie in ``/usr/share/engine/keys/*.pub`` of a system image.
"""

from __future__ import annotations

from collections.abc import Sequence

from mediakit import run
from mediakit.engine import keys as engine_keys
from mediakit.engine import signature
from mediakit.errors import FormatError, MediakitError, TrustError
from mediakit.formats import squashfs
from mediakit.install import bootenv
from mediakit.install.payload import Image
from mediakit.install.upgrade import Places
from mediakit.install.windows import Window

FOLDER = "usr/share/engine/keys"
_SECONDS = 60.0


def running_keys() -> tuple[signature.PublicKey, ...]:
    """The keys of the running system: an Engine's own, or the medium's; elsewhere the public test key."""
    return engine_keys.trusted_keys() or engine_keys.built_in()


def check_with_medium(image: Image) -> None:
    """TrustError unless the image is signed by a key that the running system trusts."""
    check_with_keys(image, running_keys())


def check_with_engine(image: Image, places: Places, *, confirmed: bool = False) -> None:
    """TrustError unless the image is signed by a key of the installed Engine."""
    good = bootenv.read(places.esp.reader, 0, places.esp.size_bytes).get("good", "a")
    try:
        found = slot_keys(places.slots[good])
    except (MediakitError, KeyError) as error:
        if confirmed:
            check_with_medium(image)
            return
        raise TrustError(
            "The keys of the installed Engine cannot be read, so nothing can be checked with them.",
            "On the screens you may confirm that the medium's keys are used; or reinstall on purpose.",
        ) from error
    check_with_keys(image, found)


def check_with_keys(image: Image, keys: Sequence[signature.PublicKey]) -> None:
    """TrustError unless the manifest's signature is good."""
    result = signature.check(image.manifest_bytes, image.signature_text, keys)
    if result.state == "good":
        return
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
