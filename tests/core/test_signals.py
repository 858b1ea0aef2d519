"""core/signals.py: a signal is told whichever thread it is given to."""

import os
import signal
import threading
from queue import SimpleQueue

from isthmus.core.signals import calling


def test_a_signal_of_another_thread_is_told_while_the_main_thread_waits_for_a_lock():
    heard, release = SimpleQueue(), threading.Event()
    other = threading.Thread(target=release.wait)
    other.start()
    before = signal.getsignal(signal.SIGUSR1)
    with calling((signal.SIGUSR1,), heard.put):
        threading.Timer(0.05, lambda: signal.pthread_kill(other.ident, signal.SIGUSR1)).start()
        assert heard.get(timeout=120) == signal.SIGUSR1
    release.set()
    other.join()
    assert signal.getsignal(signal.SIGUSR1) == before


def test_each_signal_is_told_and_others_are_not():
    heard, others = SimpleQueue(), []
    before = signal.signal(signal.SIGUSR2, lambda *_: others.append(1))
    try:
        with calling((signal.SIGUSR1, signal.SIGHUP), heard.put):
            for number in (signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR1):
                os.kill(os.getpid(), number)
            assert {heard.get(timeout=120), heard.get(timeout=120)} == {
                signal.SIGHUP,
                signal.SIGUSR1,
            }
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert heard.empty()
    assert others == [1]
