"""Commands that measure speed and quality and print a table; the tests only see that they work."""
