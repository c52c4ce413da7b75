"""The only code that queries."""
