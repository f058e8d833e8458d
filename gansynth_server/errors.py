"""Errors that a user can act on."""


class UserError(Exception):
    """One sentence that says what is wrong and what to do about it.

    The command line prints it and exits with 1; the server answers it as
    ``/fail``.
    """
