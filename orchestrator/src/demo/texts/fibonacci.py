"""Prints the first Fibonacci numbers."""

import sys

count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
a, b = 0, 1
for _ in range(count):
    print(a, end=" ")
    a, b = b, a + b
print()
