"""One check per file, found by testbed.audit.base; testbed/docs/verdicts.md lists them all."""
