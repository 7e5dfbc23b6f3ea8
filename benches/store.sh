# Object stores for the bench: sourced by benches/run and benches/growth. What is stored lies below $WORK.

wait_for_port() { # port, name
    for _ in $(seq 300); do
        if python3 -c "import socket; socket.create_connection(('127.0.0.1', $1), 1)" 2>/dev/null; then return 0; fi
        sleep 0.1
    done
    echo "$2 did not come up" >&2
    return 1
}

# Google's, with TLS as the real one has it: gsutil knows nothing else. Each directory of $WORK/gcs is a bucket.
start_gcs() {
    local key=$WORK/gcs.key
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bench -keyout "$WORK/ca.key" -out "$WORK/gcs.pem" 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout "$key" -out "$WORK/gcs.csr" 2>/dev/null
    openssl x509 -req -in "$WORK/gcs.csr" -CA "$WORK/gcs.pem" -CAkey "$WORK/ca.key" -CAcreateserial -days 2 -out "$WORK/gcs.crt" \
        -extfile <(echo 'subjectAltName = IP:127.0.0.1'; echo 'basicConstraints = CA:FALSE') 2>/dev/null
    GCS_PORT=$(free_port)
    "$FAKE_GCS" -scheme https -cert-location "$WORK/gcs.crt" -private-key-location "$key" -backend filesystem -host 127.0.0.1 -port "$GCS_PORT" \
        -external-url "https://127.0.0.1:$GCS_PORT" -public-host "127.0.0.1:$GCS_PORT" -log-level error -filesystem-root "$WORK/gcs" >"$WORK/log/gcs" 2>&1 &
    STORE_PID=$!
    cat >"$WORK/boto" <<BOTO
[Credentials]
gs_json_host = 127.0.0.1
gs_json_port = $GCS_PORT
[Boto]
ca_certificates_file = $WORK/gcs.pem
https_validate_certificates = True
[GSUtil]
software_update_check_period = 0
state_dir = $WORK/gsutil
BOTO
    wait_for_port "$GCS_PORT" fake-gcs-server
}

# Amazon's: SeaweedFS with the bucket `bench`. Its filer takes files without a signature.
start_s3() {
    local ports
    # Each server's port for gRPC lies 10000 higher.
    mapfile -t ports < <(python3 - <<'PYTHON'
import socket
kept = []
while len(kept) < 4:
    one, other = socket.socket(), socket.socket()
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]
    try:
        if port < 55000:
            other.bind(("127.0.0.1", port + 10000))
            kept.append((one, other))
            print(port)
    except OSError:
        pass
PYTHON
    )
    FILER_PORT=${ports[2]} S3_PORT=${ports[3]}
    mkdir -p "$WORK/s3"
    cat >"$WORK/s3.json" <<'IDENTITY'
{"identities": [{"name": "bench", "credentials": [{"accessKey": "KEY", "secretKey": "SECRET"}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
IDENTITY
    "$WEED" server -ip=127.0.0.1 -ip.bind=127.0.0.1 -s3 -filer -volume.max=20 -master.port="${ports[0]}" -volume.port="${ports[1]}" \
        -filer.port="$FILER_PORT" -s3.port="$S3_PORT" -s3.config="$WORK/s3.json" -master.volumeSizeLimitMB=64 -dir="$WORK/s3" >"$WORK/log/s3" 2>&1 &
    STORE_PID=$!
    wait_for_port "$S3_PORT" SeaweedFS
    wait_for_port "$FILER_PORT" "SeaweedFS's filer"
    # Its shell waits without end for a server that it once found missing: asked again, it finds it.
    for _ in $(seq 20); do
        if printf 's3.bucket.create -name bench\ns3.bucket.list\n' | timeout 15 "$WEED" shell -master "127.0.0.1:${ports[0]}" -filer "127.0.0.1:$FILER_PORT" 2>&1 |
            grep "^  *bench" >/dev/null; then return 0; fi
    done
    echo "SeaweedFS makes no bucket" >&2
    return 1
}
