#!/bin/sh
# Puts footfall on a machine with systemd, without containers: Debian 12, Raspberry Pi OS (bookworm), 64 bits. To do it
# again changes nothing; settings, secrets and what was counted are never touched.
set -eu
umask 022
unset PYTHONPATH PYTHONHOME

usage() {
    cat <<'END'
usage: install.sh edge WHEEL|VERSION [OPTION...]     a counting box
       install.sh server WHEEL|VERSION [OPTION...]   footfall-ingest and footfall-api
       install.sh rollback                           back to the version before
       install.sh status                             what is installed, what runs, what is missing
       install.sh remove                             take the programs away; settings, secrets and counts stay

WHEEL is a file footfall-VERSION-py3-none-any.whl. If SHA256SUMS lies beside it, it must name it. VERSION is one that is
installed already, or whose wheel lies here or beside this script.

  --lock FILE      versions and hashes of what footfall needs; without it requirements/edge.txt (or server.txt) of this
                   tree, or edge.txt beside the wheel. Nothing is installed whose hash is not in it
  --wheels FOLDER  take the packages from this folder; no network is asked
  --certificate    edge: log in at the broker with a client certificate, not with a password
  --prepare        make the environment, and change nothing that runs
  --python PROGRAM the Python to use, 3.11 or newer (python3)
  --root FOLDER    stands for /: nothing is started and no running system is asked
END
}

say() { echo "footfall: $1"; }

fail() {
    echo "footfall: $1" >&2
    exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
root="" lock="" wheels="" python=python3 certificate="" prepare="" command="" what=""

while [ $# -gt 0 ]; do
    case $1 in
    --lock | --wheels | --python | --root)
        case ${2:-} in
        "" | -*) fail "$1 needs a value; install.sh --help shows how" ;;
        esac
        case $1 in
        --lock) lock=$2 ;;
        --wheels) wheels=$(cd "$2" && pwd) || fail "there is no folder $2" ;;
        --python) python=$2 ;;
        --root) mkdir -p "$2" && root=$(cd "$2" && pwd) ;;
        esac
        shift
        ;;
    --certificate) certificate=yes ;;
    --prepare) prepare=yes ;;
    -h | --help)
        usage
        exit 0
        ;;
    -*) fail "there is no option $1; install.sh --help shows those there are" ;;
    *)
        if [ -z "$command" ]; then
            command=$1
        elif [ -z "$what" ]; then
            what=$1
        else
            fail "$1 is one word too many; install.sh --help shows how"
        fi
        ;;
    esac
    shift
done

opt=$root/opt/footfall
etc=$root/etc/footfall
lib=$root/usr/local/lib/footfall
units=$root/usr/local/lib/systemd/system
system=$root/etc/systemd
bin=$root/usr/local/bin

# Whether a systemd runs that is to be told.
live() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

# The number of group $1, in the machine or in the folder that stands for it; nothing if there is none.
group_of() { awk -F: -v name="$1" '$1 == name { print $3 }' "$root/etc/group" 2>/dev/null || true; }

# The number of account $1, the same way.
user_of() { awk -F: -v name="$1" '$1 == name { print $3 }' "$root/etc/passwd" 2>/dev/null || true; }

version_of() { basename "$(readlink "$opt/$1" 2>/dev/null || true)"; }

# The roles that are installed on this machine.
roles() { cat "$opt/roles" 2>/dev/null || true; }

units_of() {
    case $1 in
    edge) echo footfall-edge.service footfall-bridge.service footfall-firstboot.service ;;
    server)
        echo footfall-ingest.service footfall-api.service footfall-dump.service footfall-dump.timer \
            footfall-backup.service footfall-backup.timer footfall-publish.service footfall-push@.service
        ;;
    esac
}

# What a machine of this role has switched on; the rest is somebody's decision.
enabled_of() {
    case $1 in
    edge) echo footfall-edge.service footfall-firstboot.service ;;
    server) echo footfall-ingest.service footfall-api.service footfall-dump.timer footfall-backup.timer ;;
    esac
}

settings_of() {
    case $1 in
    edge) echo edge ;;
    server) echo ingest api ;;
    esac
}

users_of() {
    case $1 in
    edge) echo footfall-edge ;;
    server) echo footfall-ingest footfall-api ;;
    esac
}

