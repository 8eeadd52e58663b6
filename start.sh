#!/bin/sh
# The stack, with one command.
cd "$(dirname "$0")" && exec make --no-print-directory up
