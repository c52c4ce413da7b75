"""What happens when two act at once, when a part dies, when somebody presses the wrong button: real processes."""