programs_of() { users_of "$1"; }

# What unit $1 needs before it can start and has not got, one path a line.
missing_for() {
    instance=${1#*@}
    instance=${instance%.service}
    for unit_file in "$units/$(echo "$1" | sed 's/@.*/@.service/')" "$system/system/$1.d/"*.conf; do
        [ -f "$unit_file" ] || continue
        # An empty assignment takes back those before it.
        sed -n "s/%i/$instance/; s/^AssertPathExists=//p" "$unit_file" | sed 's/^$/-/'
    done | awk '$0 == "-" { n = 0; next } { path[n++] = $0 } END { for (i = 0; i < n; i++) print path[i] }' |
        while read -r needed; do
            [ -e "$root$needed" ] || echo "$needed"
        done
}

make_users() {
    mkdir -p "$root/etc"
    for role in "$@"; do
        systemd-sysusers ${root:+"--root=$root"} - <"$opt/$version/deploy/systemd/footfall-$role.sysusers"
    done
}

# The wheel that is meant by $what, or nothing where it is an installed version.
find_wheel() {
    case $what in
    *.whl)
        [ -f "$what" ] || fail "there is no file $what"
        echo "$what"
        ;;
    *)
        for place in . "$here" "$here/../dist" "$here/.."; do
            if [ -f "$place/footfall-$what-py3-none-any.whl" ]; then
                echo "$place/footfall-$what-py3-none-any.whl"
                return
            fi
        done
        [ -f "$opt/$what/footfall-$command.sums" ] ||
            fail "$what is not installed for $command, and no footfall-$what-py3-none-any.whl lies here or beside install.sh"
        ;;
    esac
}

check_sum() {
    sums=$(dirname "$1")/SHA256SUMS
    name=$(basename "$1")
    if [ -f "$sums" ]; then
        line=$(awk -v name="$name" '$2 == name || $2 == "*" name' "$sums")
        [ -n "$line" ] || fail "$sums does not name $name"
        (cd "$(dirname "$1")" && echo "$line" | sha256sum --check --status) ||
            fail "$name is not what SHA256SUMS says; fetch both again"
    else
        say "no SHA256SUMS beside $name: it is taken as it is"
    fi
}

find_lock() {
    if [ -n "$lock" ]; then
        [ -f "$lock" ] || fail "there is no file $lock"
        echo "$lock"
        return
    fi
    for place in "$(dirname "$1")/$command.txt" "$(dirname "$1")/requirements/$command.txt" \
        "$here/../requirements/$command.txt"; do
        if [ -f "$place" ]; then
            echo "$place"
            return
        fi
    done
    fail "no $command.txt lies beside the wheel or in requirements/; name the lock file with --lock"
}

# The environment $opt/$version, with the programs of this role. What stands in its .sums is complete.
make_environment() {
    folder=$opt/$version
    [ -d "$here/systemd" ] || fail "run the install.sh that came with $version: its units and examples lie beside it"
    sums_now=$(sha256sum <"$wheel"; sha256sum <"$lock_file")
    if [ -f "$folder/footfall-$command.sums" ]; then
        if "$folder/bin/footfall-$program" --version >/dev/null 2>&1; then
            [ "$(cat "$folder/footfall-$command.sums")" = "$sums_now" ] ||
                fail "$version is installed from another wheel or lock file; give the new one a new version, or remove $folder"
            say "$version is installed already"
            return
        fi
        say "$version does not run any more, perhaps the machine has a newer Python: it is made anew"
        rm -rf "$folder"
    fi
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail "Python 3.11 or newer is needed; name one with --python"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "this Python cannot make environments: apt install python3-venv"
    say "making the environment /opt/footfall/$version"
    if [ -z "$(ls "$folder"/*.sums 2>/dev/null)" ]; then
        # There is nothing, or what an attempt left that was cut short.
        rm -rf "$folder"
        trap 'rm -rf "$folder"' EXIT
        mkdir -p "$opt"
        "$python" -m venv "$folder"
    fi
    set -- --quiet --disable-pip-version-check --no-input
    [ -z "$wheels" ] || set -- "$@" --no-index --find-links "$wheels"
    # Wheels only: nothing that was fetched is run to install it.
    "$folder/bin/python" -m pip install "$@" --require-hashes --only-binary :all: --requirement "$lock_file"
    "$folder/bin/python" -m pip install "$@" --no-index --no-deps "$wheel"
    "$folder/bin/python" -m pip check --disable-pip-version-check >/dev/null ||
        fail "$lock_file does not fit $wheel: $("$folder/bin/python" -m pip check --disable-pip-version-check | head -n 1)"
    "$folder/bin/footfall-$program" --version >/dev/null
    # What belongs to this version beside its programs; rolling back takes it up again.
    rm -rf "$folder/deploy"
    mkdir "$folder/deploy"
    cp -R "$here/systemd" "$here/udev" "$here/install.sh" "$here/"*.toml.example "$folder/deploy/"
    chmod -R go-w "$folder"
    echo "$sums_now" >"$folder/footfall-$command.sums"
    trap - EXIT
}

