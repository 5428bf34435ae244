#!/bin/sh
# Prepares this machine for `docker compose up` in this folder. Run it before the first start, and again after an update:
# it makes what is missing, brings up to date what is derived, and leaves everything else as it is.
#
#   sudo ./prepare.sh WEB_HOST ACME_EMAIL [MQTT_HOST]   the first time
#   sudo ./prepare.sh                                   later
#
#   WEB_HOST    the name of the web site, such as zaehlung.example.org; it has to lead to this machine
#   ACME_EMAIL  where the certificate authority of the web site writes to
#   MQTT_HOST   the name under which the boxes reach the broker; not given: WEB_HOST
#
# What it makes:
#   .env        the names above and the version; yours to add to (docs/containers.md lists what there is)
#   secrets/    a random secret in each file, readable by the account of the one container that needs it
#   city/       settings to fill in: api.toml, ingest.toml, alertmanager.yml
#   made/       the configurations of mosquitto, Prometheus and Grafana for containers, from ../mosquitto and so on
#   broker/     the broker's folder: its certificate, rules, accounts of footfall's own processes
#   authority/  the key that signs the certificates of broker and boxes: keep a copy where you keep such things
#
# The last two are made by footfall-ingest itself, in its container: the images are built for that if they are not there.
# COMPOSE names what runs containers, if it is not `docker compose`. docs/containers.md says how a password is changed.
set -eu

say() { printf '%s\n' "prepare.sh: $*"; }
fail() { printf '%s\n' "prepare.sh: $*" >&2; exit 1; }

cd "$(dirname "$0")"
[ "$(id -u)" -eq 0 ] || fail "run this as root (sudo), or with rootless Podman: podman unshare ./prepare.sh: the secrets" \
    "have to belong to the accounts inside the containers"
umask 077

# --- names ------------------------------------------------------------------------------------------------------------
value_of() { sed -n "s/^$1=//p" .env | tail -n 1; }

runs() { case ",$(value_of COMPOSE_PROFILES)," in *",$1,"*) ;; *) return 1 ;; esac; }

is_name() { printf '%s' "$1" | grep -Eqx '([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?'; }

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' ../../contract/footfall_contract/__init__.py)
[ -n "$version" ] || fail "cannot tell which version of footfall this is: is this folder still in its place, deploy/compose?"

if [ ! -e .env ]; then
    [ $# -ge 2 ] || fail "the first time say which names to use: sudo ./prepare.sh WEB_HOST ACME_EMAIL [MQTT_HOST]"
    is_name "$1" || fail "'$1' is no name of a web site; expected one such as zaehlung.example.org, in small letters"
    is_name "${3:-$1}" || fail "'$3' is no name of a broker; expected one such as zaehlung.example.org, in small letters"
    case $2 in ?*@?*.?*) ;; *) fail "'$2' is no e-mail address" ;; esac
    cat > .env <<END
# Names and choices for compose.yaml; docs/containers.md lists what else there is. No secrets in here.
VERSION=$version
WEB_HOST=$1
ACME_EMAIL=$2
MQTT_HOST=${3:-$1}
TZ=Europe/Berlin
# What runs beside broker, database, ingest, API and Caddy: watch (Prometheus and its like), backup, publish (MQTT for all)
COMPOSE_PROFILES=watch,backup
# Better on another disk, or another machine
BACKUP_FOLDER=./backup
END
    say ".env is made"
