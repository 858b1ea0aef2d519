import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.core.clock import Clock


def test_a_manual_clock_stands_still_until_it_is_moved():
    clock = Clock("manual")
    before = clock.now()
    assert clock.now() == before
    assert clock.advance(90) == before + timedelta(seconds=90) == clock.now()


@given(
    st.lists(st.floats(0.001, 1000, allow_nan=False), max_size=20),
    st.lists(st.floats(0, 400, allow_nan=False), max_size=6),
)
def test_timers_run_once_in_their_order_at_their_own_time_when_the_clock_has_passed_them(
    delays, moves
):
    clock = Clock("manual")
    start, ran = clock.now(), []
    for delay in delays:
        clock.call_after(delay, lambda: ran.append(clock.now()))
    for move in moves:
        clock.advance(move)
    due = sorted(start + timedelta(seconds=delay) for delay in delays)
    assert ran == [moment for moment in due if moment <= clock.now()]


def test_what_is_due_now_waits_for_nobody_even_on_a_clock_that_stands_still():
    clock, ran = Clock("manual"), threading.Event()
    clock.call_after(0, ran.set)
    assert ran.wait(60)
    clock.close()


def test_what_a_timer_schedules_inside_the_moved_span_runs_too():
    clock, ran = Clock("manual"), []
    clock.call_after(10, lambda: clock.call_after(10, lambda: ran.append(clock.now())))
    start = clock.now()
    clock.advance(30)
    assert ran == [start + timedelta(seconds=20)]


def test_a_periodic_function_runs_once_a_period_until_it_is_cancelled():
    clock, ran = Clock("manual"), []
    timer = clock.call_every(60, lambda: ran.append(clock.now()))
    clock.advance(200)
    assert len(ran) == 3
    timer.cancel()
    clock.advance(200)
    assert len(ran) == 3


def test_the_instant_clock_settles_after_the_handler_and_before_the_answer():
    clock, order = Clock("instant"), []
    with clock.request():
        clock.call_after(
            3600,
            lambda: (order.append("first"), clock.call_after(60, lambda: order.append("second"))),
        )
        order.append("stored")
    assert order == ["stored", "first", "second"]


def test_the_instant_clock_runs_the_timers_of_background_work_at_once():
    clock, ran = Clock("instant"), threading.Event()
    clock.call_after(3600, ran.set)
    assert ran.wait(60)
    clock.close()


def test_a_limit_counts_the_time_that_passes_on_the_instant_clock_too():
    clock, ran = Clock("instant"), []
    with clock.request():
        clock.call_at_limit(600, lambda: ran.append("over"))
    clock.advance(300)  # and what has passed by itself
    assert ran == []
    clock.advance(300)
    assert ran == ["over"]
    clock.close()


def test_a_periodic_function_does_not_hang_the_instant_clock():
    clock, ran = Clock("instant"), threading.Event()
    with clock.request():
        clock.call_every(60, ran.set)
    assert ran.wait(60)
    clock.close()


def test_a_periodic_function_runs_in_its_period_while_the_instant_clock_is_moved_and_after():
    clock, ran = Clock("instant"), []
    clock.call_every(60, lambda: ran.append(clock.now()))
    start = clock.now()
    end = clock.advance(3600)
    clock.close()
    assert {moment for moment in ran if moment >= end}
    assert 60 <= len([moment for moment in ran if start < moment <= end]) < 1000, (
        "four times a second would be 14,400"
    )


def test_the_instant_clock_makes_up_for_no_periodic_work_that_came_late():
    """Who advances would wait for all of it."""
    clock, ran, twice = Clock("instant"), [], threading.Event()
    clock.call_every(60, lambda: (ran.append(clock.now()), len(ran) == 2 and twice.set()))
    clock.catch_up(clock.now() + timedelta(hours=1))
    assert twice.wait(60)
    clock.close()
    assert ran[1] - ran[0] >= timedelta(seconds=0.25)


