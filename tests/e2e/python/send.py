"""Sends OTLP exports with the OpenTelemetry SDK for Python, and prints the result of each.

The SDK's own exporters send. They discard the body of a reply, so the program records the reply
on its way to them: over gRPC with a client interceptor, over HTTP in the exporter's session. For
each export one JSON object is printed to standard output. The exit status is 0 if a request was
sent, whatever its result.
"""

import argparse
import contextlib
import json
import sys
import time
from unittest import mock

import grpc
import requests
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc import exporter as grpc_exporter
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression as HttpCompression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SCOPE = "sluice.e2e"

EXPORTERS = {
    ("grpc", "logs"): GrpcLogExporter,
    ("grpc", "metrics"): GrpcMetricExporter,
    ("grpc", "traces"): GrpcSpanExporter,
    ("http", "logs"): HttpLogExporter,
    ("http", "metrics"): HttpMetricExporter,
    ("http", "traces"): HttpSpanExporter,
}

RESPONSES = {
    "logs": (ExportLogsServiceResponse, "rejected_log_records"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
    "traces": (ExportTraceServiceResponse, "rejected_spans"),
}


def main():
    options = parse_arguments()
    replies = []
    until = time.monotonic() + getattr(options, "for")
    count = first = 0
    with EXPORTING[options.protocol](options, replies) as exporter:
        while count < len(options.without) or time.monotonic() < until:
            without = options.without[count % len(options.without)]
            batch = BATCHES[options.signal](options, first, without)
            began = time.monotonic()
            sent = exporter.export(batch)
            report(sent, time.monotonic() - began, replies)
            replies.clear()
            count += 1
            first += options.records
            time.sleep(options.every)


def report(sent, seconds, replies):
    last = replies[-1] if replies else {"reply": {"kind": "none", "message": "the exporter sent nothing"}}
    print(json.dumps({
        "sdk": "python",
        "result": "success" if sent.name == "SUCCESS" else "failure",
        "attempts": len(replies),
        "milliseconds": round(1000 * seconds),
        "reply": last["reply"],
        "partial_success": last.get("partial_success"),
    }))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: send.py --protocol grpc --signal logs --endpoint 127.0.0.1:4317 --cacert ca.pem "
        "--cert payments.pem --key payments.key --records 10 --without 3 --run-id try-1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--protocol", choices=["grpc", "http"], required=True)
    parser.add_argument("--encoding", choices=["proto"], default="proto", help="this SDK has no JSON")
    parser.add_argument("--signal", choices=["logs", "metrics", "traces"], required=True)
    parser.add_argument("--endpoint", required=True, metavar="HOST:PORT", help="where the gate listens")
    parser.add_argument("--cacert", required=True, help="CA that the gate's certificate is checked against (PEM)")
    parser.add_argument("--cert", required=True, help="the sender's certificate (PEM)")
    parser.add_argument("--key", required=True, help="the sender's private key (PEM)")
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--records", type=int, default=10, metavar="N", help="log records, data points or spans")
    parser.add_argument("--without", type=numbers, default=[0], metavar="M[,M..]",
                        help="how many of the N lack source.name (logs, traces: on a resource of their own; "
                        "metrics: on the data point); one export for each M, the records numbered on")
    parser.add_argument("--header", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    parser.add_argument("--run-id", required=True, help="put into the resource attribute run.id, to find it again")
    parser.add_argument("--padding", type=int, default=0, metavar="BYTES",
                        help="the size of a resource attribute that makes the request large; none if 0")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS",
                        help="for an export and all its retries")
    parser.add_argument("--for", type=float, default=0.0, metavar="SECONDS",
                        help="then export again and again until so long after the start")
    parser.add_argument("--every", type=float, default=0.0, metavar="SECONDS", help="the pause after each export")
    options = parser.parse_args()
    if not all(0 <= without <= options.records for without in options.without):
        parser.error("--without must lie between 0 and --records")
    options.headers = []
    for header in options.header:
        name, separator, value = header.partition("=")
        if not separator:
            parser.error(f"--header {header}: write NAME=VALUE")
        options.headers.append((name, value))
    return options


def numbers(text):
    return [int(number) for number in text.split(",")]


# What is sent. The SDK's providers make it; nothing is written by hand.

def resource(options, named):
    attributes = {"service.name": "e2e", "run.id": options.run_id}
    if options.padding:
        attributes["padding"] = "x" * options.padding
    if named:
        attributes["source.name"] = "python"
    return Resource(attributes)


def halves(options, without):
    """The two resources of a batch and the number of records of each; an empty one is left out."""
    counts = [(True, options.records - without), (False, without)]
    return [(resource(options, named), count) for named, count in counts if count]


def logs(options, first, without):
    collected = InMemoryLogRecordExporter()
    for of_resource, count in halves(options, without):
        provider = LoggerProvider(resource=of_resource, shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(collected))
        logger = provider.get_logger(SCOPE)
        for index in range(first, first + count):
            logger.emit(body=f"log {index}", severity_number=SeverityNumber.INFO, severity_text="INFO")
    return collected.get_finished_logs()


