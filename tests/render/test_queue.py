"""One client's notes do not wait for another's."""

from dataclasses import replace

import numpy as np

from gansynth_server.render.jobs import Job, RenderTask
from gansynth_server.render.queue import RenderQueue
from gansynth_server.spectral.spectrum import Spectrum


class Part:
    window, batch = (0, 8), 1


class Next:
    window, batch = (8, 16), 1


def ticket(number, *owners, asked=0.0, begun=True):
    waits = (lambda spectrum: None) if begun else None
    jobs = [Job("net", np.float32([number]), 0, print, print, waits, owner=o) for o in owners]
    return RenderTask(("net", bytes([number]), 0), np.float32([number]), (Part,), asked, None, jobs)


def order(queue):
    numbers = []
    while queue.top() is not None:
        (taken,) = queue.take()
        queue.close(taken)
        numbers.append(int(taken.z[0]))
    return numbers


def test_renders_take_turns_between_clients_and_keep_each_ones_order():
    queue = RenderQueue()
    for n in range(6):
        queue.open(ticket(n, "a", asked=-n))  # the later, the sooner due
    for n in range(10, 12):
        queue.open(ticket(n, "b", asked=n))
    queue.open(ticket(20, "c"))
    assert order(queue) == [5, 10, 20, 4, 11, 3, 2, 1, 0]


def test_heads_of_new_notes_come_before_the_turns_of_others():
    queue = RenderQueue()
    queue.open(ticket(1, "a", begun=False))
    queue.open(ticket(2, "b", begun=False))
    queue.open(ticket(3, "a"))
    queue.open(ticket(4))  # a wish of nobody
    assert order(queue) == [3, 1, 2, 4]


def test_a_note_of_two_clients_comes_with_the_first_of_them_and_once():
    queue = RenderQueue()
    for n in range(4):
        queue.open(ticket(n, "a"))
    queue.open(ticket(9, "a", "b", asked=5.0))
    assert order(queue) == [0, 9, 1, 2, 3]


def test_a_ticket_that_was_closed_or_pushed_again_counts_once():
    queue = RenderQueue()
    first, second = ticket(1, "a"), ticket(2, "a")
    queue.open(first)
    queue.open(second)
    queue.push(first)
    queue.close(second)
    assert order(queue) == [1]


def test_rests_that_nobody_wants_do_not_pile_up_behind_new_heads():
    queue = RenderQueue()
    wanted = {1: False, 2: True, 3: False}
    for n in wanted:
        made = ticket(n, n)
        made.jobs = [replace(job, wanted=lambda n=n: wanted[n]) for job in made.jobs]
        made.spectrum = Spectrum.begin()
        made.spectrum.ready = 8
        made.slices = (Part, Next)
        queue.open(made)
    queue.open(ticket(9, "new"))
    assert [int(found.z[0]) for found in queue.stale()] == [1, 3]
    assert not queue.stale()
    assert order(queue) == [9, 2]


def test_wishes_that_were_taken_back_do_not_pile_up():
    queue = RenderQueue()
    queue.open(ticket(0, "a"))  # is never done
    for n in range(1, 201):
        wish = ticket(n)
        queue.open(wish)
        queue.close(wish)
    assert sum(len(heap) for rank in queue._ranks.values() for heap in rank.values()) < 80
    assert order(queue) == [0]
