#!/bin/sh
# One image, several processes: the first argument names which. `exec` makes it process 1, so signals reach it.
set -eu

command=${1:-}
case $command in
api) shift && exec python -m sherpa.api "$@" ;;
worker) shift && exec python -m sherpa.worker "$@" ;;
migrate | migrations | revert) exec python -m sherpa.db "$@" ;;
events) shift && exec python -m sherpa.events "$@" ;;
config) shift && exec python -m sherpa.config "$@" ;;
esac

echo "sherpa: there is no command '$command' in this image" >&2
echo "Usage: docker run IMAGE api | worker | migrate [--wait SECONDS] | migrations [--json] | revert [--steps N] | events COMMAND | config [--json]" >&2
exit 2
