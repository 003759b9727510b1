"""Finds words in titles."""


def matches(title, words):
    """Whether every word stands in the title, whatever its case."""
    title = title.lower().split()
    return all(word in title for word in words.lower().split())
