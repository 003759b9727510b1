#!/bin/sh
# Cleans a table without quoted commas: trims cells, drops empty and repeated rows.
# Usage: clean.sh INPUT OUTPUT
awk -v target="$2" '
NR == 1 { print > target; next }
{
    row = $0
    gsub(/[ \t]*,[ \t]*/, ",", row)
    gsub(/^[ \t]+|[ \t\r]+$/, "", row)
    if (row != $0) trimmed++
    if (row ~ /^,*$/) { empty++; next }
    if (seen[row]++) { repeated++; next }
    print row > target
    kept++
}
END {
    print "rows trimmed: " trimmed + 0
    print "empty rows dropped: " empty + 0
    print "repeated rows dropped: " repeated + 0
    print "rows before: " NR - 1
    print "rows after: " kept + 0
}' "$1"
