# Sourced by the other scripts: makes .venv and installs casreg into it. Safe to run again; quick when nothing changed.
#
#   make_environment EXTRAS    e.g. `make_environment dev`; sets $PYTHON to the interpreter of .venv
#
# Needs Python 3.11 or newer with venv and pip, and a package index that pip can reach. Says which one is missing.

say() { printf '%s\n' "$*" >&2; }

# Prints the first interpreter that is new enough and really runs: a shim of a version manager may exist and fail.
find_python() {
    local candidate
    for candidate in ${CASREG_PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer is needed, and none of python3.11 … python3.14, python3, python is one that runs."
    say "Install it from your system's packages or https://www.python.org, or name it: CASREG_PYTHON=/path/to/python $0"
    return 1
}

venv_python() {
    if [ -d .venv/Scripts ]; then printf '.venv/Scripts/python'; else printf '.venv/bin/python'; fi
}

make_venv() {
    local python home=.venv/casreg-checkout
    # An interrupted run, a removed Python or a moved checkout leaves a folder that works no more: it is made anew.
    if [ "$(cat "$home" 2>/dev/null)" = "$PWD" ] && "$(venv_python)" -m pip --version >/dev/null 2>&1; then
        return
    fi
    python=$(find_python) || return 1
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        say "$python has no venv or no pip of its own (ensurepip). On Debian and Ubuntu: apt install python3-venv"
        return 1
    fi
    say "making .venv with $("$python" --version)"
    if ! "$python" -m venv --clear .venv; then
        say "$python -m venv failed: see the lines above. Is the checkout's folder writable?"
        return 1
    fi
    printf '%s\n' "$PWD" >"$home"
}

make_environment() {
    local extras=$1 stamp wanted
    make_venv || return 1
    PYTHON=$(venv_python)
    # An install is remembered by what it was made from, and redone only when that changes.
    stamp=.venv/casreg-installed-$extras
    wanted=$("$PYTHON" -c 'import hashlib; print(hashlib.sha256(open("pyproject.toml", "rb").read()).hexdigest())')
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    say "installing casreg[$extras] into .venv"
    if ! "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"; then
        say "pip could not install what pyproject.toml asks for: see the lines above. It needs a package index"
        say "(PyPI, or the one that pip is configured for) and some hundred MB of disk. Running this again goes on."
        return 1
    fi
    printf '%s\n' "$wanted" >"$stamp"
}
