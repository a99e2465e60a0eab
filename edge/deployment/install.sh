#!/usr/bin/env bash
# Installs tilefix on a Jetson with JetPack 6 or 7: a virtual environment that sees JetPack's
# TensorRT, CUDA for Python of the release's own major version, the plugin, the engines, a check.
#
#     bash edge/deployment/install.sh [--prefix DIR] [--source WHAT] [--dry-run]
#
# Never run on a Jetson: --dry-run prints every step, and that is what the tests run.
set -euo pipefail

prefix="$HOME/tilefix"
source_of_tilefix=""
dry_run=""
root="${TILEFIX_SYSTEM_ROOT:-}" # of another system than the running one: for tests

usage() {
    cat <<'TEXT'
usage: install.sh [--prefix DIR] [--source WHAT] [--dry-run]

  --prefix DIR   the virtual environment, new or existing; ~/tilefix when not given
  --source WHAT  what pip installs: a checkout, or a wheel that `pip wheel --no-deps .` made
                 in one; this checkout when the script lies in one
  --dry-run      print the steps, change nothing
TEXT
}

fail() { # what, expected, found, do: as every error of tilefix
    printf 'install.sh: %s\n  expected: %s\n  found:    %s\n  do:       %s\n' "$@" >&2
    exit 1
}

run() {
    printf '+ %s\n' "$*"
    [ -n "$dry_run" ] || "$@"
}

while [ $# -gt 0 ]; do
    case "$1" in
        --prefix | --source)
            if [ -z "${2:-}" ]; then
                usage >&2
                exit 2
            fi
            if [ "$1" = --prefix ]; then prefix="$2"; else source_of_tilefix="$2"; fi
            shift 2
            ;;
        --dry-run)
            dry_run=yes
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
done

# --- what this machine is ------------------------------------------------------------------------

release_file="$root/etc/nv_tegra_release"
packages="$root/var/lib/dpkg/status"
major=""
if [ -r "$release_file" ]; then
    major=$(sed -n 's/^# R\([0-9][0-9]*\) (release).*/\1/p' "$release_file" | head -n 1)
fi
if [ -z "$major" ] && [ -r "$packages" ]; then
    major=$(sed -n '/^Package: nvidia-l4t-core$/,/^$/s/^Version: \([0-9][0-9]*\)\..*/\1/p' \
        "$packages" | head -n 1)
fi
case "$major" in
    36 | 37) jetpack=6 cuda=12 python=python3.10 archs=87 ;; # CUDA 12 knows no sm_110
    3[89] | 4[0-9]) jetpack=7 cuda=13 python=python3.12 archs=87,110 ;;
    "")
        fail "this is no Jetson" "a release in $release_file, or nvidia-l4t-core installed" \
            "neither" "on other machines: pip install ., in a checkout of tilefix"
        ;;
    *)
        fail "this release is too old" "JetPack 6 (R36) or 7 (R38 and newer)" "R$major" \
            "flash JetPack 6 or 7: older TensorRT lacks the plugin interface that tilefix uses"
        ;;
esac
model=$(tr -d '\0' <"$root/proc/device-tree/model" 2>/dev/null || true)
case "$model" in
    *Thor*) arch=110 ;;
    *Orin*) arch=87 ;;
    *) arch=$archs ;;
esac
echo "JetPack $jetpack (R$major), ${model:-unknown model}: CUDA $cuda, $python, sm_$arch"

# --- what JetPack has to bring --------------------------------------------------------------------

interpreter="$root/usr/bin/$python"
if [ ! -e "$interpreter" ]; then
    fail "the system's own Python is not there" "$interpreter: JetPack's TensorRT is for it alone" \
        "no such file" "sudo apt install $python $python-venv"
fi
# A package of Python 3.10 lies in python3.10 or python3: Ubuntu uses both.
tensorrt=""
for folder in "$root/usr/lib/$python/dist-packages" "$root/usr/lib/python3/dist-packages"; do
    [ -d "$folder/tensorrt" ] && tensorrt="$folder/tensorrt"
done
if [ -z "$tensorrt" ]; then
    fail "JetPack's TensorRT is not installed for $python" \
        "the package tensorrt in /usr/lib/$python/dist-packages" "none" \
        "sudo apt install nvidia-jetpack"
fi
if [ ! -e "$root/usr/local/cuda/bin/nvcc" ]; then
    fail "the plugin cannot be compiled: there is no nvcc" "$root/usr/local/cuda/bin/nvcc" \
        "no such file" "sudo apt install nvidia-jetpack"
fi

# --- the steps -----------------------------------------------------------------------------------

if [ -z "$source_of_tilefix" ]; then
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    checkout=$(dirname "$(dirname "$here")")
    if [ ! -e "$checkout/pyproject.toml" ]; then
        fail "it is not known what to install" "a checkout of tilefix around this script, or --source" \
            "no pyproject.toml in $checkout, and no package index has tilefix" \
            "give --source a checkout, or a wheel that pip wheel --no-deps . made in one"
    fi
    source_of_tilefix="$checkout"
fi

run "/usr/bin/$python" -m venv --system-site-packages "$prefix"
run "$prefix/bin/python" -m pip install --upgrade pip
# numpy of the environment breaks the system's cv2; tilefix brings its own, which hides that one.
run "$prefix/bin/python" -m pip install "$source_of_tilefix""[jetson,export]" "cuda-python==$cuda.*"
run "$prefix/bin/tilefix" plugin build --arch "$arch" --out "$prefix/plugin"
run "$prefix/bin/tilefix" build --precision fp16 --plugin "$prefix/plugin"
run "$prefix/bin/tilefix" verify --executors tensorrt --precision fp16
run "$prefix/bin/tilefix" doctor
echo "tilefix is in $prefix/bin"
