from __future__ import annotations

import threading

from cerebrum_inference.turns import Turns


def test_turn_passes_in_the_order_of_asking() -> None:
    turns, order, asked = Turns(), [], threading.Semaphore(0)

    def work(name: int) -> None:
        asked.release()
        with turns:
            order.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(5)]
    with turns:
        for at, thread in enumerate(threads):
            thread.start()
            asked.acquire()
            while turns.waiting <= at:  # it has asked when it waits
                threading.Event().wait(0.001)
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2, 3, 4]


def test_one_at_a_time_and_everyone_gets_turns() -> None:
    turns, inside, most = Turns(), 0, 0
    counts = [0, 0]

    def work(me: int) -> None:
        nonlocal inside, most
        for _ in range(2000):
            with turns:
                inside += 1
                most = max(most, inside)
                counts[me] += 1
                inside -= 1

    threads = [threading.Thread(target=work, args=(me,)) for me in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == 1
    assert counts == [2000, 2000]


def test_error_inside_passes_the_turn_on() -> None:
    turns = Turns()
    try:
        with turns:
            raise ValueError
    except ValueError:
        pass
    with turns:
        pass
