"""The Django application of the case in viewflow."""
