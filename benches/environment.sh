# What the `run` scripts of the benches in Python share. They set $root, $here (the folder of the bench) and $venv first.

# The wheel for CUDA is some gigabytes, of no use without a card; where the CPU index cannot be reached it must do.
install_torch() {
    if ! nvidia-smi >/dev/null 2>&1; then
        "$venv/bin/pip" install --quiet --retries 1 --index-url https://download.pytorch.org/whl/cpu "$1" && return
    fi
    "$venv/bin/pip" install --quiet "$1"
}

# Installs $here/requirements.txt in $venv, one after the other: a peer that cannot be installed must not keep the others away.
install_requirements() {
    cmp -s "$here/requirements.txt" "$venv/installed.txt" && return
    python3 -m venv "$venv"
    complete=yes
    while read -r package; do
        echo "installing $package" >&2
        case "$package" in
        torch | torch==*) install_torch "$package" ;;
        *) "$venv/bin/pip" install --quiet "$package" ;;
        esac || complete=no
    done <"$here/requirements.txt"
    [ "$complete" = no ] || cp "$here/requirements.txt" "$venv/installed.txt"
}

# Builds partwise and sets $binary.
build_partwise() {
    cargo build --quiet --release --locked --bin partwise --manifest-path "$root/Cargo.toml"
    binary="${CARGO_TARGET_DIR:-$root/target}/release/partwise"
}

# Builds the wheel of the Python package, installs it in $venv and sets $wheel.
install_package() {
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}" \
        "$venv/bin/pip" wheel --quiet --no-deps --wheel-dir "$venv/wheels" "$root"
    wheel="$(ls -t "$venv"/wheels/partwise-*.whl | head -n 1)"
    "$venv/bin/pip" install --quiet --no-deps --force-reinstall "$wheel"
}
