#!/bin/sh
# Makes footfall's database and its accounts, each with the password in the file of its name. May be run again: it makes
# what is missing and sets the passwords that are there now (that is how a password is changed).
#
#   accounts.sh FOLDER [WORDS OF PSQL…]
#
# FOLDER has one file for each account that logs in with a password: footfall_owner, footfall_ingest_login,
# footfall_api_login, footfall_backup_login, footfall_grafana (see accounts.sql). An account without a file gets no password. The
# words are handed to psql, which must reach the server as a superuser, e.g.
#
#   sudo deploy/database/accounts.sh /etc/footfall/secrets/database
#
# As root, and without words, psql is run as the system's user postgres, whom PostgreSQL on Debian lets in by the socket.
# Passwords go to psql by a pipe: they are in no command line, no variable and no log.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?"say where the passwords are: accounts.sh FOLDER [WORDS OF PSQL…]"}
shift
[ -d "$folder" ] || { echo "accounts.sh: there is no folder $folder" >&2; exit 1; }

statements() {
    for account in footfall_owner footfall_ingest_login footfall_api_login footfall_backup_login footfall_grafana; do
        [ -e "$folder/$account" ] || continue
        password=$(cat "$folder/$account")
        case $password in
            *[!A-Za-z0-9._~-]*)
                echo "accounts.sh: the password in $folder/$account may have letters, digits and . _ ~ - only: it becomes" \
                    "part of a connection URL. Make one with: openssl rand -hex 24" >&2
                return 1 ;;
        esac
        if [ "${#password}" -lt 20 ]; then
            echo "accounts.sh: the password in $folder/$account has less than 20 characters." \
                "Make one with: openssl rand -hex 24" >&2
            return 1
        fi
        printf "\\\\set %s '%s'\n" "$account" "$password"
    done
    cat "$here/accounts.sql"
}

# Before psql is started, so that a password that cannot be used changes nothing.
all=$(statements)
if [ $# -eq 0 ] && [ "$(id -u)" -eq 0 ]; then
    printf '%s\n' "$all" | (cd / && exec runuser -u postgres -- psql --no-psqlrc --dbname postgres)
else
    printf '%s\n' "$all" | psql --no-psqlrc --dbname postgres "$@"
fi
