#!/usr/bin/env bash
# Brings the virtual environment up to date, and does nothing when it is:
#     workbench/install.sh <venv> <local|test>
# `local` is what `make hunt` needs, `test` what `make test` and `make check` need besides.
# Needs bash, coreutils and Python 3.11 or 3.12. An interrupted installation leaves its marker behind
# and is made anew by the next call; pip's cache spares most of the download.
set -euo pipefail

venv=$1
set_name=$2
marker=$venv/.installing
log=$venv/install.log
python=$venv/bin/python
build_pins=workbench/requirements-build.txt
supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'

say() { printf '%s\n' "$@" >&2; }

fail() {
    say "" "Tidehunt cannot be installed: $1" "Mend: $2"
    exit 1
}

pins() {
    case $1 in
        local) printf 'workbench/requirements.txt' ;;
        test) printf 'tests/requirements.txt' ;;
        *) fail "there is no set '$1'" "say local or test" ;;
    esac
}

# What an installation depends on: its place first.
wanted() {
    printf '%s\n' "$PWD/$venv"
    cat pyproject.toml "$build_pins" "$(pins "$1")"
}

up_to_date() {
    [[ ! -e $marker && -f $venv/.$set_name ]] || return 1
    [[ $(<"$venv/.$set_name") == "$(wanted "$set_name")" ]] && "$python" -c "$supported" 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3 python; do
        # A name on the PATH may be a shim with nothing behind it: only running it tells.
        if "$candidate" -c "$supported" >/dev/null 2>&1; then
            printf '%s' "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or 3.12 was found" \
        "install it (Debian, Ubuntu: apt-get install python3.11 python3.11-venv; macOS: brew install\
 python@3.11), or name one: make PYTHON=/path/to/python3.11 ..."
}

make_venv() {
    local base version
    base=$(find_python)
    version=$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$base" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "Python $version ($base) lacks venv and pip" \
            "install them (Debian, Ubuntu: apt-get install python$version-venv)"
    say "Python $version makes the virtual environment $venv"
    mkdir -p "$venv" && : >"$marker" ||
        fail "$venv cannot be written" "free disk space or permissions, or choose: make VENV=..."
    "$base" -m venv "$venv" >"$log" 2>&1 || pip_failed
}

# Scripts in a venv name its place: after a move they run no more.
moved() {
    local stamp place
    for stamp in "$venv/.local" "$venv/.test"; do
        [[ -f $stamp ]] && read -r place <"$stamp" && [[ $place != "$PWD/$venv" ]] && return 0
    done
    return 1
}

# Removes what an interrupted or foreign installation left, and nothing that is no venv.
remove_broken() {
    [[ -e $venv ]] || return 0
    [[ -e $marker || -f $venv/pyvenv.cfg ]] ||
        fail "$venv exists and is no virtual environment" "move it away, or choose: make VENV=..."
    if [[ ! -e $marker ]] && ! moved && "$python" -c "$supported" 2>/dev/null; then
        return 0
    fi
    say "$venv is incomplete, was moved or is of another Python: it is made anew"
    rm -rf -- "$venv"
}

pip() {
    PIP_USER=0 PIP_REQUIRE_HASHES='' "$python" -I -m pip install --no-input --progress-bar off \
        --disable-pip-version-check "$@" 2>&1 | show_progress
}

# One moving line in a terminal; elsewhere a line for what takes long. All of it is in the log.
show_progress() {
    local line collected=0
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        case $line in
            Collecting*) collected=$((collected + 1)) ;;
        esac
        case $line in
            Collecting* | *Downloading*MB\)* | *"Building wheel for"*started* | "Installing collected"*,*)
                show_line "$collected" "$line"
                ;;
        esac
    done
    [[ ! -t 2 ]] || printf '\r\033[K' >&2
}

show_line() {
    local text=${2#"${2%%[![:space:]]*}"}
    if [[ -t 2 ]]; then
        printf '\r\033[K  %3d  %.90s' "$1" "$text" >&2
    elif [[ $text != Collecting* ]]; then
        printf '  %.90s\n' "$text" >&2
    fi
}

interrupted() {
    say "" "Interrupted. Type the same command again: the installation is made anew."
    exit 130
}

pip_failed() {
    [[ ! -f $log ]] || tail -n 15 "$log" >&2
    fail "the lines above say why (all of it: $log)" \
        "most often the network, a proxy or a full disk; then type the same command again"
}

install() {
    : >"$marker"
    : >"$log"
    say "Installing what '$set_name' needs into $venv, pinned by hash (about 800 MB on disk, once)"
    pip --require-hashes -r "$build_pins" || pip_failed
    pip --require-hashes --no-build-isolation -r "$(pins "$set_name")" || pip_failed
    pip --no-deps --no-build-isolation --editable . || pip_failed
    wanted "$set_name" >"$venv/.$set_name"
    # The larger set contains the smaller one.
    [[ $set_name != test ]] || wanted local >"$venv/.local"
    rm -f -- "$marker"
    say "Installed in $SECONDS s"
}

trap interrupted INT TERM
up_to_date && exit 0
remove_broken
[[ -e $venv ]] || make_venv
install
