"""The commented example of ``answers.toml``: valid as it stands, and what ``answers example`` prints.

Also whether the room for answers on a medium is still empty. Parses nothing: that is ``engine.answers``.
"""

TEXT = """\
# Answers for the Engine installer: what it is to do without asking.
# Put this file on the stick's ENGINE-DATA partition as answers.toml, or into the medium with
# `mediakit rewrite --answers`. Check it with `mediakit answers check FILE`.

schema = 1

# upgrade | repair | reinstall | fresh | rollback
action = "upgrade"

# No Engine found: stop | fresh (then [system] is needed, see below)
when_none = "stop"
# Several Engines match: stop | newest | all
when_many = "stop"

language = "en"
keyboard = "us"
# You have read /engine/licence on the medium.
licence = "accepted"

# Which Engine is meant. All that is given here must hold; nothing given matches any.
[match]
# machine_serials = ["MACHINE-1", "MACHINE-2"]
# disk_serial = "S4EVNX0N"
# disk_model = "Samsung SSD 870"
# min_size = "100GB"
# max_size = "2TB"
# min_version = "4.5"
# max_version = "5.0"

# What may be destroyed, by exactly one identity. Needed for reinstall, and for fresh on a disk with an
# Engine or another system on it. keep_vms is for reinstall.
# [wipe]
# disk_serial = "S4EVNX0N"
# install_id = "b3c9f0a2-0000-4000-8000-000000000000"
# keep_vms = true

# Settings of a new Engine (fresh, reinstall). Make the hash with: mkpasswd -m yescrypt
# [system]
# host_name = "engine-1"
# admin_password_hash = "$y$..."
# time_zone = "Europe/Madrid"

# dhcp | static | none; address, gateway and dns are for static (dns for dhcp too).
[network]
mode = "dhcp"
# address = "192.0.2.7/24"
# gateway = "192.0.2.1"
# dns = ["192.0.2.53", "2001:db8::53"]

# At the end: poweroff | reboot | wait
[end]
action = "poweroff"
"""


def is_empty(text: str) -> bool:
    """Whether the room for answers holds none: nothing but blanks and comments."""
    lines = (line.strip(" \t\r\0") for line in text.split("\n"))
    return all(not line or line.startswith("#") for line in lines)
