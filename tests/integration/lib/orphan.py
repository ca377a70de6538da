# SPDX-License-Identifier: Apache-2.0
"""So that nothing outlives the tests, however they end."""
import ctypes
import signal

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def die_with_parent():
    """For preexec_fn: the kernel kills the process when the one that started it is gone."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
