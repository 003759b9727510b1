"""Finds orders that came in twice."""


def orders(count):
    number = 7
    for _ in range(count):
        number = number * 16807 % 2147483647
        yield number % (count * 2)


def repeated(numbers):
    seen = []
    add = seen.append
    twice = 0
    for number in numbers:
        if number in seen:
            twice += 1
        else:
            add(number)
    return twice


print("orders that came in twice:", repeated(orders(6000)))
