"""Child processes that do not outlive their parent, however it ends."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
"""Linux prctl(2): the signal a process gets when the thread that started it ends."""


def die_with_parent(number: signal.Signals) -> Callable[[], None]:
    """A ``preexec_fn`` for ``subprocess.Popen``: the child gets signal `number` when its parent is gone.

    Linux only; elsewhere it does nothing. ``Popen`` runs it after it changed the user, which matters: changing the
    user clears the setting. The thread that calls ``Popen`` must live as long as the child shall.
    """
    parent = os.getpid()
    if sys.platform != "linux":
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded here: nothing may be imported between fork and exec

    def in_child() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # the parent ended between fork and prctl: nobody is left to send the signal
            os._exit(1)

    return in_child
