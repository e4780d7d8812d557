#!/bin/sh
# Native, once per call: the parameters are argument 1, the last line printed is the result.
name=$(printf '%s' "$1" | tr '\n' ' ' | sed -n 's/.*"name" *: *"\([^"\\]*\)".*/\1/p')
name=${name:-stranger}
echo "greeting $name" # a line of the activation's log
printf '{"greeting":"Hello, %s!"}\n' "$name"
