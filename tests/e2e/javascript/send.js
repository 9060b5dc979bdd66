// Sends OTLP exports with the OpenTelemetry SDK for JavaScript, and prints the result of each as one line of JSON.
//
// The SDK's own exporters send. They do not return the reply, so the program records the reply on its way to them: over
// gRPC where grpc-js delivers it, over HTTP with Node's diagnostics channels. The exit status is 0 if a request was
// sent, whatever its result.

"use strict";

const diagnostics = require("node:diagnostics_channel");
const { readFileSync } = require("node:fs");
const { setTimeout: sleep } = require("node:timers/promises");
const { parseArgs } = require("node:util");

const grpc = require("@grpc/grpc-js");
const { SeverityNumber } = require("@opentelemetry/api-logs");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } = require("@opentelemetry/sdk-logs");
const { MeterProvider, MetricReader } = require("@opentelemetry/sdk-metrics");
const { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-base");
const protobuf = require("protobufjs");

const SCOPE = "sluice.e2e";

const OPTIONS = {
  protocol: { type: "string" },
  encoding: { type: "string", default: "proto" },
  signal: { type: "string" },
  endpoint: { type: "string" },
  cacert: { type: "string" },
  cert: { type: "string" },
  key: { type: "string" },
  gzip: { type: "boolean", default: false },
  records: { type: "string", default: "10" },
  // How many records lack source.name (logs, traces: on their own resource; metrics: on the data point): M[,M..], one
  // export for each number, with increasing record numbers.
  without: { type: "string", default: "0" },
  header: { type: "string", multiple: true, default: [] },
  "run-id": { type: "string" },
  // The size of a resource attribute that makes the request large; none if 0.
  padding: { type: "string", default: "0" },
  // Seconds: the timeout for an export with all its retries; how long to export; the pause after each export.
  timeout: { type: "string", default: "10" },
  for: { type: "string", default: "0" },
  every: { type: "string", default: "0" },
};

async function main() {
  const options = parse();
  const replies = [];
  const exporter = makeExporter(options, replies);
  const until = performance.now() + 1000 * Number(options.for);
  let first = 0;
  for (let count = 0; count < options.without.length || performance.now() < until; count += 1) {
    const without = options.without[count % options.without.length];
    const batch = await BATCHES[options.signal](options, first, without);
    replies.length = 0;
    const began = performance.now();
    const result = await new Promise((resolve) => exporter.export(batch, resolve));
    report(result, performance.now() - began, replies);
    first += options.records;
    await sleep(1000 * Number(options.every));
  }
  await exporter.shutdown();
}

function parse() {
  const { values: options } = parseArgs({ options: OPTIONS });
  const missing = Object.keys(OPTIONS).filter((name) => options[name] === undefined);
  if (missing.length > 0) throw new Error(`give --${missing.join(", --")}`);
  options.records = Number(options.records);
  options.without = options.without.split(",").map(Number);
  if (!options.without.every((without) => without >= 0 && without <= options.records)) {
    throw new Error("--without must lie between 0 and --records");
  }
  options.headers = Object.fromEntries(
    options.header.map((header) => {
      const at = header.indexOf("=");
      if (at < 0) throw new Error(`--header ${header}: write NAME=VALUE`);
      return [header.slice(0, at), header.slice(at + 1)];
    }),
  );
  return options;
}

function report(result, milliseconds, replies) {
  const nothing = `the exporter sent nothing: ${result.error?.message}`;
  const last = replies.at(-1) ?? { reply: { kind: "none", message: nothing } };
  const line = {
    sdk: "javascript",
    // ExportResultCode.SUCCESS.
    result: result.code === 0 ? "success" : "failure",
    attempts: replies.length,
    milliseconds: Math.round(milliseconds),
    reply: last.reply,
    partial_success: last.partialSuccess ?? null,
  };
  console.log(JSON.stringify(line));
}

// What is sent. The SDK's providers make it; nothing is written by hand.

function resource(options, named) {
  const attributes = { "service.name": "e2e", "run.id": options["run-id"] };
  if (Number(options.padding) > 0) attributes.padding = "x".repeat(Number(options.padding));
  if (named) attributes["source.name"] = "javascript";
  return resourceFromAttributes(attributes);
}

// The two resources of a batch, and the number of records of each.
function halves(options, without) {
  return [
    [resource(options, true), options.records - without],
    [resource(options, false), without],
  ];
}

async function logs(options, first, without) {
  const collected = new InMemoryLogRecordExporter();
  for (const [ofHalf, count] of halves(options, without)) {
    const processors = [new SimpleLogRecordProcessor({ exporter: collected })];
    const provider = new LoggerProvider({ resource: ofHalf, processors });
    const logger = provider.getLogger(SCOPE);
    for (let number = first; number < first + count; number += 1) {
      logger.emit({ body: `log ${number}`, severityNumber: SeverityNumber.INFO, severityText: "INFO" });
    }
    await provider.forceFlush();
  }
  return collected.getFinishedLogRecords();
}

async function traces(options, first, without) {
  const collected = new InMemorySpanExporter();
  for (const [ofHalf, count] of halves(options, without)) {
    const spanProcessors = [new SimpleSpanProcessor(collected)];
    const provider = new BasicTracerProvider({ resource: ofHalf, spanProcessors });
    const tracer = provider.getTracer(SCOPE);
    for (let number = first; number < first + count; number += 1) {
      tracer.startSpan(`span ${number}`).end();
    }
    await provider.forceFlush();
  }
  return collected.getFinishedSpans();
}

async function metrics(options, first, without) {
  const reader = new (class extends MetricReader {
    async onForceFlush() {}
    async onShutdown() {}
  })();
  const provider = new MeterProvider({ resource: resource(options, false), readers: [reader] });
  const gauge = provider.getMeter(SCOPE).createGauge("e2e.gauge");
  for (let index = 0; index < options.records; index += 1) {
    const attributes = { point: first + index };
    if (index < options.records - without) attributes["source.name"] = "javascript";
    gauge.record(1, attributes);
  }
  const { resourceMetrics } = await reader.collect();
  return resourceMetrics;
}

const BATCHES = { logs, metrics, traces };

// How it is sent, and the reply.

const EXPORTERS = {
  logs: (way) => require(`@opentelemetry/exporter-logs-otlp-${way}`).OTLPLogExporter,
  metrics: (way) => require(`@opentelemetry/exporter-metrics-otlp-${way}`).OTLPMetricExporter,
  traces: (way) => require(`@opentelemetry/exporter-trace-otlp-${way}`).OTLPTraceExporter,
};

function makeExporter(options, replies) {
  const [ca, cert, key] = [options.cacert, options.cert, options.key].map((path) => readFileSync(path));
  const common = {
    timeoutMillis: 1000 * Number(options.timeout),
    compression: options.gzip ? "gzip" : "none",
  };
  if (options.protocol === "grpc") {
    watchGrpc(replies);
    const metadata = new grpc.Metadata();
    for (const [name, value] of Object.entries(options.headers)) metadata.set(name, value);
    return new (EXPORTERS[options.signal]("grpc"))({
      ...common,
      url: `https://${options.endpoint}`,
      credentials: grpc.credentials.createSsl(ca, key, cert),
      metadata,
    });
  }
  watchHttp(replies);
  return new (EXPORTERS[options.signal](options.encoding === "json" ? "http" : "proto"))({
    ...common,
    url: `https://${options.endpoint}/v1/${options.signal}`,
    headers: options.headers,
    httpAgentOptions: { ca, cert, key },
  });
}

// The exporter makes its client itself, without interceptors. So it gets a factory of clients with one.
function watchGrpc(replies) {
  const clients = require("@opentelemetry/otlp-grpc-exporter-base/build/src/create-service-client-constructor");
  const { createServiceClientConstructor } = clients;
  const interceptors = [(options, next) => new grpc.InterceptingCall(next(options), watched(replies))];
  clients.createServiceClientConstructor = (...service) => {
    const Client = createServiceClientConstructor(...service);
    return function (address, credentials, options) {
      return new Client(address, credentials, { ...options, interceptors });
    };
  };
}

function watched(replies) {
  return new grpc.RequesterBuilder()
    .withStart((metadata, listener, next) => {
      let [answered, response] = [false, null];
      const watching = new grpc.ListenerBuilder()
        .withOnReceiveMetadata((head, pass) => {
          answered = true;
          pass(head);
        })
        .withOnReceiveMessage((message, pass) => {
          response = message;
          pass(message);
        })
        .withOnReceiveStatus((status, pass) => {
          // A reply of Envoy has at least a date; otherwise the library made up the status.
          answered ||= Object.keys(status.metadata.getMap()).length > 0;
          replies.push(answered ? grpcReply(status, response) : { reply: { kind: "none", message: status.details } });
          pass(status);
        });
      next(metadata, watching.build());
    })
    .build();
}

function grpcReply({ code, details }, response) {
  const reply = { kind: "grpc", code: grpc.status[code], message: details };
  return code === grpc.status.OK ? { reply, partialSuccess: partialSuccess(decoded(Response, response)) } : { reply };
}

function watchHttp(replies) {
  diagnostics.subscribe("http.client.request.start", ({ request }) => {
    request.on("error", (error) => replies.push({ reply: { kind: "none", message: error.message } }));
  });
  diagnostics.subscribe("http.client.response.finish", ({ response }) => {
    const chunks = [];
    response.on("data", (chunk) => chunks.push(chunk));
    response.on("end", () => replies.push(httpReply(response, Buffer.concat(chunks))));
  });
}

function httpReply(response, body) {
  const contentType = response.headers["content-type"];
  const read = contentType === "application/json" ? (_, text) => JSON.parse(text) : decoded;
  const reply = { kind: "http", status: response.statusCode, content_type: contentType ?? null, error: null };
  if (response.statusCode < 300) {
    return { reply, partialSuccess: partialSuccess(read(Response, body)) };
  }
  const { code = 0, message = "" } = read(Status, body);
  reply.error = { code, message };
  return { reply };
}

// The responses of all signals only differ in one name; see opentelemetry/proto/collector in the protocol, and
// google/rpc/status.proto.
const messages = protobuf.parse(`
  syntax = "proto3";
  message PartialSuccess { int64 rejected = 1; string error_message = 2; }
  message Response { PartialSuccess partial_success = 1; }
  message Status { int32 code = 1; string message = 2; }
`).root;
const [Response, Status] = ["Response", "Status"].map((name) => messages.lookupType(name));

function decoded(type, body) {
  return type.toObject(type.decode(body), { longs: Number, defaults: false });
}

function partialSuccess({ partialSuccess: said }) {
  if (said === undefined || said === null) return null;
  const rejected = said.rejected ?? said.rejectedLogRecords ?? said.rejectedDataPoints ?? said.rejectedSpans ?? 0;
  return { rejected: Number(rejected), message: said.errorMessage ?? "" };
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
