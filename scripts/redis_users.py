"""Make the users of Redis: one for each part, with a random password and the rights of users.acl.in.

$ python scripts/redis_users.py                  for Compose: deploy/redis/users.acl, passwords into .env
$ python scripts/redis_users.py --kubernetes redis:6379          deploy/kubernetes/secrets.yaml

A password that .env holds already is kept. users.acl holds only hashes, so everybody may read it; both
other files are readable only by their owner, and must not be committed. Needs only Python.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "deploy" / "redis" / "users.acl.in"
ACL_FILE = ROOT / "deploy" / "redis" / "users.acl"
SECRETS = ROOT / "deploy" / "kubernetes" / "secrets.yaml"
ENV = ROOT / ".env"

_PLACE = re.compile(r"#<(\w+)>")


def main(arguments: list[str]) -> None:
    """Write the files and print their names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kubernetes", metavar="HOST:PORT", help="write Secrets, for a Redis at this address"
    )
    address = parser.parse_args(arguments).kubernetes
    if address is None:
        held = ENV.read_text("utf-8") if ENV.exists() else ""
        passwords = new_passwords(dict(re.findall(r"(?m)^REDIS_PASSWORD_(\w+)=(\S+)$", held)))
        fresh = [
            f"REDIS_PASSWORD_{user.upper()}={password}\n"
            for user, password in passwords.items()
            if f"REDIS_PASSWORD_{user.upper()}=" not in held
        ]
        start = held if held.endswith("\n") or not held else held + "\n"
        write(ENV, start + "".join(fresh), 0o600)
        write(ACL_FILE, acl(passwords), 0o644)
        sys.stdout.write(f"{ACL_FILE.relative_to(ROOT)} is written; the passwords are in {ENV.name}\n")
    else:
        write(SECRETS, manifests(new_passwords({}), address), 0o600)
        sys.stdout.write(f"{SECRETS.relative_to(ROOT)} is written: kubectl apply -f it, then delete it\n")


def new_passwords(held: Mapping[str, str]) -> dict[str, str]:
    """Return a password for each user, 256 random bits unless ``held`` has one (names in capitals)."""
    users = dict.fromkeys(_PLACE.findall(TEMPLATE.read_text("utf-8")))
    return {user: held.get(user.upper()) or secrets.token_urlsafe(32) for user in users}


def acl(passwords: Mapping[str, str]) -> str:
    """Return the file for Redis: one user a line, no comments, which Redis would refuse, and hashes."""
    text = TEMPLATE.read_text("utf-8")
    lines = (line for line in text.replace("\\\n", "").splitlines() if line and not line.startswith("#"))
    hashes = {user: hashlib.sha256(password.encode()).hexdigest() for user, password in passwords.items()}
    return "".join(
        _PLACE.sub(lambda found: "#" + hashes[found[1]], " ".join(line.split())) + "\n" for line in lines
    )


def manifests(passwords: Mapping[str, str], address: str) -> str:
    """Return a Secret for each part with its own URL, one for KEDA, and one with the file for Redis."""
    held = {
        f"parley-{user}": {"REDIS_URL": f"redis://{user}:{password}@{address}/0"}
        for user, password in passwords.items()
        if user not in ("operator", "keda")
    }
    held["parley-web"]["ADMIN_TOKEN"] = secrets.token_urlsafe(24)
    held["parley-operator"] = {"REDIS_URL": f"redis://operator:{passwords['operator']}@{address}/0"}
    held["parley-keda"] = {
        "REDIS_ADDRESS": address,
        "REDIS_USERNAME": "keda",
        "REDIS_PASSWORD": passwords["keda"],
    }
    held["parley-redis-users"] = {"users.acl": acl(passwords)}
    return "---\n".join(_secret(name, data) for name, data in held.items())


def _secret(name: str, data: Mapping[str, str]) -> str:
    lines = (f"  {key}: {base64.b64encode(value.encode()).decode()}\n" for key, value in data.items())
    head = (
        f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: parley\ntype: Opaque\ndata:\n"
    )
    return head + "".join(lines)


def write(path: Path, text: str, mode: int) -> None:
    """Write a file completely or not at all, readable only by its owner at any moment."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    draft.chmod(mode)  # for any umask
    draft.replace(path)


if __name__ == "__main__":
    main(sys.argv[1:])
