#!/bin/sh
# Prints the first Fibonacci numbers.
count=${1:-20}
a=0
b=1
while [ "$count" -gt 0 ]; do
    printf '%s ' "$a"
    next=$((a + b))
    a=$b
    b=$next
    count=$((count - 1))
done
echo
