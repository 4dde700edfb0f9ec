"""Numbers that several parts share."""

INT32_MAX = (1 << 31) - 1
