"""Children that end with their parent, also when that is killed: no server is left behind."""
import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # before any fork: a child of many threads may not load a library


def with_parent():
    """A preexec_fn. The kernel looks at the thread that starts the child, so that must outlive it."""
    parent = os.getpid()

    def set_signal():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it went before we asked
            os._exit(1)
    return set_signal
