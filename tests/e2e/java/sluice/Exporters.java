package sluice;

import io.opentelemetry.exporter.otlp.http.logs.OtlpHttpLogRecordExporter;
import io.opentelemetry.exporter.otlp.http.metrics.OtlpHttpMetricExporter;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.logs.OtlpGrpcLogRecordExporter;
import io.opentelemetry.exporter.otlp.metrics.OtlpGrpcMetricExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.common.export.RetryPolicy;
import io.opentelemetry.sdk.logs.export.LogRecordExporter;
import io.opentelemetry.sdk.metrics.export.MetricExporter;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Duration;
import java.util.function.BiFunction;

/** The SDK's exporters. Their builders have the same methods, and no type in common. */
final class Exporters {
  /** As the SDK has it, but for the first pause: 1 s. */
  private static final RetryPolicy RETRIES =
      RetryPolicy.getDefault().toBuilder().setInitialBackoff(Duration.ofMillis(50)).build();

  private Exporters() {}

  /** An export by the number of its first record and how many of its records lack source.name. */
  static BiFunction<Integer, Integer, CompletableResultCode> of(Options options) {
    switch (options.signal() + " " + options.protocol()) {
      case "logs grpc", "logs http" -> {
        LogRecordExporter exporter = logs(options);
        return (first, without) -> exporter.export(Batches.logs(options, first, without));
      }
      case "metrics grpc", "metrics http" -> {
        MetricExporter exporter = metrics(options);
        return (first, without) -> exporter.export(Batches.metrics(options, first, without));
      }
      case "traces grpc", "traces http" -> {
        SpanExporter exporter = traces(options);
        return (first, without) -> exporter.export(Batches.traces(options, first, without));
      }
      default ->
          throw new IllegalArgumentException(
              "--signal "
                  + options.signal()
                  + " --protocol "
                  + options.protocol()
                  + ": there is no such exporter");
    }
  }

  private static LogRecordExporter logs(Options options) {
    return overGrpc(options)
        ? OtlpGrpcLogRecordExporter.builder()
            .setEndpoint(endpoint(options))
            .setTrustedCertificates(options.ca())
            .setClientTls(options.key(), options.certificate())
            .setHeaders(options::headers)
            .setTimeout(options.timeout())
            .setCompression(compression(options))
            .setRetryPolicy(RETRIES)
            .build()
        : OtlpHttpLogRecordExporter.builder()
            .setEndpoint(endpoint(options))
            .setTrustedCertificates(options.ca())
            .setClientTls(options.key(), options.certificate())
            .setHeaders(options::headers)
            .setTimeout(options.timeout())
            .setCompression(compression(options))
            .setRetryPolicy(RETRIES)
            .build();
  }

  private static MetricExporter metrics(Options options) {
    return overGrpc(options)
        ? OtlpGrpcMetricExporter.builder()
            .setEndpoint(endpoint(options))
            .setTrustedCertificates(options.ca())
            .setClientTls(options.key(), options.certificate())
            .setHeaders(options::headers)
            .setTimeout(options.timeout())
            .setCompression(compression(options))
            .setRetryPolicy(RETRIES)
            .build()
        : OtlpHttpMetricExporter.builder()
            .setEndpoint(endpoint(options))
            .setTrustedCertificates(options.ca())
            .setClientTls(options.key(), options.certificate())
            .setHeaders(options::headers)
            .setTimeout(options.timeout())
            .setCompression(compression(options))
            .setRetryPolicy(RETRIES)
            .build();
  }

  private static SpanExporter traces(Options options) {
    return overGrpc(options)
        ? OtlpGrpcSpanExporter.builder()
            .setEndpoint(endpoint(options))
            .setTrustedCertificates(options.ca())
            .setClientTls(options.key(), options.certificate())
            .setHeaders(options::headers)
            .setTimeout(options.timeout())
            .setCompression(compression(options))
            .setRetryPolicy(RETRIES)
            .build()
        : OtlpHttpSpanExporter.builder()
            .setEndpoint(endpoint(options))
            .setTrustedCertificates(options.ca())
            .setClientTls(options.key(), options.certificate())
            .setHeaders(options::headers)
            .setTimeout(options.timeout())
            .setCompression(compression(options))
            .setRetryPolicy(RETRIES)
            .build();
  }

  private static boolean overGrpc(Options options) {
    return options.protocol().equals("grpc");
  }

  private static String endpoint(Options options) {
    String endpoint = "https://" + options.endpoint();
    return overGrpc(options) ? endpoint : endpoint + "/v1/" + options.signal();
  }

  private static String compression(Options options) {
    return options.gzip() ? "gzip" : "none";
  }
}
