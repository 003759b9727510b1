#!/bin/sh
# Prints the prime numbers below a limit.
limit=${1:-100}
found=
count=0
number=2
while [ "$number" -lt "$limit" ]; do
    prime=yes
    for divisor in $found; do
        [ $((divisor * divisor)) -gt "$number" ] && break
        [ $((number % divisor)) -eq 0 ] && prime=no && break
    done
    if [ "$prime" = yes ]; then
        found="$found $number"
        count=$((count + 1))
    fi
    number=$((number + 1))
done
echo "$count primes below $limit:"
echo $found
