"""Python's own documentation: the text that is always at hand."""

from datamodules.continuous_text import ContinuousText


class PythonDocs(ContinuousText):
    """The topics that Python's `help` knows, about 465,000 characters of English and code; no download.

    They are part of the standard library (`pydoc_data.topics`), in the order of their names, each below its name. The
    text differs a little from one version of Python to the next.

    Args:
        **kwargs: See `ContinuousText`.
    """

    def read_text(self) -> str:
        """Joins the topics.

        Raises:
            ValueError: If this installation of Python has left them out.
        """
        try:
            from pydoc_data.topics import topics  # half a megabyte, which other data do without
        except ImportError as error:
            raise ValueError("this Python has no pydoc_data: install its documentation, or choose TextFile") from error
        return "\n".join(f"{name}\n{'=' * len(name)}\n\n{topics[name].strip()}\n" for name in sorted(topics))
