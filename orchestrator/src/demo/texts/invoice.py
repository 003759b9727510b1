"""Adds up the lines of an invoice."""

LINES = """\
paper, 4.50
ink, 31.20
stapler, 12.90
coffee, 7.40
"""


def read_amounts(text):
    amounts = []
    for line in text.splitlines():
        item, amount = line.split(", ")
        amounts.append(amount)
    return amounts


amounts = read_amounts(LINES)
total = sum(amounts)
print(f"{len(amounts)} items, {total:.2f} in total, {total / len(amounts):.2f} on average")
