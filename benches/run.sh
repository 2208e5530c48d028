#!/bin/bash
# Measures postfleet beside Postfix, PostgreSQL and a service of Node.js, all on this machine and in turns, and prints what came out. See
# README.md. Installs nothing, listens on 127.0.0.1 only, ends only what it started. Needs root, as Postfix does.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$HERE")
export PATH=$PATH:/usr/sbin:/sbin

REPEAT=${REPEAT:-3}                 # runs of everything; medians are printed
SESSIONS=${SESSIONS:-"1 20 100"}    # SMTP sessions side by side
MESSAGES=${MESSAGES:-6000}          # of one inbound run; a tenth of it with one session
SIZE=${SIZE:-10240}                 # octets of an inbound message
MAILBOXES=${MAILBOXES:-1000}
SENDS=${SENDS:-10000}               # of one run of API sends
CONNECTIONS=${CONNECTIONS:-16}
PACED=${PACED:-250}                 # messages of one paced run, one every GAP_US microseconds
GAP_US=${GAP_US:-20000}
PROVISIONED=${PROVISIONED:-20000}   # mailboxes of one run of provisioning, one in a call, and inserts beside it
BULK=${BULK:-100000}                # mailboxes of one run of provisioning, 1,000 in a call
BULK_CONNECTIONS=${BULK_CONNECTIONS:-4}
FLEET=${FLEET:-100000}              # mailboxes of the large fleet
FEW=${FEW:-100}                     # and of the small one
ITEMS=${ITEMS:-1000000}             # of the list that rules look into
CHANGES=${CHANGES:-500}             # items that are added to it, and taken out again
DEAD=${DEAD:-100000}                # recipients in the queue whose server does not answer
BESIDE=${BESIDE:-1000}              # messages of one paced run to others, meanwhile
PORT=${PORT:-12500}                 # and the thirty after it
POSTFLEET=${POSTFLEET:-$ROOT/target/release/postfleet}
PEER=$HERE/peers/node
REPORT_FLAGS=()
PARTS="inbound paced api peer dead provision fleet rules"

usage() {
    cat <<U
usage: benches/run.sh [--targets] [--write] [--only inbound|paced|api|peer|dead|provision|fleet|rules]

  --targets  ends with PASS or FAIL for each target, and fails if one is missed
  --write    keeps the figures in benches/results/<date>.json
  --only     measures one part

Environment: REPEAT SESSIONS MESSAGES SIZE MAILBOXES SENDS CONNECTIONS PACED GAP_US PROVISIONED BULK BULK_CONNECTIONS
             FLEET FEW ITEMS CHANGES DEAD BESIDE PORT POSTFLEET BENCH_WORK
U
}

main() {
    read_flags "$@"
    check_means
    WORK=$(mktemp -d "${BENCH_WORK:-/var/tmp}/postfleet-bench.XXXXXX")
    chmod 755 "$WORK"
    ROWS=$WORK/rows.jsonl
    : >"$ROWS"
    trap clean_up EXIT
    build_load
    cp "$POSTFLEET" "$WORK/postfleet"
    if wants "inbound|paced|api"; then
        start_postfix
        start_postfleet all
    fi
    if wants "provision|peer"; then start_postgres; fi
    if wants fleet; then make_fleets; fi
    for ((round = 1; round <= REPEAT; round++)); do
        say "round $round of $REPEAT"
        for part in $PARTS; do "measure_$part"; done
    done
    python3 "$HERE/report.py" "${REPORT_FLAGS[@]}" --parts "$PARTS" --size "$SIZE" --results "$HERE/results" "$ROWS"
}

read_flags() {
    while (($#)); do
        case $1 in
        --targets | --write) REPORT_FLAGS+=("$1") ;;
        --only) PARTS=${2:?--only needs a part} && shift ;;
        -h | --help) usage && exit 0 ;;
        *) usage >&2 && exit 2 ;;
        esac
        shift
    done
    for part in $PARTS; do [[ $part =~ ^(inbound|paced|api|peer|dead|provision|fleet|rules)$ ]] || { usage >&2 && exit 2; }; done
}

