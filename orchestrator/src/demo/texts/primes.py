"""Prints the prime numbers below a limit."""

import sys


def primes(limit):
    is_prime = [True] * limit
    is_prime[:2] = [False] * min(2, limit)
    for number in range(2, limit):
        if is_prime[number]:
            yield number
            for multiple in range(number * number, limit, number):
                is_prime[multiple] = False


limit = int(sys.argv[1]) if len(sys.argv) > 1 else 100
found = list(primes(limit))
print(f"{len(found)} primes below {limit}:")
print(*found)
