# Fetches from Debian without touching the system: apt with sources, lists and state of its own, below a directory that whoever
# sources this makes and removes. Debian's own keys sign what comes. Needs no root.
#
#   private=$(mktemp -d)
#   . tests/support/debian.sh
#   debian_sources deb "bookworm trixie"        # or deb-src; then the lists are read
#   debian_apt download restic/trixie

# The mirror that this machine uses for Debian, or Debian's own name where it uses none (a derivative, say).
debian_mirror() {
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
        sed -n 's/^[[:space:]]*\(URIs:\|deb\([[:space:]]*\[[^]]*\]\)\{0,1\}\)[[:space:]]*\([^[:space:]]*\/debian\/\{0,1\}\)\([[:space:]].*\)\{0,1\}$/\3/p' |
        sed -n 1p)
    echo "${mirror:-http://deb.debian.org/debian}"
}

debian_keys=/usr/share/keyrings/debian-archive-keyring.gpg

debian_apt() { # apt-get's words
    # shellcheck disable=SC2154
    apt-get -q -o Dir::State="$private/state" -o Dir::State::status="$private/status" -o Dir::Cache="$private/cache" \
        -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$private/sources" -o Dir::Etc::preferences=/dev/null \
        -o Dir::Etc::preferencesparts=/dev/null -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        -o APT::Sandbox::User="$(id -un)" "$@" </dev/null
}

debian_sources() { # deb or deb-src, suites
    mkdir -p "$private/sources" "$private/state/lists/partial" "$private/cache/archives/partial"
    : >"$private/status"
    cat >"$private/sources/debian.sources" <<SOURCES
Types: $1
URIs: $(debian_mirror)
Suites: $2
Components: main
Architectures: $(dpkg --print-architecture)
Signed-By: $debian_keys
SOURCES
    debian_apt update
}
