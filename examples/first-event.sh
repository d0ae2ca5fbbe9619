#!/usr/bin/env bash
# From a login to a webhook, a dead letter and its replay, with curl alone: every request of it is one that you can copy.
#
#   EGRESS_ALLOW=127.0.0.0/8 npm start
#   PASSWORD=… API_KEY=… WEBHOOK_URL=http://127.0.0.1:8080/hook examples/first-event.sh
#
# The router must be allowed to reach the webhook; addresses that are not public need EGRESS_ALLOW.
set -euo pipefail

SWITCHYARD_URL=${SWITCHYARD_URL:-http://127.0.0.1:3000}
EMAIL=${EMAIL:-admin@localhost}
PASSWORD=${PASSWORD:?the password that the first start printed}
API_KEY=${API_KEY:?the API key that the first start printed}
WEBHOOK_URL=${WEBHOOK_URL:?where events go: an address that answers POST with 2xx}
NAME=first-event-$(date +%s)-$$

say() { printf '\n# %s\n' "$*"; }

# curl, but an answer that is no success is shown and ends the script.
ask() {
  local answer
  answer=$(curl --silent --show-error --fail-with-body "$@") || { echo "$answer" >&2; exit 1; }
  echo "$answer"
}

# One request of the control plane: method, path, and a body where there is one.
api() { ask -X "$1" "$SWITCHYARD_URL/api/v1$2" -H "Authorization: Bearer $TOKEN" ${3:+-H 'Content-Type: application/json' -d "$3"}; }

# The first value of a field in JSON.
first() { grep -o "\"$1\":\"[^\"]*\"" | sed -n '1s/.*:"\(.*\)"/\1/p'; }

# Asks again until the answer holds a text, and shows it: delivery happens after the 202.
until_it_says() {
  local text=$1 answer
  shift
  for _ in $(seq 1 100); do
    answer=$("$@")
    if [[ $answer == *"$text"* ]]; then
      echo "$answer"
      return
    fi
    sleep 0.2
  done
  echo "It did not happen within 20 s. The last answer: $answer" >&2
  exit 1
}

say 'Log in: an access token for the control plane'
TOKEN=$(ask "$SWITCHYARD_URL/api/v1/auth/login" -H 'Content-Type: application/json' -d "{\"email\": \"$EMAIL\", \"password\": \"$PASSWORD\"}" | first access_token)
PROJECT=$(api GET /projects | first id)
SOURCE=$(api GET "/projects/$PROJECT/sources" | first id)
echo "project $PROJECT, source $SOURCE"

say 'Make a webhook destination. Its address takes no POST: it answers 405, which no repeat would mend'
DESTINATION=$(api POST "/projects/$PROJECT/destinations" "{\"name\": \"$NAME\", \"type\": \"webhook\", \"config\": {\"url\": \"$SWITCHYARD_URL/health\"}}" | first id)
echo "destination $DESTINATION"

say 'Connect source and destination by a pipeline, and publish it'
DEFINITION="{\"nodes\": [{\"id\": \"in\", \"kind\": \"source\", \"source\": \"$SOURCE\"}, {\"id\": \"out\", \"kind\": \"destination\", \"destination\": \"$DESTINATION\"}], \"edges\": [[\"in\", \"out\"]]}"
PIPELINE=$(api POST "/projects/$PROJECT/pipelines" "{\"name\": \"$NAME\", \"definition\": $DEFINITION}" | first id)
api POST "/projects/$PROJECT/pipelines/$PIPELINE/publish"

say 'Post an event, twice: the event_id makes the repeat harmless, both answers have the same id'
EVENT="{\"event_id\": \"$NAME\", \"event_name\": \"order_paid\", \"user_id\": \"$NAME\", \"metadata\": {\"amount\": 12.50}}"
ask "$SWITCHYARD_URL/api/v1/events" -H "Authorization: Bearer $API_KEY" -d "$EVENT"
ask "$SWITCHYARD_URL/api/v1/events" -H "Authorization: Bearer $API_KEY" -d "$EVENT"

say 'It is in the archive'
until_it_says order_paid api GET "/projects/$PROJECT/events?user_id=$NAME"

say 'The webhook refused it: a dead letter, with the reason'
until_it_says HTTP_405 api GET "/projects/$PROJECT/dead-letters?destination=$DESTINATION"

say 'Mend the destination, and see what a replay would send'
api PATCH "/projects/$PROJECT/destinations/$DESTINATION" "{\"config\": {\"url\": \"$WEBHOOK_URL\"}}"
api POST "/projects/$PROJECT/dead-letters/replay" "{\"destination\": \"$DESTINATION\", \"dry_run\": true}"

say 'Replay'
api POST "/projects/$PROJECT/dead-letters/replay" "{\"destination\": \"$DESTINATION\"}"

say 'It arrived: the accounts of this destination say delivered'
until_it_says "\"destination\":\"$DESTINATION\",\"accepted\":1,\"delivered\":1" api GET "/projects/$PROJECT/accounting"
