"""A container's memory as a scenario wants it: Python imports this before a program, with its folder on PYTHONPATH.

With `LAB_CGROUP=FOLDER` the files below FOLDER are read in place of those below /sys/fs/cgroup, and FOLDER/self in
place of /proc/self/cgroup. To write the real ones takes rights that a container lacks.
"""

import builtins
import io
import os


def _read_instead(folder):
    places = {"/proc/self/cgroup": f"{folder}/self", "/sys/fs/cgroup": folder}
    opened, looked = io.open, os.stat

    def there(path):
        text = str(path) if isinstance(path, str | os.PathLike) else ""
        return next((text.replace(old, new, 1) for old, new in places.items() if text.startswith(old)), path)

    builtins.open = io.open = lambda path, *rest, **named: opened(there(path), *rest, **named)
    os.stat = lambda path, *rest, **named: looked(there(path), *rest, **named)


if folder := os.environ.get("LAB_CGROUP"):
    _read_instead(folder)
