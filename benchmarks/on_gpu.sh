#!/usr/bin/env bash
# Does everything work on a GPU, and how fast? On a fresh machine with one GPU and no network, in ten minutes, one table.
#
#   benchmarks/on_gpu.sh --carry WHEELS      # before, where there is a network: get every package into a folder
#   benchmarks/on_gpu.sh [--wheels WHEELS] [--out FOLDER] [--device cpu] [--tiny]
#
# --wheels   folder of wheels to make an environment of (default: wheels beside this clone, if it is there); without one
#            the Python of --python is taken as it is
# --python   default: python3
# --out      environment, output of every part, and table.md (default: on_gpu beside this clone)
# --device   cuda (default) or cpu; --tiny: the smallest sizes, whose numbers mean nothing. Both together are a dry run.
#
# Both machines need the same system, processor and version of Python. A part that fails does not stop the others.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
python=python3 out=$root/../on_gpu wheels=$root/../wheels carry="" rest=()
started=$SECONDS
while [ $# -gt 0 ]; do
    case $1 in
        --carry | --wheels | --python | --out)
            [ $# -gt 1 ] || { echo "on_gpu: $1: expected a value" >&2; exit 2; }
            declare "${1#--}=$2"
            shift 2
            ;;
        --device) rest+=("$1" "${2-}"); shift $(($# > 1 ? 2 : 1)) ;;
        --tiny) rest+=("$1"); shift ;;
        -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit ;;
        *) echo "on_gpu: expected --carry, --wheels, --python, --out, --device or --tiny, found $1" >&2; exit 2 ;;
    esac
done

if [ -n "$carry" ]; then
    exec "$python" -m pip wheel --wheel-dir "$carry" "$root[fairseq]" "pytest>=7" "hypothesis>=6" "setuptools>=64"
fi

mkdir -p "$out" || exit 1
if [ -d "$wheels" ]; then
    echo "on_gpu: an environment of $wheels, in $out/venv"
    "$python" -m venv --clear "$out/venv" &&
        "$out/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps "$wheels"/*.whl ||
        { echo "on_gpu: no environment could be made of $wheels" >&2; exit 1; }
    python=$out/venv/bin/python
fi
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=1
exec "$python" -W ignore "$here/on_gpu.py" --out "$out" --spent $((SECONDS - started)) ${rest[@]+"${rest[@]}"}
