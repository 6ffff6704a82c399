"""The base tree: Debian by ``mmdebstrap`` from the machine's own apt configuration, trimmed, cached.

The cache's key covers the recipe, this module and the versions that apt would install today, so the second
version of the Engine, and the next build, start from a finished tree. The tree is never changed once it
is in the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from mediakit.errors import RefusedError
from mediakit.progress import Event, Observer, ignore
from mediakit.reference.recipe import Recipe
from mediakit.run import run

SOURCE_DATE_EPOCH = 1700000000
"""What the reference calls the present when the caller has set nothing else: builds must not see a clock."""

_PUBLIC_SOURCES = """\
Types: deb
URIs: http://deb.debian.org/debian
Suites: {suite} {suite}-updates
Components: {components}
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.debian.org/debian-security
Suites: {suite}-security
Components: {components}
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/mediakit``, by default ``~/.cache/mediakit``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mediakit"


def epoch() -> int:
    """SOURCE_DATE_EPOCH of the environment, else the reference's own."""
    return int(os.environ.get("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH))


def base_tree(
    recipe: Recipe, cache: Path, *, non_free_firmware: bool = False, observer: Observer = ignore
) -> Path:
    """The finished base tree in ``cache``, built if it is not there (about two minutes).

    RefusedError without root: the tree keeps owners and device rules that only root can write.
    """
    packages = recipe.packages + (recipe.non_free_firmware if non_free_firmware else ())
    tree = cache / f"base-{_key(recipe, packages)}"
    if tree.is_dir():
        return tree
    if os.geteuid() != 0:
        raise RefusedError(
            "Building the base system needs root.",
            "Run the same command with sudo, or as root in a container.",
        )
    observer(Event("phase", phase="base", message="Debian's packages become a base tree (about 90 s)."))
    cache.mkdir(parents=True, exist_ok=True)
    scratch = cache / f".base-{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        _debootstrap(recipe.suite, packages, scratch)
        observer(Event("phase", phase="base", message="Trimming it, compiling keyboards and Python."))
        _keyboards(recipe.keyboards, scratch)
        _accounts(scratch)
        trim(scratch, recipe, keep_firmware_drivers=non_free_firmware)
        _sources(scratch, recipe.suite, non_free_firmware)
        compile_python(scratch, "/usr/lib/python3.11", "/usr/lib/python3/dist-packages")
        _depmod(scratch)
        scratch.rename(tree)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return tree


def kernel_version(tree: Path) -> str:
    """The one kernel's release in ``tree``."""
    return next(path.name for path in sorted((tree / "usr/lib/modules").iterdir()))


def trim(tree: Path, recipe: Recipe, *, keep_firmware_drivers: bool) -> None:
    """Take away what the recipe names: documentation, caches, identities, drivers without use."""
    for pattern in recipe.trim_paths:
        for path in sorted(tree.glob(pattern)):
            remove(path)
    modules = tree / "usr/lib/modules" / kernel_version(tree) / "kernel"
    for name in recipe.trim_modules + (() if keep_firmware_drivers else recipe.modules_needing_firmware):
        remove(modules / name)
    for path in [*tree.rglob("__pycache__"), *tree.glob("var/cache/ldconfig/*")]:
        remove(path)
    (tree / "etc/machine-id").write_bytes(b"")


def remove(path: Path) -> None:
    """Remove a file, link or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def compile_python(tree: Path, *folders: str, strip: str = "") -> None:
    """Byte-compile ``folders`` of ``tree`` with its own Python. The files carry a hash that is not checked
    (PEP 552), so they hold no time and the first start on a read-only root needs no compiler. ``strip`` is
    taken off the paths that tracebacks show."""
    program = "import compileall,py_compile,sys;[compileall.compile_dir(d,quiet=2,force=True,"
    program += "stripdir=sys.argv[1] or None,"
    program += "invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH) for d in sys.argv[2:]]"
    # PYTHONHASHSEED: the order of sets in constants would differ from run to run
    run(
        ["chroot", tree, "/usr/bin/python3", "-I", "-c", program, strip, *folders],
        timeout=300,
        env={"PYTHONHASHSEED": "0"},
    )


def _key(recipe: Recipe, packages: tuple[str, ...]) -> str:
    policy = run(["apt-cache", "show", "--no-all-versions", *packages], timeout=120, check=False).text
    versions = [line for line in policy.splitlines() if line.startswith(("Package:", "Version:"))]
    digest = hashlib.sha256()
    takes = (recipe.trim_paths, recipe.trim_modules, recipe.modules_needing_firmware)
    makes = (recipe.suite, *takes, recipe.keyboards)
    for part in (repr(makes), Path(__file__).read_text(), repr(packages), repr(versions), str(epoch())):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]


def _debootstrap(suite: str, packages: tuple[str, ...], tree: Path) -> None:
    """``mmdebstrap`` without a mirror argument takes the suite from Debian; the machine's sources go in."""
    run(
        [
            "mmdebstrap", "--mode=root", "--variant=apt", "--quiet",
            "--aptopt=APT::Install-Recommends \"false\"",
            "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            f"--include={','.join(packages)}", suite, tree, *machine_sources(suite),
        ],
        timeout=1500,
        env={"SOURCE_DATE_EPOCH": str(epoch()), "INITRD": "No", "DEBIAN_FRONTEND": "noninteractive"},
    )  # fmt: skip


def machine_sources(suite: str, folder: Path = Path("/etc/apt")) -> list[str]:
    """The machine's own source lists that speak of ``suite``, as arguments of mmdebstrap."""
    candidates = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    found = []
    for path in candidates:
        if path.suffix in (".list", ".sources") and path.is_file():
            text = path.read_text(errors="replace")
            if suite in text and "debian" in text.lower():
                found.append(str(path))
    return found


def _keyboards(layouts: tuple[str, ...], tree: Path) -> None:
    """Compile each layout for the kernel's console, so that the Engine needs no xkb data and no Perl."""
    folder = tree / "usr/share/engine/keymaps"
    folder.mkdir(parents=True)
    for layout in layouts:
        keymap = run(["chroot", tree, "ckbcomp", "-model", "pc105", layout], timeout=60).stdout
        (folder / f"{layout}.kmap").write_bytes(keymap)


def _accounts(tree: Path) -> None:
    """``admin``, who may become root; the password comes from the state at boot, until then there is none."""
    run(
        ["chroot", tree, "useradd", "--create-home", "--uid", "1000", "--groups", "sudo,adm,systemd-journal",
         "--shell", "/bin/bash", "admin"],
        timeout=60,
        env={"SOURCE_DATE_EPOCH": str(epoch())},
    )  # fmt: skip


def _sources(tree: Path, suite: str, non_free_firmware: bool) -> None:
    components = "main non-free-firmware" if non_free_firmware else "main"
    target = tree / "etc/apt/sources.list.d/debian.sources"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_PUBLIC_SOURCES.format(suite=suite, components=components))


def _depmod(tree: Path) -> None:
    run(["chroot", tree, "depmod", kernel_version(tree)], timeout=120)
