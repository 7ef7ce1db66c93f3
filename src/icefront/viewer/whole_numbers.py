"""Whole numbers in addresses, also negative ones."""

from __future__ import annotations

from starlette.convertors import Convertor


class WholeNumber(Convertor[int]):
    """A number of at most twelve digits, with or without a minus sign."""

    regex = "-?[0-9]{1,12}"

    def convert(self, value: str) -> int:
        """Read one."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Write one."""
        return str(value)