check_means() {
    local missing=()
    [[ $(id -u) == 0 ]] || missing+=("root")
    if wants "inbound|paced|api"; then
        command -v postfix >/dev/null || missing+=("postfix (apt-get install postfix)")
    fi
    if wants "provision|peer"; then
        postgres_programs >/dev/null || missing+=("postgresql (apt-get install postgresql)")
    fi
    if wants peer; then
        command -v node >/dev/null || missing+=("node, 20 or later (apt-get install nodejs)")
        [[ -d $PEER/node_modules ]] || missing+=("$PEER/node_modules (npm ci --prefix benches/peers/node)")
    fi
    command -v python3 >/dev/null || missing+=("python3")
    command -v cargo >/dev/null || missing+=("cargo")
    [[ -x $POSTFLEET ]] || missing+=("$POSTFLEET (cargo build --release)")
    ((${#missing[@]} == 0)) && return
    printf 'missing: %s\n' "${missing[@]}" >&2
    exit 77
}

say() { echo "# $*" >&2; }

# wants PATTERN: whether one of these parts is measured.
wants() { [[ " $PARTS " =~ \ ($1)\  ]]; }

build_load() {
    local target=${CARGO_TARGET_DIR:-$HERE/load/target}
    CARGO_TARGET_DIR=$target cargo build --quiet --release --manifest-path "$HERE/load/Cargo.toml"
    LOAD=$target/release/postfleet-load
}

# What runs -------------------------------------------------------------------------------------------------------

# Each system has a name, and by it a process ($WORK/NAME.pid) with its children, and a control group if possible.
if [[ -d /sys/fs/cgroup/cpuacct ]]; then CGROUPS=/sys/fs/cgroup/cpuacct; else CGROUPS=/sys/fs/cgroup; fi
group() { echo "$CGROUPS/postfleet-bench-$$-$1"; }

# in_group NAME COMMAND...: becomes the command, in the group.
in_group() {
    local group
    group=$(group "$1")
    shift
    { mkdir -p "$group" && echo "$BASHPID" >"$group/cgroup.procs"; } 2>/dev/null || true
    exec "$@"
}

processes() {
    local pid
    pid=$(cat "$WORK/$1.pid")
    echo "$pid"
    pgrep -P "$pid" || true
}

stop() {
    local pid
    [[ -f $WORK/$1.pid ]] || return 0
    pid=$(cat "$WORK/$1.pid")
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 400); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    rm -f "$WORK/$1.pid"
    sleep 0.2
    rmdir "$(group "$1")" 2>/dev/null || true
}

clean_up() {
    trap - EXIT
    for sink in $(jobs -p); do kill "$sink" 2>/dev/null || true; done
    for name in postfix all api node postgres provision few many rules clear dead; do stop "$name"; done
    if [[ -n ${KEEP:-} ]]; then say "kept $WORK"; else rm -rf "$WORK"; fi
}

await_port() {
    for _ in $(seq 200); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.1
    done
    echo "nothing listens on port $1" >&2
    exit 1
}

# Postfix -----------------------------------------------------------------------------------------------------------

POSTFIX=127.0.0.1:$PORT
POSTFIX_SINK=127.0.0.1:$((PORT + 1))

# As shipped, which means fsync of the queue file before the answer and of the Maildir file after it. Settled in its
# favour: no lookups, no pause when the queue grows, more processes than the default for many sessions.
start_postfix() {
    local home=$WORK/postfix daemons
    daemons=$(postconf -dh daemon_directory)
    mkdir -p "$home"/{etc,queue,data,mail}
    chown postfix "$home/data"
    chown nobody "$home/mail"
    cat >"$home/etc/main.cf" <<C
compatibility_level = 3.6
queue_directory = $home/queue
data_directory = $home/data
command_directory = $(postconf -dh command_directory)
daemon_directory = $daemons
shlib_directory = $(postconf -dh shlib_directory)
mail_owner = postfix
setgid_group = postdrop
maillog_file = $home/mail.log
maillog_file_prefixes = $home
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = postfix.bench.example
mydestination =
alias_maps =
alias_database =
local_transport = error:no local mail
relayhost = [127.0.0.1]:$((PORT + 1))
smtp_host_lookup = native
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
default_process_limit = 100
smtp_destination_concurrency_limit = 50
virtual_destination_concurrency_limit = 50
virtual_mailbox_base = $home/mail
virtual_mailbox_domains = bench.example
virtual_mailbox_maps = texthash:$home/etc/mailboxes
virtual_minimum_uid = 1
virtual_uid_maps = static:$(id -u nobody)
virtual_gid_maps = static:$(id -g nobody)
virtual_mailbox_limit = 0
message_size_limit = 52428800
C
    cat >"$home/etc/master.cf" <<C
$POSTFIX inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
C
    for ((i = 0; i < MAILBOXES; i++)); do echo "u$i@bench.example u$i/"; done >"$home/etc/mailboxes"
    (in_group postfix postfix -c "$home/etc" start) >"$WORK/postfix.log" 2>&1 || { cat "$WORK/postfix.log" >&2 && exit 1; }
    await_port "$PORT"
    tr -d ' \n' <"$home/queue/pid/master.pid" >"$WORK/postfix.pid"
}

in_maildirs() { find "$WORK/postfix/mail" -path '*/new/*' -type f | wc -l; }

# await_maildirs COUNT: until so many messages are there, at most two minutes.
await_maildirs() {
    for _ in $(seq 1200); do
        (($(in_maildirs) >= $1)) && return
        sleep 0.1
    done
}

# postfleet ---------------------------------------------------------------------------------------------------------

# start_postfleet all|api: a server of its own for each set of roles, with its own data and mailboxes.
start_postfleet() {
    local name=$1 port=$((PORT + 2)) roles=()
    if [[ $name == api ]]; then
        port=$((PORT + 5))
        roles=(--roles api)
    fi
    init "$name"
    serve "$name" "$port" "${roles[@]}"
    make_mailboxes "$name" "$port"
}

# init NAME: a data directory with an organization in it, and the headers with its keys in NAME.key and NAME.operator.
init() {
    local home=$WORK/$1
    "$WORK/postfleet" init --data-dir "$home" --organization Bench --domain bench.example --trust-domains --json >"$home.json"
    header_of api_key <"$home.json" >"$home.key"
    header_of operator_key <"$home.json" >"$home.operator"
}

header_of() { python3 -c 'import json, sys; print("Authorization: Bearer " + json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# words_of NAME PORT: the command of a server, one word a line.
words_of() {
    printf '%s\n' "$WORK/postfleet" serve --data-dir "$WORK/$1" --http "127.0.0.1:$2" --smtp "127.0.0.1:$(($2 + 1))" \
        --relay "127.0.0.1:$(($2 + 2))"
}

# serve NAME PORT OPTION...: starts a server on a data directory, and waits for it.
serve() {
    local name=$1 port=$2 words
    shift 2
    mapfile -t words < <(words_of "$name" "$port")
    # As many deliveries side by side to one destination as Postfix is allowed.
    (POSTFLEET_LOG__LEVEL=warn POSTFLEET_DELIVERY__DESTINATION_CONCURRENCY=50 in_group "$name" "${words[@]}" "$@") >>"$WORK/$name.log" 2>&1 &
    echo $! >"$WORK/$name.pid"
    await_port "$port"
}

make_mailboxes() {
    local home=$WORK/$1 port=$2
    "$LOAD" http --address "127.0.0.1:$port" --path /v3/connect/custom --header "$(cat "$home.key")" \
        --requests "$MAILBOXES" --body '{"provider":"nylas","settings":{"email":"u{i}@bench.example"}}' >/dev/null
    python3 "$HERE/report.py" --mailboxes "http://127.0.0.1:$port" "$home.key" >"$home.mailboxes"
    [[ $(wc -l <"$home.mailboxes") == "$MAILBOXES" ]] || { echo "mailboxes are missing" >&2 && exit 1; }
}

# listed NAME PORT: messages in all mailboxes, as the interface lists them.
listed() {
    "$LOAD" list --address "127.0.0.1:$2" --lines "$WORK/$1.mailboxes" --header "$(cat "$WORK/$1.key")" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["done"])'
}

# send NAME PORT [OPTION...]: API sends.
send() { send_body "$HERE/send.json" "$@"; }

# send_body FILE NAME PORT [OPTION...]
send_body() {
    local body=$1 name=$2 port=$3
    shift 3
    "$LOAD" http --address "127.0.0.1:$port" --path '/v3/grants/{line}/messages/send' --lines "$WORK/$name.mailboxes" \
        --header "$(cat "$WORK/$name.key")" --body-file "$body" "$@"
}

# PostgreSQL --------------------------------------------------------------------------------------------------------

POSTGRES=$((PORT + 17))

postgres_programs() {
    local found
    found=$(compgen -G '/usr/lib/postgresql/*/bin/postgres' | sort -V | tail -1) && dirname "$found"
}

as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; }

# As shipped: every commit is on stable storage before it is answered.
start_postgres() {
    local home=$WORK/postgres programs
    programs=$(postgres_programs)
    mkdir -p "$home"
    chown postgres "$home"
    (cd "$home" && as_postgres "$programs/initdb" --pgdata "$home/data" --username=postgres --auth=trust --encoding=UTF8 \
        --locale=C) >"$home.log" 2>&1
    (cd "$home" && in_group postgres setpriv --reuid=postgres --regid=postgres --clear-groups -- "$programs/postgres" \
        -D "$home/data" -c listen_addresses=127.0.0.1 -c "port=$POSTGRES" -c "unix_socket_directories=$home") >>"$home.log" 2>&1 &
    echo $! >"$home.pid"
    for _ in $(seq 200); do
        "$programs/pg_isready" -q -h 127.0.0.1 -p "$POSTGRES" && return
        sleep 0.1
    done
    echo "PostgreSQL does not start" >&2 && cat "$home.log" >&2
    exit 1
}

# sql TEXT [DATABASE]
sql() {
    "$(postgres_programs)/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$POSTGRES" -U postgres -d "${2:-postgres}" -c "$1"
}

# insert COUNT: one insert and its commit each, over CONNECTIONS connections; prints what the load generator would.
insert() {
    local home=$WORK/postgres each=$(($1 / CONNECTIONS))
    cat >"$home/insert.sql" <<'Q'
\set n :n + 1
INSERT INTO mailboxes VALUES (gen_random_uuid(), 'u' || :client_id::text || '-' || :n::text || '@bench.example',
    'Agent ' || :n::text, extract(epoch FROM now())::bigint, extract(epoch FROM now())::bigint);
Q
    rm -f "$home"/log.*
    "$(postgres_programs)/pgbench" -h 127.0.0.1 -p "$POSTGRES" -U postgres -n -M prepared -c "$CONNECTIONS" -j 2 -t "$each" -D n=0 \
        -f "$home/insert.sql" -l --log-prefix="$home/log" postgres >"$home/pgbench.txt" 2>&1 || { cat "$home/pgbench.txt" >&2 && exit 1; }
    python3 "$HERE/report.py" --pgbench "$home"/log.*
}

# Node.js -----------------------------------------------------------------------------------------------------------

NODE=$((PORT + 21))
WARM=500

# The service of peers/node, with a key and as many mailboxes, in a database of its own.
start_node() {
    local key="bench-$$-$round"
    sql 'DROP DATABASE IF EXISTS node'
    sql 'CREATE DATABASE node'
    sql "$(cat "$PEER/schema.sql")" node
    sql "INSERT INTO api_keys VALUES (sha256('$key'), gen_random_uuid());
        INSERT INTO domains SELECT 'bench.example', application_id, now() FROM api_keys;
        INSERT INTO grants SELECT gen_random_uuid(), application_id, 'u' || n || '@bench.example', '', 'bench.example', 1000000
        FROM api_keys, generate_series(0, $MAILBOXES - 1) AS n" node
    sql 'SELECT id FROM grants ORDER BY id' node >"$WORK/node.mailboxes"
    echo "Authorization: Bearer $key" >"$WORK/node.key"
    (DATABASE_URL="postgres://postgres@127.0.0.1:$POSTGRES/node" PORT=$NODE NODE_ENV=production \
        in_group node node "$PEER/server.js") >>"$WORK/node.log" 2>&1 &
    echo $! >"$WORK/node.pid"
    await_port "$NODE"
}

# Messages that are there whole: with their thread, their event, and a row in the queue for each recipient.
accepted_by_node() {
    sql 'SELECT count(*) FROM messages m JOIN threads t ON t.id = m.thread_id JOIN events e ON e.message_id = m.id
        JOIN queue q ON q.message_id = m.id JOIN recent_sends r ON r.message_id = m.id' node
}

# Measures ----------------------------------------------------------------------------------------------------------

# observe NAME...: microseconds of CPU, octets written, and what the machine did, one after the other.
observe() {
    local name cpu=0 written=0 busy
    for name in "$@"; do
        cpu=$((cpu + $(cpu_of "$name")))
        written=$((written + $(written_by "$name")))
    done
    busy=$(awk -v hz="$(getconf CLK_TCK)" '/^cpu / { printf "%.0f", ($2 + $3 + $4 + $7 + $8) * 1000000 / hz }' /proc/stat)
    echo "{\"cpu_us\":$cpu,\"written\":$written,\"busy_us\":$busy,\"at_ns\":$(date +%s%N)}"
}

cpu_of() {
    local group
    group=$(group "$1")
    if [[ -f $group/cpuacct.usage ]]; then
        echo $(($(cat "$group/cpuacct.usage") / 1000))
    elif [[ -f $group/cpu.stat ]]; then
        awk '/^usage_usec/ { print $2 }' "$group/cpu.stat"
    else
        # Ticks of the processes and of the children that they have waited for.
        for pid in $(processes "$1"); do sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null || true; done |
            awk -v hz="$(getconf CLK_TCK)" '{ ticks += $12 + $13 + $14 + $15 } END { printf "%.0f", ticks * 1000000 / hz }'
    fi
}

written_by() {
    for pid in $(processes "$1"); do cat "/proc/$pid/io" 2>/dev/null || true; done |
        awk '/^write_bytes/ { sum += $2 } END { printf "%.0f", sum }'
}

# row SYSTEM MEASURE BEFORE AFTER COUNTED LOAD...: one line in the rows; COUNTED messages are what was really kept.
row() {
    python3 "$HERE/report.py" --row "$@" | tee -a "$ROWS" >&2
}

measure_inbound() {
    local sessions messages before after kept result
    for sessions in $SESSIONS; do
        messages=$MESSAGES
        ((sessions > 1)) || messages=$((MESSAGES / 10))
        local load=(smtp --sessions "$sessions" --messages "$messages" --size "$SIZE" --mailboxes "$MAILBOXES")

        kept=$(in_maildirs)
        before=$(observe postfix)
        result=$("$LOAD" "${load[@]}" --address "$POSTFIX")
        await_maildirs $((kept + messages))
        after=$(observe postfix)
        row postfix "inbound $sessions" "$before" "$after" $(($(in_maildirs) - kept)) "$result"

        kept=$(listed all $((PORT + 2)))
        before=$(observe all)
        result=$("$LOAD" "${load[@]}" --address "127.0.0.1:$((PORT + 3))")
        after=$(observe all)
        row postfleet "inbound $sessions" "$before" "$after" $(($(listed all $((PORT + 2))) - kept)) "$result"
    done
}

# with_sink ADDRESS EXPECT COMMAND...: prints what the command said, then what arrived.
with_sink() {
    local address=$1 expect=$2
    shift 2
    "$LOAD" smtpsink --address "$address" --expect "$expect" >"$WORK/sink.json" &
    local sink=$!
    await_port "${address##*:}"
    "$@"
    wait "$sink"
    cat "$WORK/sink.json"
}

measure_paced() {
    local before after result pace=(--gap-us "$GAP_US")
    before=$(observe postfix)
    result=$(with_sink "$POSTFIX_SINK" "$PACED" "$LOAD" smtp --address "$POSTFIX" --sessions 1 --messages "$PACED" \
        --size 2048 --recipient 'r{m}@away.example' --mailboxes "$MAILBOXES" "${pace[@]}")
    after=$(observe postfix)
    row postfix paced "$before" "$after" sink "$result"

    before=$(observe all)
    result=$(with_sink "127.0.0.1:$((PORT + 4))" "$PACED" send all $((PORT + 2)) --connections 1 --requests "$PACED" "${pace[@]}")
    after=$(observe all)
    row postfleet paced "$before" "$after" sink "$result"
}

measure_api() {
    local before after result kept
    before=$(observe postfix)
    result=$(with_sink "$POSTFIX_SINK" "$SENDS" "$LOAD" smtp --address "$POSTFIX" --sessions "$CONNECTIONS" \
        --messages "$SENDS" --size 2048 --recipient 'r{m}@away.example' --mailboxes "$MAILBOXES")
    after=$(observe postfix)
    row postfix "relay" "$before" "$after" sink "$result"

    before=$(observe all)
    result=$(with_sink "127.0.0.1:$((PORT + 4))" "$SENDS" send all $((PORT + 2)) --connections "$CONNECTIONS" --requests "$SENDS")
    after=$(observe all)
    row postfleet "relay" "$before" "$after" sink "$result"

    # Beside the service of Node.js, if that is measured: in turns with it.
    wants peer || measure_accept
}

# Only accepting: nothing is delivered, and nothing is left over for the next round.
measure_accept() {
    local before after result kept
    start_postfleet api
    kept=$(listed api $((PORT + 5)))
    before=$(observe api)
    result=$(send api $((PORT + 5)) --connections "$CONNECTIONS" --requests "$SENDS")
    after=$(observe api)
    row postfleet "accept" "$before" "$after" $(($(listed api $((PORT + 5))) - kept)) "$result"
    stop api
    rm -rf "$WORK/api"
}

# The same sends to the service of Node.js and PostgreSQL, each time into an empty database.
measure_peer() {
    local before after result
    start_node
    # In its favour: its connections are open, its statements prepared, its code compiled.
    send node "$NODE" --connections "$CONNECTIONS" --requests "$WARM" >/dev/null
    before=$(observe postgres node)
    result=$(send node "$NODE" --connections "$CONNECTIONS" --requests "$SENDS")
    after=$(observe postgres node)
    row node "accept" "$before" "$after" $(($(accepted_by_node) - WARM)) "$result"
    stop node
    measure_accept
}

CLEAR_PORT=$((PORT + 22))
DEAD_PORT=$((PORT + 25))
MUTE=127.0.0.1:$((PORT + 28))
PER_MESSAGE=50

# Sends to others while very much waits for a destination that is dead, beside a server where nothing waits. First the
# dead one takes connections and says nothing, then it takes none, and is tried every two seconds.
measure_dead() {
    local mute
    start_beside clear "$CLEAR_PORT"
    start_beside dead "$DEAD_PORT"
    "$LOAD" mute --address "$MUTE" &
    mute=$!
    await_port "${MUTE##*:}"
    say "$DEAD recipients whose server says nothing"
    dead route --to "$MUTE"
    python3 "$HERE/dead.py" body --recipients "$PER_MESSAGE" <"$HERE/send.json" >"$WORK/dead.body"
    send_body "$WORK/dead.body" dead "$DEAD_PORT" --connections "$CONNECTIONS" --requests $((DEAD / PER_MESSAGE)) >/dev/null
    dead wait --depth "$DEAD"
    measure_beside silent
    kill "$mute"
    wait "$mute" 2>/dev/null || true
    measure_beside refusing
    stop clear
    stop dead
    rm -rf "$WORK"/{clear,dead}{,.json,.mailboxes}
}

# dead COMMAND OPTION...: as the operator.
dead() {
    local command=$1
    shift
    python3 "$HERE/dead.py" "$command" --port "$DEAD_PORT" --key "$WORK/dead.operator" "$@"
}

# start_beside NAME PORT: a server with mailboxes that have each sent something.
start_beside() {
    init "$1"
    serve "$1" "$2"
    make_mailboxes "$1" "$2"
    with_sink "127.0.0.1:$(($2 + 2))" "$MAILBOXES" send "$1" "$2" --connections "$CONNECTIONS" --requests "$MAILBOXES" >/dev/null
}

# measure_beside silent|refusing: paced sends at both, each while the other one is stopped.
measure_beside() {
    local name port=$CLEAR_PORT other=dead waiting=0 retries=
    for name in clear dead; do
        if [[ $name == dead ]]; then
            port=$DEAD_PORT other=clear waiting=$DEAD
        fi
        kill -STOP "$(cat "$WORK/$other.pid")"
        if [[ $name == dead && $1 == refusing ]]; then
            dead retry --every 2 --times $((BESIDE * GAP_US / 2000000)) &
            retries=$!
        fi
        dead_row "$1" "$waiting" "$(with_sink "127.0.0.1:$((port + 2))" "$BESIDE" send "$name" "$port" --connections 1 \
            --requests "$BESIDE" --gap-us "$GAP_US")"
        kill -CONT "$(cat "$WORK/$other.pid")"
    done
    [[ -z $retries ]] || wait "$retries"
}

# dead_row STATE WAITING RESULT: one line in the rows.
dead_row() { python3 "$HERE/report.py" --dead-row "$@" | tee -a "$ROWS" >&2; }

# Provisioning one by one beside the same number of inserts, then many in a call; each time from nothing.
measure_provision() {
    local port=$((PORT + 8)) header before after result
    ((round == 1)) || sql 'DROP TABLE mailboxes'
    sql 'CREATE TABLE mailboxes (id uuid PRIMARY KEY, address text NOT NULL UNIQUE, name text NOT NULL,
         created_at bigint NOT NULL, updated_at bigint NOT NULL)'
    before=$(observe postgres)
    result=$(insert "$PROVISIONED")
    after=$(observe postgres)
    row postgresql "provision 1" "$before" "$after" "$(sql 'SELECT count(*) FROM mailboxes')" "$result"

    init provision
    serve provision "$port"
    header=$(cat "$WORK/provision.key")
    local load=("$LOAD" provision --address "127.0.0.1:$port" --header "$header")
    before=$(observe provision)
    result=$("${load[@]}" --connections "$CONNECTIONS" --mailboxes "$PROVISIONED")
    after=$(observe provision)
    row postfleet "provision 1" "$before" "$after" "$(mailboxes_of provision "$port")" "$result"

    before=$(observe provision)
    result=$("${load[@]}" --connections "$BULK_CONNECTIONS" --mailboxes "$BULK" --first "$PROVISIONED" --per-call 1000)
    after=$(observe provision)
    row postfleet "provision 1000" "$before" "$after" $(($(mailboxes_of provision "$port") - PROVISIONED)) "$result"
    stop provision
    rm -rf "$WORK/provision" "$WORK/provision.json"
}

