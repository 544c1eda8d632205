"""Commands that measure speed and quality and print a table; the tests never run them."""
