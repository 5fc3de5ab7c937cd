#!/bin/sh
# A mistyped option of the installer stops it before it looks at the system.
set -eu
status=0
text=$(bash "$1/scripts/install-deps.sh" --tool 2>&1) || status=$?
[ "$status" = 2 ]
case $text in
  usage:*) ;;
  *)
    echo "expected the usage line, got: $text"
    exit 1
    ;;
esac
