"""How much is under way at once."""

from __future__ import annotations

import threading

from casreg.sync.totals import Room


def test_no_more_is_under_way_than_there_is_room_for() -> None:
    """What does not fit waits; what is larger than all of it is alone, and does not wait for ever."""
    room, lock = Room(10), threading.Lock()
    under_way = most = 0
    seen: list[int] = []
    pause = threading.Event()

    def work(size: int) -> None:
        nonlocal under_way, most
        for _ in range(5):
            with room.take(size):
                with lock:
                    under_way += min(size, 10)
                    most = max(most, under_way)
                pause.wait(0.002)  # so that others come, if they may
                with lock:
                    under_way -= min(size, 10)
                    seen.append(size)

    threads = [threading.Thread(target=work, args=(size,)) for size in (6, 6, 5, 5, 1, 0, 1000, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most <= 10
    assert len(seen) == 40