put_settings() {
    mkdir -p "$etc" "$etc/secrets"
    chmod 755 "$etc"
    chmod 700 "$etc/secrets"
    for name in $(settings_of "$command"); do
        [ ! -e "$etc/$name.toml" ] || continue
        (umask 027 && cp "$opt/$version/deploy/$name.toml.example" "$etc/$name.toml")
        group=$(group_of "footfall-$name")
        [ -z "$group" ] || chgrp "$group" "$etc/$name.toml"
        say "wrote the example to /etc/footfall/$name.toml: edit it"
    done
    [ "$command" = server ] || return 0
    if [ ! -e "$etc/secrets/api-operator-token" ]; then
        token=$(chance)
        hashed "$token" | secret api-operator-token
        say "the operator's token, which opens /betrieb, shown this once; put it into your password manager: $token"
    fi
    account migrate-dsn footfall_owner
    account ingest-dsn footfall_ingest_login
    account api-dsn footfall_api_login
    account backup-dsn footfall_backup_login
    group=$(group_of footfall-textfile)
    mkdir -p "$root/var/lib/footfall-textfile" "$root/var/backups/footfall"
    chmod 2775 "$root/var/lib/footfall-textfile"
    [ -z "$group" ] || chgrp "$group" "$root/var/lib/footfall-textfile"
    chmod 700 "$root/var/backups/footfall"
    user=$(user_of footfall-ingest)
    [ -z "$user" ] || chown "$user" "$root/var/backups/footfall"
    # Where Debian's node_exporter looks, if it is here.
    if [ -d "$root/var/lib/prometheus/node-exporter" ]; then
        for run in backup dump; do
            ln -sfn "/var/lib/footfall-textfile/footfall_$run.prom" \
                "$root/var/lib/prometheus/node-exporter/footfall_$run.prom"
        done
    fi
}

# 192 bits of chance, in hexadecimal.
chance() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# The line by which the API knows the token $1, without being able to tell it; docs/hardening.md.
hashed() { echo "sha256:$(printf %s "$1" | sha256sum | cut -d ' ' -f 1)"; }

# Standard input becomes the secret $1.
secret() { (umask 077 && cat >"$etc/secrets/$1.new" && mv "$etc/secrets/$1.new" "$etc/secrets/$1"); }

# A connection URL $1 with a password made up for the account $2 of a database on this machine, unless there is one. The
# password alone lies in secrets/database, where deploy/database/accounts.sh takes it from.
account() {
    [ ! -e "$etc/secrets/$1" ] || return 0
    (umask 077 && mkdir -p "$etc/secrets/database")
    [ -e "$etc/secrets/database/$2" ] || chance | secret "database/$2"
    printf 'postgresql://%s:%s@127.0.0.1:5432/footfall' "$2" "$(cat "$etc/secrets/database/$2")" | secret "$1"
    say "made up a password for the account $2 of the database, in /etc/footfall/secrets/$1"
}

