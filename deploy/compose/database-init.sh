#!/bin/sh
# Run by the database's image when its volume is new: makes footfall's database and accounts. Later, when a password was
# changed or an account was added:  docker compose exec database /docker-entrypoint-initdb.d/100-footfall.sh
set -eu
exec /etc/footfall/database/accounts.sh /run/secrets --username postgres
