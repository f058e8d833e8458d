"""Where which test goes.

* ``<room>/test_<module>.py``: beside its module, for what needs no server and no real time. A
  command's own errors are in ``cli``. ``make check`` runs these.
* ``training/``: data, networks that learn, evaluation, whole searches; no server either.
* ``system/``: whole servers over real sockets. A test takes the fixtures ``server`` and ``peer``,
  which all share, and leaves that server silent: ``with Client(port)`` and ``with Puller(port)``
  do. It starts a ``ServerProcess`` of its own where it needs other flags, ends or stops it, or
  counts its clients, voices or lines.
* ``realtime/``: Pd, JACK, and whatever counts time; ``real_time`` marks tests that are taken again
  where a core stood still. Pd's tests share ``pd_server``.
* ``support/``: what tests share: one OSC client (``client``), one listener (``puller``), one
  starter of servers (``server``), networks, sounds, scores, Pd and JACK.
* ``test_api.py``, ``test_docs.py`` and ``test_house.py`` are about the package as a whole.

``make test`` runs all.
"""
