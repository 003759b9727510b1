#!/bin/sh
# Adds up the lines of an invoice, in cents.
set -u

total=0
items=0
while read -r item amount; do
    total=$(($totl + $amount))
    items=$((items + 1))
done <<LINES
paper 450
ink 3120
stapler 1290
coffee 740
LINES
echo "$items items, $total cents in total"
