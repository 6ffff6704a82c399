"""``mediakit keys``: make the keys that sign media, and sign a file with one."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="keys_action", metavar="generate|sign", required=True)
    generate = actions.add_parser("generate", help="make NAME.key and NAME.pub (minisign, no password)")
    generate.add_argument("name", metavar="NAME", type=Path)
    generate.add_argument(
        "--secure-boot",
        metavar="COMMON-NAME",
        help="also make NAME-sb.key, NAME-sb.crt and NAME-sb.cer, which sign xen.efi",
    )
    sign = actions.add_parser("sign", help="write FILE.minisig")
    sign.add_argument("file", metavar="FILE", type=Path)
    sign.add_argument("--key", metavar="K", type=Path, required=True, help="the secret key")
    sign.add_argument("--comment", metavar="TEXT", help="the trusted comment (default: the file's name)")


def execute(arguments: argparse.Namespace) -> int:
    return _generate(arguments) if arguments.keys_action == "generate" else _sign(arguments)


def _generate(arguments: argparse.Namespace) -> int:
    from mediakit.engine import signature

    base = str(arguments.name)
    pair = signature.generate()
    _write_new(Path(base + ".key"), pair.secret.to_text().encode(), 0o600)
    _write_new(Path(base + ".pub"), pair.public.to_text().encode(), 0o644)
    print(f"{base}.key (keep it secret), {base}.pub (key {pair.public.id_text})")
    if arguments.secure_boot:
        _secure_boot(base + "-sb", arguments.secure_boot)
        print(f"{base}-sb.key (keep it secret), {base}-sb.crt, {base}-sb.cer (for firmware)")
    return 0


def _sign(arguments: argparse.Namespace) -> int:
    from mediakit.engine import keys, signature

    secret = keys.load_secret_file(arguments.key)
    comment = arguments.file.name if arguments.comment is None else arguments.comment
    text = signature.sign(arguments.file.read_bytes(), secret, comment)
    target = Path(f"{arguments.file}.minisig")
    target.write_text(text)
    print(target)
    return 0


def _secure_boot(base: str, common_name: str) -> None:
    """A certificate for 30 years: firmware does not look at the date, shim neither."""
    import tempfile

    from mediakit import run
    from mediakit.errors import UsageError

    if "/" in common_name or not common_name.isprintable():
        raise UsageError("A common name has no slash and no control characters.")
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key"), Path(folder, "crt")
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "10957"]
        run.run([*words, "-subj", f"/CN={common_name}", "-keyout", key, "-out", certificate], timeout=120)
        der = run.run(["openssl", "x509", "-in", certificate, "-outform", "DER"], timeout=60).stdout
        _write_new(Path(base + ".key"), key.read_bytes(), 0o600)
        _write_new(Path(base + ".crt"), certificate.read_bytes(), 0o644)
        _write_new(Path(base + ".cer"), der, 0o644)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    from mediakit.errors import RefusedError

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise RefusedError(
            f"{path} exists already.", "A key is never overwritten: choose another name."
        ) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
