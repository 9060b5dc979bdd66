package sluice;

import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.AttributesBuilder;
import io.opentelemetry.api.logs.Logger;
import io.opentelemetry.api.logs.Severity;
import io.opentelemetry.api.metrics.LongGauge;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.logs.SdkLoggerProvider;
import io.opentelemetry.sdk.logs.data.LogRecordData;
import io.opentelemetry.sdk.metrics.InstrumentType;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.metrics.data.AggregationTemporality;
import io.opentelemetry.sdk.metrics.data.MetricData;
import io.opentelemetry.sdk.metrics.export.CollectionRegistration;
import io.opentelemetry.sdk.metrics.export.MetricReader;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;

/** What is sent: the SDK's providers make it, nothing is written by hand. */
final class Batches {
  private static final String SCOPE = "sluice.e2e";

  private Batches() {}

  static Collection<LogRecordData> logs(Options options, int first, int without) {
    List<LogRecordData> collected = new ArrayList<>();
    halves(options, without)
        .forEach(
            (resource, count) -> {
              SdkLoggerProvider provider =
                  SdkLoggerProvider.builder()
                      .setResource(resource)
                      .addLogRecordProcessor((context, log) -> collected.add(log.toLogRecordData()))
                      .build();
              Logger logger = provider.get(SCOPE);
              for (int number = first; number < first + count; number++) {
                logger
                    .logRecordBuilder()
                    .setBody("log " + number)
                    .setSeverity(Severity.INFO)
                    .setSeverityText("INFO")
                    .emit();
              }
            });
    return collected;
  }

  static Collection<SpanData> traces(Options options, int first, int without) {
    SpanCollector collected = new SpanCollector();
    halves(options, without)
        .forEach(
            (resource, count) -> {
              SdkTracerProvider provider =
                  SdkTracerProvider.builder()
                      .setResource(resource)
                      .addSpanProcessor(SimpleSpanProcessor.create(collected))
                      .build();
              Tracer tracer = provider.get(SCOPE);
              for (int number = first; number < first + count; number++) {
                tracer.spanBuilder("span " + number).startSpan().end();
              }
            });
    return collected.spans;
  }

  static Collection<MetricData> metrics(Options options, int first, int without) {
    MetricCollector collector = new MetricCollector();
    SdkMeterProvider provider =
        SdkMeterProvider.builder()
            .setResource(resource(options, false))
            .registerMetricReader(collector)
            .build();
    LongGauge gauge = provider.get(SCOPE).gaugeBuilder("e2e.gauge").ofLongs().build();
    for (int index = 0; index < options.records(); index++) {
      AttributesBuilder attributes = Attributes.builder().put("point", first + index);
      if (index < options.records() - without) {
        attributes.put("source.name", "java");
      }
      gauge.set(1, attributes.build());
    }
    return collector.registration.collectAllMetrics();
  }

  /** The two resources of a batch, and how many records are under each. */
  private static Map<Resource, Integer> halves(Options options, int without) {
    return Map.of(
        resource(options, true), options.records() - without, resource(options, false), without);
  }

  private static Resource resource(Options options, boolean named) {
    AttributesBuilder attributes =
        Attributes.builder().put("service.name", "e2e").put("run.id", options.runId());
    if (options.padding() > 0) {
      attributes.put("padding", "x".repeat(options.padding()));
    }
    if (named) {
      attributes.put("source.name", "java");
    }
    return Resource.create(attributes.build());
  }

  private static final class SpanCollector implements SpanExporter {
    private final List<SpanData> spans = new ArrayList<>();

    @Override
    public CompletableResultCode export(Collection<SpanData> ended) {
      spans.addAll(ended);
      return CompletableResultCode.ofSuccess();
    }

    @Override
    public CompletableResultCode flush() {
      return CompletableResultCode.ofSuccess();
    }

    @Override
    public CompletableResultCode shutdown() {
      return CompletableResultCode.ofSuccess();
    }
  }

  private static final class MetricCollector implements MetricReader {
    private CollectionRegistration registration = CollectionRegistration.noop();

    @Override
    public void register(CollectionRegistration registration) {
      this.registration = registration;
    }

    @Override
    public AggregationTemporality getAggregationTemporality(InstrumentType type) {
      return AggregationTemporality.CUMULATIVE;
    }

    @Override
    public CompletableResultCode forceFlush() {
      return CompletableResultCode.ofSuccess();
    }

    @Override
    public CompletableResultCode shutdown() {
      return CompletableResultCode.ofSuccess();
    }
  }
}
