import unittest

from shelf import Shelf


class ShelfTest(unittest.TestCase):
    def setUp(self):
        self.shelf = Shelf()
        self.book = self.shelf.add("The Art of Computer Programming", "Knuth")

    def test_a_book_is_found_by_words_in_any_order_and_case(self):
        self.assertEqual(self.shelf.find("programming ART"), [self.book])

    def test_a_book_is_not_found_by_half_a_word(self):
        self.assertEqual(self.shelf.find("program"), [])

    def test_a_book_is_lent_once(self):
        self.shelf.lend(self.book, "Ada")
        with self.assertRaises(ValueError):
            self.shelf.lend(self.book, "Alan")


if __name__ == "__main__":
    unittest.main()
