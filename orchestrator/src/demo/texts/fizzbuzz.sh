#!/bin/sh
# Counts, with Fizz for multiples of three and Buzz for multiples of five.
number=1
while [ "$number" -le 20 ]; do
    word=
    [ $((number % 3)) -eq 0 ] && word=Fizz
    [ $((number % 5)) -eq 0 ] && word="${word}Buzz"
    echo "${word:-$number}"
    number=$((number + 1))
done