# Units, rules and wrappers as version $1 has them, for the roles of this machine.
put_system() {
    from=$opt/$1/deploy
    mkdir -p "$units" "$lib" "$bin" "$system/system" "$system/journald.conf.d" "$root/etc/udev/rules.d"
    for role in $(roles); do
        for unit in $(units_of "$role"); do
            [ ! -f "$from/systemd/$unit" ] || install -m 644 "$from/systemd/$unit" "$units/$unit"
        done
        for program in $(programs_of "$role"); do
            install -m 755 "$from/systemd/bin/$program" "$bin/$program"
        done
        if [ "$role" = edge ]; then
            install -m 755 "$from/systemd/firstboot" "$lib/firstboot"
            [ -e "$root/etc/udev/rules.d/99-footfall.rules" ] ||
                install -m 644 "$from/udev/99-footfall.rules" "$root/etc/udev/rules.d/99-footfall.rules"
            if [ ! -e "$system/journald.conf.d/50-footfall.conf" ]; then
                install -m 644 "$from/systemd/footfall-journald.conf" "$system/journald.conf.d/50-footfall.conf"
                ! live || systemctl restart systemd-journald.service || true
            fi
            if live && command -v udevadm >/dev/null; then
                udevadm control --reload || true
                udevadm trigger --subsystem-match=tty --subsystem-match=usb || true
            fi
        fi
    done
    if [ -n "$certificate" ]; then
        mkdir -p "$system/system/footfall-edge.service.d"
        install -m 644 "$from/systemd/footfall-edge-certificate.conf" \
            "$system/system/footfall-edge.service.d/certificate.conf"
    fi
    install -m 755 "$from/install.sh" "$lib/install.sh"
    ln -sfn ../lib/footfall/install.sh "$bin/footfall-install"
    ! live || systemctl daemon-reload
    for role in $(roles); do
        for unit in $(enabled_of "$role"); do
            [ -f "$units/$unit" ] || continue
            systemctl ${root:+"--root=$root"} --quiet enable "$unit"
        done
    done
}

# Let /opt/footfall/current lead to version $1; one step, so that there is always a version.
link() {
    ln -sfn "$1" "$opt/$2.new"
    mv -T "$opt/$2.new" "$opt/$2"
}

# The units that are to run here: those of the roles, and what somebody has started beside them; one a line.
all_units() {
    for role in $(roles); do
        enabled_of "$role" | tr ' ' '\n'
    done
    ! live || systemctl list-units --plain --no-legend --state=active,activating,failed \
        'footfall-publish.service' 'footfall-push@*.service' 'footfall-bridge.service' | awk '{ print $1 }'
}

# Start again what runs, and start what may run for the first time. 1 if something did not come up.
restart() {
    came_up=0
    for unit in $(all_units); do
        [ -f "$units/$(echo "$unit" | sed 's/@.*/@.service/')" ] || continue
        case $unit in
        footfall-firstboot.service) continue ;;
        esac
        wanting=$(missing_for "$unit" | tr '\n' ' ')
        if [ -n "$wanting" ]; then
            say "$unit waits for: $wanting"
        elif live; then
            if systemctl restart "$unit"; then say "$unit runs"; else came_up=1; fi
        fi
    done
    return "$came_up"
}

# Version $1 has the packages of every role of this machine, for one link serves them all.
check_roles() {
    for role in $(roles); do
        [ -f "$opt/$1/footfall-$role.sums" ] ||
            fail "this machine is $role too, and $1 has not the packages for it: install.sh $role WHEEL --prepare first"
    done
}

# Make version $1 the one that runs; if it does not come up, the one before.
switch() {
    was=$(version_of current)
    older=$(version_of previous)
    if [ -n "$was" ] && [ "$was" != "$1" ]; then
        link "$was" previous
    fi
    link "$1" current
    put_system "$1"
    if restart; then
        say "$1 is installed"
        return
    fi
    if [ -z "$was" ] || [ "$was" = "$1" ]; then
        fail "$1 is installed, and not everything runs: journalctl -u 'footfall-*' -n 50 says why"
    fi
    link "$was" current
    if [ -n "$older" ]; then link "$older" previous; else rm -f "$opt/previous"; fi
    put_system "$was"
    restart || true
    fail "$1 did not come up, $was is back: journalctl -u 'footfall-*' -n 100 says why"
}

