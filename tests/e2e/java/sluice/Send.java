package sluice;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.opentelemetry.sdk.common.CompletableResultCode;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.BiFunction;

/**
 * Sends OTLP exports with the OpenTelemetry SDK for Java, and says what the sender saw of each as one line of JSON.
 *
 * <p>The SDK's own exporters do the sending. They keep what they are told to themselves, so the reply is noted on its
 * way back to them: see {@link Watch}. The exit status is 0 whenever a request was sent, whatever became of it.
 */
public final class Send {
  private Send() {}

  public static void main(String[] arguments) throws Exception {
    Options options = Options.parse(arguments);
    Watch watch = Watch.install();
    BiFunction<Integer, Integer, CompletableResultCode> export = Exporters.of(options);

    long until = System.nanoTime() + options.duration().toNanos();
    int first = 0;
    for (int count = 0;
        count < options.without().size() || System.nanoTime() < until;
        count++, first += options.records()) {
      int without = options.without().get(count % options.without().size());
      watch.clear();
      long began = System.nanoTime();
      CompletableResultCode result = export.apply(first, without);
      // The exporter's own timeout should end this. This timeout is for an exporter that does not.
      result.join(2 * options.timeout().toNanos(), TimeUnit.NANOSECONDS);
      Duration took = Duration.ofNanos(System.nanoTime() - began);
      report(result, took, watch);
      Thread.sleep(options.every().toMillis());
    }
    // Otherwise the exporters' threads would keep the process running.
    System.exit(0);
  }

  private static void report(CompletableResultCode result, Duration took, Watch watch)
      throws IOException {
    JsonGenerator json = new JsonFactory().createGenerator(System.out);
    json.disable(JsonGenerator.Feature.AUTO_CLOSE_TARGET);
    json.writeStartObject();
    json.writeStringField("sdk", "java");
    json.writeStringField("result", result.isSuccess() ? "success" : "failure");
    json.writeNumberField("attempts", watch.attempts());
    json.writeNumberField("milliseconds", took.toMillis());
    json.writeFieldName("reply");
    watch.reply().write(json);
    json.writeFieldName("partial_success");
    watch.partialSuccess().write(json);
    json.writeEndObject();
    json.writeRaw('\n');
    json.close();
  }
}
