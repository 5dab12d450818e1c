"""The form of names that become parts of file names: that of a scenario, labels of methods."""

import re

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
NAMING_RULE = "begin with a letter or digit of ASCII, then use these, '_', '.' and '-'"
"""The rule in words, which ends an error message."""
