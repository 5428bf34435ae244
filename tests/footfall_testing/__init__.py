"""What the tests of several parts share: waiting for a condition, names that no other test uses."""
