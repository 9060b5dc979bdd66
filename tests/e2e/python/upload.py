"""Uploads zeros with Python's http.client, each time over a new connection, and prints the result.

requests, urllib3 and the OpenTelemetry SDK for Python send with this client. It writes its whole request before it
reads. For each attempt one line is printed: the reply's status, or the name of the exception if there was no reply.
"""

import argparse
import http.client
import ssl


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True, metavar="HOST:PORT")
    parser.add_argument("--cacert", required=True, help="CA that the gate's certificate is checked against (PEM)")
    parser.add_argument("--cert", required=True, help="the sender's certificate (PEM)")
    parser.add_argument("--key", required=True, help="the sender's private key (PEM)")
    parser.add_argument("--method", default="POST")
    parser.add_argument("--path", default="/v1/logs")
    parser.add_argument("--content-type", default="application/x-protobuf")
    parser.add_argument("--bytes", type=int, required=True, help="the length of the body")
    parser.add_argument("--unannounced", action="store_true", help="in pieces of 16 KiB, without content-length")
    parser.add_argument("--tries", type=int, default=1)
    options = parser.parse_args()
    context = ssl.create_default_context(cafile=options.cacert)
    context.load_cert_chain(options.cert, options.key)
    for _ in range(options.tries):
        print(upload(options, context), flush=True)


def upload(options, context):
    connection = http.client.HTTPSConnection(options.endpoint, context=context, timeout=30)
    body = bytes(options.bytes)
    # An iterator has no length, so http.client sends it in chunks.
    pieces = (body[start:start + 16384] for start in range(0, len(body), 16384))
    try:
        connection.request(options.method, options.path, pieces if options.unannounced else body,
                           {"content-type": options.content_type})
        reply = connection.getresponse()
        reply.read()
        return reply.status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


if __name__ == "__main__":
    main()
