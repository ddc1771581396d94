"""What is said of a workbook that cannot be read."""


class UnreadableWorkbookError(Exception):
    """The workbook cannot be read; the message says why, and what to do, to whoever uploaded it."""


def damaged(what: str) -> UnreadableWorkbookError:
    """The error of a file that is not as it was written."""
    return UnreadableWorkbookError(f"The workbook is damaged: {what}. Open it in Excel, save it again and upload that.")
