"""The command line: ``storm demo | track | convert | doctor | config``."""
