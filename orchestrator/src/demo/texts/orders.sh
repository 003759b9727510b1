#!/bin/sh
# Adds up a few hundred orders.
total=0
order=1
while [ "$order" -le 400 ]; do
    total=$(expr $total + $order)
    order=$((order + 1))
done
echo "total: $total"