elif [ $# -gt 0 ]; then
    fail "there is a .env already: change the names there, and run this without words"
fi
chmod 0644 .env
if [ "$(value_of VERSION)" != "$version" ]; then
    sed -i "s/^VERSION=.*/VERSION=$version/" .env
    say "VERSION in .env is $version now; build the images: docker compose build --pull"
fi
web_host=$(value_of WEB_HOST)
mqtt_host=$(value_of MQTT_HOST)
is_name "$web_host" || fail "WEB_HOST in .env is '$web_host'; expected a name such as zaehlung.example.org"
is_name "$mqtt_host" || fail "MQTT_HOST in .env is '$mqtt_host'; expected a name such as zaehlung.example.org"

# --- secrets ----------------------------------------------------------------------------------------------------------
# Numbers of the accounts in the containers: 70 postgres and backup, 1883 mosquitto, 10002 ingest, 10003 api,
# 65534 nobody (Alertmanager), 472 grafana.
mkdir -p secrets
chmod 0700 secrets

# write FILE OWNER: standard input becomes the file, at once
write() {
    cat > "$1.new"
    chown "$2" "$1.new"
    chmod "${3:-0400}" "$1.new"
    mv "$1.new" "$1"
}

# random FILE OWNER: 192 bits of chance, unless there is a secret already
random() {
    if [ ! -s "secrets/$1" ]; then
        od -An -N24 -tx1 /dev/urandom | tr -d ' \n' | write "secrets/$1" "$2:$2"
        say "secrets/$1 is new"
    fi
    chown "$2:$2" "secrets/$1"
    chmod 0400 "secrets/$1"
}

# derived FILE OWNER CONTENT: written when it is not what it should be
derived() {
    [ -e "secrets/$1" ] && [ "$(cat "secrets/$1")" = "$3" ] || printf '%s' "$3" | write "secrets/$1" "$2:$2"
    chown "$2:$2" "secrets/$1"
    chmod 0400 "secrets/$1"
}

url() { printf 'postgresql://%s:%s@database:5432/footfall' "$1" "$(cat "secrets/$2")"; }

for name in database-superuser database-owner database-ingest database-api database-backup database-grafana; do
    random "$name" 70
done
# The API knows the token by its hash alone: docs/hardening.md.
if [ ! -s secrets/api-operator-token ]; then
    token=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
    echo "sha256:$(printf %s "$token" | sha256sum | cut -d ' ' -f 1)" | write secrets/api-operator-token 10003:10003
    say "the operator's token, which opens /betrieb, shown this once; put it into your password manager: $token"
fi
chown 10003:10003 secrets/api-operator-token
chmod 0400 secrets/api-operator-token
random grafana-admin-password 472
derived migrate-dsn 10002 "$(url footfall_owner database-owner)"
derived ingest-dsn 10002 "$(url footfall_ingest_login database-ingest)"
derived api-dsn 10003 "$(url footfall_api_login database-api)"
derived backup-dsn 70 "$(url footfall_backup_login database-backup)"
derived grafana-database-password 472 "$(cat secrets/database-grafana)"
[ -e secrets/smtp-password ] || write secrets/smtp-password 65534:65534 < /dev/null

# --- settings of the city ---------------------------------------------------------------------------------------------
mkdir -p city
chmod 0755 city
for file in api.toml ingest.toml; do
    [ -e "city/$file" ] || { write "city/$file" 0:0 0644 < "../$file.example"; say "city/$file is to be filled in"; }
done
if [ ! -e city/alertmanager.yml ]; then
    write city/alertmanager.yml 0:0 0644 < ../alertmanager/alertmanager.yml
    say "city/alertmanager.yml is to be filled in: who is woken"
fi

# --- configurations for containers, from those of the repository ------------------------------------------------------
rm -rf made.new
mkdir -p made.new/mosquitto made.new/prometheus/targets made.new/grafana

# The listener for footfall's own processes is on the loopback there; here only they are in its network.
sed 's/^listener 1883 127\.0\.0\.1$/listener 1883/' ../mosquitto/footfall.conf > made.new/mosquitto/footfall.conf
grep -qx 'listener 1883' made.new/mosquitto/footfall.conf ||
    fail "../mosquitto/footfall.conf has no line 'listener 1883 127.0.0.1': this script and it do not fit together"

# What is on the loopback there has a name here.
cp -R ../prometheus/. made.new/prometheus/
sed -e 's/127\.0\.0\.1:9093/alertmanager:9093/' -e 's/127\.0\.0\.1:9115/blackbox:9115/' ../prometheus/prometheus.yml \
    > made.new/prometheus/prometheus.yml
cat > made.new/prometheus/targets/footfall.yml <<'END'
- targets: ["api:9105"]
  labels:
    job: footfall-api
- targets: ["ingest:9102"]
  labels:
    job: footfall-ingest
END
if runs publish; then
    cat >> made.new/prometheus/targets/footfall.yml <<'END'
- targets: ["publish:9104"]
  labels:
    job: footfall-publish
END
fi
echo '- targets: ["node-exporter:9100"]' > made.new/prometheus/targets/machines.yml
echo "- targets: [\"https://$web_host/readyz\"]" > made.new/prometheus/targets/web.yml
echo "- targets: [\"$mqtt_host:8883\"]" > made.new/prometheus/targets/broker.yml
# Boxes that Prometheus can reach are the city's own to name.
[ ! -e city/boxes.yml ] || cp city/boxes.yml made.new/prometheus/targets/boxes.yml

cp -R ../grafana/. made.new/grafana/
sed -e 's#http://127\.0\.0\.1:9090#http://prometheus:9090#' -e 's/127\.0\.0\.1:5432/database:5432/' \
    ../grafana/provisioning/datasources/footfall.yml > made.new/grafana/provisioning/datasources/footfall.yml
# Into the files that are there, not in their place: running containers have those open.
mkdir -p made
cp -R made.new/. made/
rm -rf made.new
find made -type d -exec chmod 0755 {} +
find made -type f -exec chmod 0644 {} +

# --- the broker -------------------------------------------------------------------------------------------------------
mkdir -p broker authority
chmod 0700 authority
chown 0:1883 broker
chmod 0750 broker
cat ../mosquitto/services.acl > broker/services.acl
chown 1883:1883 broker/services.acl
chmod 0640 broker/services.acl

node() { ${NODE:-${COMPOSE:-docker compose} run --rm --no-deps -T authority} "$@" < /dev/null; }

if [ ! -e broker/ca.crt ]; then
    node ca init
    say "broker/ has a certificate for $mqtt_host, and boxes are to be given broker/ca.crt"
fi
# service NAME FILE OWNER: the broker's file gets the hash, the secret is the password
service() {
    if [ ! -s "secrets/$2" ]; then
        password=$(node service "$1") || fail "the broker's account $1 has no password; see above"
        printf '%s' "$password" | write "secrets/$2" "$3:$3"
        say "secrets/$2 is new; if the broker runs: ${COMPOSE:-docker compose} kill --signal HUP mosquitto"
    fi
}
service footfall-ingest ingest-mqtt-password 10002
service footfall-public publish-mqtt-password 10003

# --- what is left to do -----------------------------------------------------------------------------------------------
if runs backup; then
    folder=$(value_of BACKUP_FOLDER)
    mkdir -p "$folder"
    chown 70:70 "$folder"
    chmod 0700 "$folder"
fi
if runs watch && cmp -s city/alertmanager.yml ../alertmanager/alertmanager.yml; then
    say "fill in city/alertmanager.yml: who is woken, and by which mail server"
fi
if runs watch && [ ! -s secrets/smtp-password ]; then
    say "write the password of the mail account into secrets/smtp-password, if it has one"
fi
if cmp -s city/api.toml ../api.toml.example; then
    say "fill in city/api.toml: the name of the city, whom to ask, the licence"
fi
say "prepared. Start, or bring up to date: ${COMPOSE:-docker compose} up --detach --build"
