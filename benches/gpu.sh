#!/usr/bin/env bash
# All that is measured on a machine with a GPU, in one go: what its adapters are, whether every kernel computes rightly there,
# how long steps and kernels take and how near to the adapter's roof they are, and PyTorch and Keras beside it where Python
# has them.
#
#     benches/gpu.sh GLOWWORM [FOLDER]      GLOWWORM is the program; FOLDER, measured-DATE by itself, gets the results
#
# SIZES="64 256", REPEATS=9, ROUNDS=5, TESTS="kernels layers network" and PYTHON=python3 may be set to others; TESTS= runs none.
set -uo pipefail
if [ $# -lt 1 ] || [ $# -gt 2 ] || ! [ -x "$1" ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
glowworm=$(realpath "$1")
folder=${2:-measured-$(date +%Y-%m-%d-%H%M)}
sizes=${SIZES:-64 256} repeats=${REPEATS:-9} rounds=${ROUNDS:-5} tests=${TESTS-kernels layers network} python=${PYTHON:-python3}
mkdir -p "$folder" || exit 1
folder=$(realpath "$folder")
cd "$(dirname "$0")/.." || exit 1
failed=()

# Runs the command, with what it prints in a file of the folder and its complaints on the terminal and in errors.txt.
keep() {
    local file=$1
    shift
    printf '%s: %s\n' "$file" "$*"
    "$@" 2> >(tee -a "$folder/errors.txt" >&2) > "$folder/$file" || failed+=("$file")
}

keep devices.json "$glowworm" devices --json
if [ -n "$tests" ] && command -v cargo > /dev/null; then
    # shellcheck disable=SC2086 # several words
    keep tests.txt cargo test --release $(printf -- '--test %s ' $tests)
fi
for size in $sizes; do
    keep "bench-$size.txt" "$glowworm" bench --image-size "$size" --repeats "$repeats"
    keep "bench-$size.json" "$glowworm" bench --image-size "$size" --repeats "$repeats" --json
done
if "$python" -c 'import torch' 2> /dev/null; then
    # shellcheck disable=SC2086 # several words
    keep steps.md "$python" benches/compare/steps.py "$glowworm" --image-size $sizes --rounds "$rounds" --steps "$repeats"
else
    echo "steps.md: left out, since $python has no torch (PYTHON= names another)"
fi

[ -s "$folder/errors.txt" ] || rm -f "$folder/errors.txt"
echo "The results lie in $folder"
if [ ${#failed[@]} -gt 0 ]; then
    echo "These failed, and errors.txt or they themselves say why: ${failed[*]}" >&2
    exit 1
fi
