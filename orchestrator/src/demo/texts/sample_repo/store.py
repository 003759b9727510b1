"""Keeps the books."""

from dataclasses import dataclass

from .search import matches


@dataclass
class Book:
    title: str
    author: str
    lent_to: str | None = None


class Shelf:
    def __init__(self):
        self.books = []

    def add(self, title, author):
        book = Book(title, author)
        self.books.append(book)
        return book

    def find(self, words):
        return [book for book in self.books if matches(book.title, words)]

    def lend(self, book, person):
        if book.lent_to:
            raise ValueError(f"{book.title} is with {book.lent_to}")
        book.lent_to = person
