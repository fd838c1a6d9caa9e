#!/bin/sh
# Run once by the postgres image, after the SQL files, when its data directory is new: the roles' passwords come from the
# environment. To change one later: ALTER ROLE.
set -eu

psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    -v owner="${ATLAS_OWNER_PASSWORD:?}" -v app="${ATLAS_APP_PASSWORD:?}" -v readonly="${ATLAS_READONLY_PASSWORD:?}" <<'SQL'
ALTER ROLE atlas PASSWORD :'owner';
ALTER ROLE atlas_app PASSWORD :'app';
ALTER ROLE atlas_readonly PASSWORD :'readonly';
SQL
