"""Taking back what bench has put on a device, by a shell alone: the device may have no Python that works."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from harness.errors import ProvisionError
from harness.link.folder import FILES, FOLDERS, claim
from harness.transports import Transport

_SLOW_S = 900.0
_MAX_ANSWER = 1 << 20

_16, _32, _64 = ("[0-9a-f]" * length for length in (16, 32, 64))
# What only bench calls so, the parts of pushes among it: over SSH, on this machine, over adb.
_OURS = f"""
agent/agent-{_16}.pyz agent/.part-{_32}* agent/.push-???????? agent/.agent-{_16}.pyz.*.part*
packs/{_64}.whl packs/{_64}.tar.gz packs/.part-{_32}* packs/.push-???????? packs/.{_64}.*.part*
env/{_16}.json env/{_16}.json.part-* wheels/{_64} wheels/{_64}.part-* runtime/{_64} runtime/{_64}.part artifacts/{_64}
datasets/{_64}
"""
# Removes that, then the folders where they are empty; says what is left. $1 the folder
_CLEAN = f"""
link=; [ -L "$1" ] && link=1
cd -- "$1" 2>/dev/null || exit 0
ours='{_OURS}'
for path in $ours; do if [ -e "$path" ] || [ -L "$path" ]; then rm -rf -- "$path" || exit; fi; done
for path in {" ".join(FOLDERS)}; do if [ -d "$path" ]; then rmdir -- "$path" 2>/dev/null; fi; done
left=
for path in * .[!.]* ..?*; do
  case $path in {"|".join(FILES)}) ;; *) [ -e "$path" ] || [ -L "$path" ] && left=1 && echo "$path" ;; esac
done
[ "$left" ] && exit
rm -f -- {" ".join(FILES)} || exit
[ "$link" ] || {{ here=$(pwd -P) && cd .. && rmdir -- "$here"; }}
"""


def clean(transport: Transport, folder: PurePosixPath, inside: Path | None = None) -> list[str]:
    """Remove what bench put into a device's folder and nothing else; return what is left there.

    `inside` is as in `claim`. Raises TransportError, ProvisionError.
    """
    claim(transport, folder, inside)
    done = transport.run(["sh", "-c", _CLEAN, "sh", str(folder)], timeout_s=_SLOW_S)
    if done.exit_code != 0:
        raise ProvisionError(f"{folder} cannot be removed: {done.last_words or 'it said nothing'}")
    return sorted(done.stdout[:_MAX_ANSWER].decode("utf-8", "replace").splitlines())
