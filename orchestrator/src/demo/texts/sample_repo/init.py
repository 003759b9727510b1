"""A shelf of books."""

from .store import Book, Shelf

__all__ = ["Book", "Shelf"]