def traces(options, first, without):
    collected = InMemorySpanExporter()
    for of_resource, count in halves(options, without):
        provider = TracerProvider(resource=of_resource, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(collected))
        tracer = provider.get_tracer(SCOPE)
        for index in range(first, first + count):
            tracer.start_span(f"span {index}").end()
    return collected.get_finished_spans()


def metrics(options, first, without):
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], resource=resource(options, False), shutdown_on_exit=False)
    gauge = provider.get_meter(SCOPE).create_gauge("e2e.gauge")
    for index in range(options.records):
        attributes = {"point": first + index}
        if index < options.records - without:
            attributes["source.name"] = "python"
        gauge.set(first + index, attributes)
    return reader.get_metrics_data()


BATCHES = {"logs": logs, "metrics": metrics, "traces": traces}


# How it is sent, and the reply.

@contextlib.contextmanager
def exporting_over_grpc(options, replies):
    """Exports over gRPC. The exporter opens a new channel after a failure, so each channel is watched."""
    open_channel = grpc_exporter.secure_channel

    def open_watched(*arguments, **named):
        return grpc.intercept_channel(open_channel(*arguments, **named), Watch(options.signal, replies))

    with open(options.cacert, "rb") as ca, open(options.cert, "rb") as cert, open(options.key, "rb") as key:
        credentials = grpc.ssl_channel_credentials(ca.read(), key.read(), cert.read())
    with mock.patch.object(grpc_exporter, "secure_channel", open_watched):
        yield EXPORTERS["grpc", options.signal](
            endpoint=options.endpoint,
            insecure=False,
            credentials=credentials,
            headers=[(name.lower(), value) for name, value in options.headers],
            timeout=options.timeout,
            compression=grpc.Compression.Gzip if options.gzip else grpc.Compression.NoCompression,
        )


class Watch(grpc.UnaryUnaryClientInterceptor):
    """Records each reply, and passes it on unchanged."""

    def __init__(self, signal, replies):
        self.signal = signal
        self.replies = replies

    def intercept_unary_unary(self, continuation, details, request):
        call = continuation(details, request)
        code = call.code()
        if code is grpc.StatusCode.OK:
            noted = {"reply": {"kind": "grpc", "code": code.name, "message": ""}}
            noted["partial_success"] = partial_success(self.signal, call.result())
        elif code is grpc.StatusCode.UNAVAILABLE and not call.initial_metadata() and not call.trailing_metadata():
            # A reply of Envoy has at least a date; otherwise the client's own library made up this status.
            noted = {"reply": {"kind": "none", "message": call.details() or ""}}
        else:
            noted = {"reply": {"kind": "grpc", "code": code.name, "message": call.details() or ""}}
        self.replies.append(noted)
        return call


@contextlib.contextmanager
def exporting_over_http(options, replies):
    """Exports over HTTP/1.1."""
    yield EXPORTERS["http", options.signal](
        endpoint=f"https://{options.endpoint}/v1/{options.signal}",
        certificate_file=options.cacert,
        client_certificate_file=options.cert,
        client_key_file=options.key,
        headers=dict(options.headers),
        timeout=options.timeout,
        compression=HttpCompression.Gzip if options.gzip else HttpCompression.NoCompression,
        session=WatchedSession(options.signal, replies),
    )


EXPORTING = {"grpc": exporting_over_grpc, "http": exporting_over_http}


class WatchedSession(requests.Session):
    """Records each reply, and passes it on unchanged."""

    def __init__(self, signal, replies):
        super().__init__()
        # Otherwise REQUESTS_CA_BUNDLE in the environment would take precedence over the exporter's certificate_file.
        self.trust_env = False
        self.signal = signal
        self.replies = replies

    def send(self, request, **named):
        try:
            response = super().send(request, **named)
        except requests.exceptions.RequestException as error:
            self.replies.append({"reply": {"kind": "none", "message": str(error)}})
            raise
        reply = {
            "kind": "http",
            "status": response.status_code,
            "content_type": response.headers.get("content-type"),
            "error": None,
        }
        noted = {"reply": reply}
        if response.ok:
            message = parsed(RESPONSES[self.signal][0], response.content)
            if message is not None:
                noted["partial_success"] = partial_success(self.signal, message)
        else:
            status = parsed(Status, response.content)
            if status is not None:
                reply["error"] = {"code": status.code, "message": status.message}
        self.replies.append(noted)
        return response


def parsed(kind, body):
    """The protobuf message in `body`, or None if it is not one (a proxy's plain text, for example)."""
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError:
        return None
    return message


def partial_success(signal, response):
    if not response.HasField("partial_success"):
        return None
    said = response.partial_success
    return {"rejected": getattr(said, RESPONSES[signal][1]), "message": said.error_message}


if __name__ == "__main__":
    sys.exit(main())
