"""The one exception whose message is shown to users."""


class Failure(Exception):  # noqa: N818
    """Something that stops a command: one message that says what is wrong and what to do.

    message:   one line; it names the setting or option, its value and what to do.
    exit_code: 1 when an operation or a check failed, 2 when the input was wrong.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class BadInput(Failure):
    """An option, argument or setting that can't be right, found before anything was done."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=2)
