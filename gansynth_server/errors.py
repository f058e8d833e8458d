"""Errors that a user can act on."""


class UserError(Exception):
    """One sentence that says what is wrong and what to do about it.

    The command line prints it and exits with 1; the server answers it as
    ``/fail``.
    """


class RenderError(RuntimeError):
    """A render failed in the render process, which has told it to the log, or with that process."""
