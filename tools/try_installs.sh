#!/usr/bin/env bash
# Install the wheel into a fresh environment of each Python, use it, and print the README's table of what works.
#
#   tools/try_installs.sh                                  # python3.11, 3.12 and 3.13, those that are there
#   PYTHONS="python3.13" TORCH=torch==2.13.0 tools/try_installs.sh
#
# A Python for which the extra [fairseq] has no wheel gets $FAIRSEQ_SOURCE, built from its source distribution (minutes;
# it needs a C++ compiler). TORCH is what pip is asked for first (a CPU build if pip's configuration offers one by that name). Environments are
# made below $WORK (default: a new folder, removed at the end) and take 2 to 7 GB each. Nothing is run twice, and one
# environment's failure does not stop the others.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
PYTHONS=${PYTHONS:-"python3.11 python3.12 python3.13"}
TORCH=${TORCH:-torch}
FAIRSEQ_SOURCE=${FAIRSEQ_SOURCE-fairseq-fixed}
if [ -z "${WORK:-}" ]; then
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
fi
mkdir -p "$WORK"
log=$WORK/log.txt
table=$WORK/table.md

say() { printf '%s\n' "$*" >&2; }

# The wheel is made of a copy without what earlier builds have left.
source=$WORK/source
rm -rf "$source" && mkdir -p "$source"
git -C "$root" archive HEAD | tar -x -C "$source" || { say "expected a git clone"; exit 1; }
first=$(for python in $PYTHONS; do command -v "$python" && break; done | head -n 1)
[ -n "$first" ] || { say "none of $PYTHONS is here"; exit 1; }
"$first" -m pip wheel --quiet --no-deps --wheel-dir "$WORK/wheel" "$source" >>"$log" 2>&1 || { say "no wheel: $log"; exit 1; }
wheel=$(ls "$WORK"/wheel/*.whl)

versions() {  # cells of the table: what was resolved
    "$1" - <<'PY'
from importlib.metadata import PackageNotFoundError, version

for name in ("torch", "torchaudio", "numpy", "librosa", "omegaconf", "scikit-learn"):
    try:
        print(f" {version(name)} |", end="")
    except PackageNotFoundError:
        print(" - |", end="")
PY
}

use() {  # the offline road with the wheel alone, from an empty folder
    local bin=$1 there=$2
    rm -rf "$there" && mkdir -p "$there" && cd "$there" || return 1
    "$bin/ptsel" example-data speech &&
        "$bin/ptsel" convert speech/audio data --valid-percent 10 &&
        "$bin/ptsel" classes data --from-folders 1 --out classes.tsv &&
        "$bin/ptsel" check data --classes classes.tsv &&
        "$bin/ptsel" extract data --labels loudness zcr f0 --store store &&
        "$bin/ptsel" score data --store store --classes classes.tsv --permutations 200 --out ci &&
        "$bin/ptsel" recipe pretraining/tiny --out tiny.yaml &&
        "$bin/ptsel" select ci --out weights.yaml --config tiny.yaml &&
        "$bin/ptsel" report ci --weights weights.yaml --out report.html
}

train() {  # five updates and the export
    local bin=$1 there=$2
    cd "$there" &&
        OMP_NUM_THREADS=1 "$bin/fairseq-hydra-train" --config-dir "$there" --config-name tiny task.data="$there/data" \
            task.store="$there/store" common.user_dir="$("$bin/ptsel" user-dir)" checkpoint.save_dir="$there/run" \
            hydra.run.dir="$there/run" optimization.max_update=5 &&
        "$bin/ptsel" export run/checkpoint_last.pt --out stock.pt
}

mend_torchaudio() {  # its CUDA extension does not load beside a CPU build of torch; nothing here needs it
    "$1" -c "import torchaudio" 2>>"$log" && return
    local lib
    lib=$("$1" -c "import importlib.util as u; print(u.find_spec('torchaudio').submodule_search_locations[0])")/lib
    [ -d "$lib" ] && mv "$lib" "$lib.aside"
}

fairseq() {  # installs one and prints which; the extra's wheel if there is one for this Python
    local pip=$1
    if "$pip" install --quiet "$wheel[fairseq]" >>"$log" 2>&1; then
        echo ve-fairseq
    elif [ -n "$FAIRSEQ_SOURCE" ] &&
        "$pip" install --quiet "$FAIRSEQ_SOURCE" editdistance tensorboardX >>"$log" 2>&1; then
        echo "$FAIRSEQ_SOURCE"
    else
        return 1
    fi
}

{
    echo "| Python | installs | offline | training | torch | torchaudio | numpy | librosa | omegaconf | scikit-learn |"
    echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
} >"$table"
for python in $PYTHONS; do
    if ! command -v "$python" >/dev/null || ! "$python" --version >/dev/null 2>&1; then
        say "$python: not here"
        continue
    fi
    name=$("$python" -c "import platform; print(platform.python_version())")
    env=$WORK/env-$name there=$WORK/try-$name
    say "$name: installing"
    installed=fails offline=- training=- resolved=" - | - | - | - | - | - |"
    if "$python" -m venv "$env" >>"$log" 2>&1 && "$env/bin/pip" install --quiet "$TORCH" >>"$log" 2>&1 &&
        "$env/bin/pip" install --quiet "$wheel" >>"$log" 2>&1; then
        installed=yes
        mend_torchaudio "$env/bin/python"
        resolved=$(versions "$env/bin/python")
        say "$name: trying the offline commands"
        if (use "$env/bin" "$there") >>"$log" 2>&1; then offline=yes; else offline=fails; fi
        say "$name: installing fairseq"
        if found=$(fairseq "$env/bin/pip"); then
            say "$name: training with $found"
            if (train "$env/bin" "$there") >>"$log" 2>&1; then training="$found"; else training="$found fails"; fi
        else
            training="no fairseq"
        fi
    fi
    echo "| $name | $installed | $offline | $training |$resolved" >>"$table"
done
cat "$table"
say "the commands' output is in $log"
! grep -q "fails" "$table"