# mailboxes_of NAME PORT: how many the interface lists.
mailboxes_of() { python3 "$HERE/fleet.py" count --port "$2" --key "$WORK/$1.key"; }

# Three data directories: nothing, few mailboxes, many.
make_fleets() {
    local name count port=$((PORT + 11))
    for name in none few many; do
        init "$name"
        case $name in none) count=0 ;; few) count=$FEW ;; many) count=$FLEET ;; esac
        ((count > 0)) || continue
        say "$count mailboxes"
        serve "$name" "$port"
        "$LOAD" provision --address "127.0.0.1:$port" --header "$(cat "$WORK/$name.key")" --connections "$BULK_CONNECTIONS" \
            --mailboxes "$count" --per-call 1000 >/dev/null
        [[ $(mailboxes_of "$name" "$port") == "$count" ]] || { echo "mailboxes are missing" >&2 && exit 1; }
        python3 "$HERE/fleet.py" sample --port "$port" --key "$WORK/$name.key" --field id >"$WORK/$name.ids"
        python3 "$HERE/fleet.py" sample --port "$port" --key "$WORK/$name.key" --field email >"$WORK/$name.emails"
        stop "$name"
    done
}

# What the size of a fleet costs: start, memory, reads, one more mailbox, a policy over all of them.
measure_fleet() {
    local name turn words result
    for name in none few many; do
        mapfile -t words < <(words_of "$name" $((PORT + 11)))
        result=$(POSTFLEET_LOG__LEVEL=warn python3 "$HERE/fleet.py" start --port $((PORT + 11)) -- "${words[@]}" 2>>"$WORK/$name.log")
        fleet_row "$name" start "$result"
    done
    serve few $((PORT + 11))
    serve many $((PORT + 14))
    for name in few many; do
        ask "$name" GET '/v3/grants?limit=50' --requests 20 >/dev/null
    done
    for turn in 1 2; do
        for name in few many; do measure_one_fleet "$name" "$turn"; done
    done
    stop few
    stop many
}