# Keep what runs and the version before it.
prune() {
    for folder in "$opt"/*/; do
        found=$(basename "$folder")
        case $found in
        current | previous | "$(version_of current)" | "$(version_of previous)") continue ;;
        esac
        if [ -L "$opt/$found" ] || [ ! -d "$opt/$found/deploy" ]; then continue; fi
        rm -rf "${opt:?}/$found"
        say "took away $found"
    done
}

install_role() {
    [ -n "$what" ] || fail "name the wheel or the version; install.sh --help shows how"
    [ -z "$certificate" ] || [ "$command" = edge ] || fail "--certificate is for edge"
    program=$(programs_of "$command" | awk '{ print $1 }')
    program=${program#footfall-}
    wheel=$(find_wheel)
    if [ -n "$wheel" ]; then
        version=$(basename "$wheel" | sed -n 's/^footfall-\([0-9][0-9A-Za-z.+_]*\)-py3-none-any\.whl$/\1/p')
        [ -n "$version" ] || fail "$wheel is not called footfall-VERSION-py3-none-any.whl"
        check_sum "$wheel"
        lock_file=$(find_lock "$wheel")
        make_environment
    else
        version=$what
    fi
    [ -z "$prepare" ] || {
        say "$version is ready in /opt/footfall/$version; install.sh $command $version switches to it"
        return
    }
    check_roles "$version"
    make_users "$command"
    roles | grep -qx "$command" || echo "$command" >>"$opt/roles"
    put_settings
    switch "$version"
    prune
}

rollback() {
    before=$(version_of previous)
    if [ -z "$before" ] || [ ! -d "$opt/$before" ]; then fail "there is no version before this one"; fi
    check_roles "$before"
    switch "$before"
}

status() {
    now=$(version_of current)
    [ -n "$now" ] || fail "footfall is not installed here"
    before=$(version_of previous)
    echo "version: $now${before:+ (before: $before)}"
    for role in $(roles); do
        echo "role: $role"
        for name in $(settings_of "$role"); do
            ! cmp -s "$etc/$name.toml" "$opt/$now/deploy/$name.toml.example" ||
                echo "  /etc/footfall/$name.toml is still the example"
        done
    done
    for unit in $(all_units); do
        [ -f "$units/$(echo "$unit" | sed 's/@.*/@.service/')" ] || continue
        state=$(if live; then systemctl is-active "$unit"; else echo "not asked"; fi || true)
        wanting=$(missing_for "$unit" | tr '\n' ' ')
        echo "  $unit: $state${wanting:+; missing: $wanting}"
    done
    find "$etc/secrets" -type f \( -perm /077 -o ! -uid 0 \) 2>/dev/null | while read -r open; do
        echo "  not root's alone: ${open#"$root"} (chown root: and chmod 600)"
    done
}

remove() {
    for unit in "$units"/footfall-*; do
        [ -f "$unit" ] || continue
        unit=$(basename "$unit")
        if live; then
            case $unit in
            *@.service)
                systemctl stop "${unit%.service}*.service" || true
                systemctl --quiet disable "$unit" || true
                ;;
            *) systemctl --quiet disable --now "$unit" || true ;;
            esac
        else
            systemctl ${root:+"--root=$root"} --quiet disable "$unit" || true
        fi
    done
    rm -f "$units"/footfall-*.service "$units"/footfall-*.timer
    rm -f "$bin/footfall-edge" "$bin/footfall-ingest" "$bin/footfall-api" "$bin/footfall-install"
    rm -rf "$lib" "$opt"
    ! live || systemctl daemon-reload
    say "the programs are gone. What stays: /etc/footfall with its secrets, /var/lib/footfall-*, the accounts footfall-*,"
    say "and /etc/udev/rules.d/99-footfall.rules, /etc/systemd/journald.conf.d/50-footfall.conf where they were."
}

main() {
    case $command in
    edge | server | rollback | status | remove) ;;
    "")
        usage >&2
        exit 2
        ;;
    *) fail "there is no command $command; install.sh --help shows those there are" ;;
    esac
    [ "$(id -u)" = 0 ] || fail "this needs root: sudo $0 $command $what"
    if [ "$command" != status ]; then
        mkdir -p "$root/run"
        exec 9>"$root/run/footfall-install.lock"
        flock --nonblock 9 || fail "another install.sh is at work"
    fi
    case $command in
    edge | server) install_role ;;
    rollback) rollback ;;
    status) status ;;
    remove) remove ;;
    esac
}

# One line, so that nothing more is read of a file that may be another one by then.
main; exit
