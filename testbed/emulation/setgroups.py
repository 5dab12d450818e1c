"""Let a program that calls setgroups start in a user namespace that denies the call.

tcpdump calls setgroups whenever it runs as root, with `-Z root` as with any other user, and ends
when the call is refused. A user namespace made without root refuses it to every process
(user_namespaces(7), "/proc/pid/setgroups"). A seccomp filter then answers the call with success and
leaves the groups as they are, which is what `-Z root` asks for; the process gains no rights.
"""

from __future__ import annotations

import ctypes
import platform
import struct
from collections.abc import Callable
from pathlib import Path

_STATE = Path("/proc/self/setgroups")
_NUMBERS = {"x86_64": (0xC000003E, 116), "aarch64": (0xC00000B7, 159)}  # AUDIT_ARCH_…, __NR_…

# seccomp(2), and the classic BPF of linux/filter.h
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _MACHINE_AT = 0, 4  # in struct seccomp_data
_ALLOW, _SUCCEED = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, and RET_ERRNO with no error
_LIBC = ctypes.CDLL(None)


def ignoring_setgroups() -> Callable[[], None] | None:
    """Return a `preexec_fn` that makes setgroups succeed without effect.

    Returns None if setgroups is not denied. On a kernel without seccomp filters the function has no
    effect, and the program reports the refusal itself.
    """
    denied = _STATE.exists() and _STATE.read_text().strip() == "deny"
    if not denied or platform.machine() not in _NUMBERS:
        return None
    machine, number = _NUMBERS[platform.machine()]
    instructions = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_JUMP_IF_EQUAL, 0, 3, machine),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_IF_EQUAL, 0, 1, number),
        (_RETURN, 0, 0, _SUCCEED),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(
        b"".join(struct.pack("HBBI", *each) for each in instructions)
    )

    def install() -> None:
        program = struct.pack("HP", len(instructions), ctypes.addressof(code))
        _LIBC.prctl(_PR_SET_SECCOMP, _MODE_FILTER, program, 0, 0)

    return install
