"""Checks of the numbers that a network is made from."""


def check_least(name: str, value: int, least: int) -> None:
    """Refuse a number that is too small.

    Raises:
        ValueError: if it is below the least.
    """
    if value < least:
        raise ValueError(f"{name} is {value}: choose at least {least}")


def check_share(name: str, value: float) -> None:
    """Refuse what is no share that can be left out.

    Raises:
        ValueError: if it is not in [0, 1).
    """
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}: choose one in [0, 1)")