def test_a_real_clock_ticks_and_can_be_moved():
    clock, ran, before = Clock("real"), threading.Event(), datetime.now(UTC)
    clock.call_after(3600, ran.set)
    assert before <= clock.now() <= datetime.now(UTC)
    clock.advance(3601)
    assert ran.is_set()
    soon = threading.Event()
    clock.call_after(0.02, soon.set)
    assert soon.wait(60)
    clock.close()


@pytest.fixture
def under_way():
    """A clock, the runs of its periodic timer, whose first is under way, and what lets them end."""
    clock, ran, begun, go = Clock("real"), [], threading.Event(), threading.Event()
    clock.call_every(0.01, lambda: (ran.append(clock.now()), begun.set(), go.wait(60)))
    assert begun.wait(60)
    yield clock, ran, go
    clock.close()


def test_who_advances_waits_for_a_timer_that_runs_already_and_it_is_due_again(under_way):
    clock, ran, go = under_way
    moving = threading.Thread(target=clock.advance, args=(3,))
    moving.start()
    moving.join(0.1)
    assert moving.is_alive()
    go.set()
    moving.join(60)
    assert len(ran) >= 300


def test_a_reset_forgets_a_periodic_timer_that_is_running(under_way):
    clock, ran, go = under_way
    clock.reset()
    after = threading.Event()
    clock.call_after(0.1, after.set)
    go.set()
    assert after.wait(60)
    assert len(ran) == 1


def test_a_reset_forgets_timers_and_shows_the_real_time():
    clock, ran = Clock("manual"), []
    clock.call_after(10, lambda: ran.append(1))
    clock.advance(5)
    clock.reset()
    clock.advance(100)
    assert ran == []
    before = datetime.now(UTC)
    clock.reset()
    assert before <= clock.now() <= datetime.now(UTC)


def test_a_timer_that_fails_does_not_stop_the_clock(capsys):
    clock, ran = Clock("manual"), []
    clock.call_after(1, lambda: 1 / 0)
    clock.call_after(2, lambda: ran.append(1))
    clock.advance(5)
    assert ran == [1]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_clock_does_not_go_back_and_has_three_modes():
    with pytest.raises(ValueError, match="forward"):
        Clock("manual").advance(-1)
    with pytest.raises(ValueError, match="real, instant, manual"):
        Clock("fast")


def test_two_advances_at_once_add_up():
    clock = Clock("manual")
    start = clock.now()
    threads = [threading.Thread(target=clock.advance, args=(10,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.now() == start + timedelta(seconds=80)


def test_the_stack_moves_its_clock_for_a_client(aws, example_stack):
    hubs = aws("sagemaker")
    hubs.create_hub(HubName="later", HubDescription="d")
    before = example_stack.now()
    assert hubs.list_hubs()["HubSummaries"] == []
    assert example_stack.advance(601) > before + timedelta(seconds=600)
    assert [hub["HubName"] for hub in hubs.list_hubs()["HubSummaries"]] == ["later"]
    with pytest.raises(ValueError, match="forward"):
        example_stack.advance(-1)


def test_a_reset_lets_no_old_timer_write_into_the_new_state(aws, example_stack):
    aws("sagemaker").create_hub(HubName="later", HubDescription="d")
    example_stack.reset()
    example_stack.advance(700)
    assert aws("sagemaker").list_hubs()["HubSummaries"] == []


def test_what_is_to_happen_soon_has_happened_when_somebody_looks_and_happens_by_itself_and_once():
    clock, times, by_itself = Clock("instant"), [], threading.Event()
    clock.call_soon(lambda: times.append("looked"))
    clock.settle()
    assert times == ["looked"]
    clock.call_soon(by_itself.set)
    assert by_itself.wait(60)
    clock.advance(10)
    assert times == ["looked"]
    clock.close()


def test_who_looks_waits_for_what_another_has_begun():
    clock, begun, go, done = Clock("instant"), threading.Event(), threading.Event(), []

    def slow():
        begun.set()
        go.wait(60)
        done.append("slow")

    clock.call_soon(slow)
    assert begun.wait(60)
    looking = threading.Thread(target=lambda: (clock.settle(), done.append("looked")))
    looking.start()
    go.set()
    looking.join(60)
    assert done == ["slow", "looked"]
    clock.close()
