#!/bin/sh
# Makes an authority, Envoy's certificate and certificates for three senders in the given folder, unless it has
# certificates that stay valid for another day. The names of the first two senders are the same as in src/pki.rs; the
# third is on no allowlist.
set -eu

cd "$1"
if openssl x509 -in orders.pem -noout -checkend 86400 2>/dev/null; then exit 0; fi

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout ca.key -out ca.pem \
  -subj '/CN=sluice compose authority' -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign'

# issue NAME USAGE SANS
issue() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
  printf 'subjectAltName=%s\nextendedKeyUsage=%s\nbasicConstraints=critical,CA:FALSE\n' "$3" "$2" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -days 30 -extfile "$1.ext" -out "$1.pem"
  rm "$1.csr" "$1.ext"
}

issue server serverAuth 'DNS:envoy,DNS:localhost,IP:127.0.0.1'
issue payments clientAuth 'DNS:*.payments,DNS:otel.payments.svc'
issue team-blue clientAuth 'URI:spiffe://prod.example/ns/team-blue/sa/otel-collector'
issue orders clientAuth 'DNS:*.orders'

# Envoy's container does not run as root.
chmod 600 ./*.key
chown 101 server.key 2>/dev/null || true