measure_one_fleet() {
    local name=$1 more='{"provider":"nylas","settings":{"email":"more-'$round-$2'-{i}@bench.example"}}'
    fleet_row "$name" "list, first 50" "$(ask "$name" GET '/v3/grants?limit=50' --requests 1000)"
    fleet_row "$name" "find by id" "$(ask "$name" GET '/v3/grants/{line}' --requests 2000 --lines "$WORK/$name.ids")"
    fleet_row "$name" "find by address" "$(ask "$name" GET '/v3/grants/{line}' --requests 2000 --lines "$WORK/$name.emails")"
    fleet_row "$name" "make one more" "$(ask "$name" POST /v3/connect/custom --requests 100 --body "$more")"
    fleet_row "$name" "edit the policy of all" \
        "$(python3 "$HERE/fleet.py" policy --port "$(port_of "$name")" --key "$WORK/$name.key")"
}

# How soon a change of a very long list holds.
measure_rules() {
    local port=$((PORT + 18)) result
    init rules
    serve rules "$port" --roles api
    result=$(python3 "$HERE/lists.py" --port "$port" --key "$WORK/rules.key" --items "$ITEMS" --rounds "$CHANGES")
    tee -a "$ROWS" <<<"$result" >&2
    stop rules
    rm -rf "$WORK/rules" "$WORK/rules.json"
}

port_of() { [[ $1 == few ]] && echo $((PORT + 11)) || echo $((PORT + 14)); }

# ask NAME METHOD PATH OPTION...: requests one after the other, over one connection.
ask() {
    local name=$1 method=$2 path=$3
    shift 3
    "$LOAD" http --address "127.0.0.1:$(port_of "$name")" --connections 1 --method "$method" --path "$path" \
        --header "$(cat "$WORK/$name.key")" "$@"
}

# fleet_row NAME WHAT RESULT: one line in the rows.
fleet_row() {
    local count
    case $1 in none) count=0 ;; few) count=$FEW ;; many) count=$FLEET ;; esac
    python3 "$HERE/report.py" --fleet-row "$count" "$2" "$3" | tee -a "$ROWS" >&2
}

main "$@"
