"""When two keys are the same, in Python and in SQL: GP, SQL Server and CRM ignore case and trailing blanks."""

from __future__ import annotations


def fold(key: str) -> str:
    """A key in the form in which it is compared.

    Letter by letter and to lower case, as databases do it: Python's upper case of ß is SS.
    """
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in key.rstrip(" "))


def folded(expression: str) -> str:
    """`fold` in SQL, of an SQL expression."""
    return f"lower(rtrim({expression}))"
