"""Reading files that people bring: laws, items. Files in, values or named refusals out."""
