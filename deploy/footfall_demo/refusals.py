"""Why the demo does not start, or does not go on: a sentence for people, never a traceback."""


class RefusedError(Exception):
    """The demo cannot do what was asked; the message says why and what to do. Exit status 2."""


class FailedError(Exception):
    """The demo started and something did not work; the message says what, with the end of the log. Exit status 1."""
