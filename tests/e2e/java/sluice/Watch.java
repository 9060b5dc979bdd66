package sluice;

import com.fasterxml.jackson.core.JsonGenerator;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.UnknownFieldSet;
import io.opentelemetry.exporter.sender.okhttp.internal.OkHttpGrpcSenderProvider;
import io.opentelemetry.exporter.sender.okhttp.internal.OkHttpHttpSenderProvider;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.common.export.GrpcResponse;
import io.opentelemetry.sdk.common.export.GrpcSender;
import io.opentelemetry.sdk.common.export.GrpcSenderConfig;
import io.opentelemetry.sdk.common.export.GrpcSenderProvider;
import io.opentelemetry.sdk.common.export.GrpcStatusCode;
import io.opentelemetry.sdk.common.export.HttpResponse;
import io.opentelemetry.sdk.common.export.HttpSender;
import io.opentelemetry.sdk.common.export.HttpSenderConfig;
import io.opentelemetry.sdk.common.export.HttpSenderProvider;
import io.opentelemetry.sdk.common.export.MessageWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.util.function.Consumer;

/**
 * Notes each attempt and the last reply, and hands them on unchanged.
 *
 * <p>It stands between the exporters and the SDK's usual senders, which send with OkHttp and retry: an attempt is the
 * message being written once more. The SDK finds {@link Http} and {@link Grpc} by their names.
 */
public final class Watch {
  private static final Watch WATCH = new Watch();

  private int attempts;
  private Json reply = nothing("the exporter sent nothing");
  private Json partialSuccess = JsonGenerator::writeNull;

  private Watch() {}

  /** Something that can be written as JSON. */
  interface Json {
    void write(JsonGenerator json) throws IOException;
  }

  /** Before the exporters are made. */
  static Watch install() {
    System.setProperty(HttpSenderProvider.class.getName(), Http.class.getName());
    System.setProperty(GrpcSenderProvider.class.getName(), Grpc.class.getName());
    return WATCH;
  }

  synchronized void clear() {
    attempts = 0;
    reply = nothing("the exporter sent nothing");
    partialSuccess = JsonGenerator::writeNull;
  }

  synchronized int attempts() {
    return attempts;
  }

  synchronized Json reply() {
    return reply;
  }

  synchronized Json partialSuccess() {
    return partialSuccess;
  }

  private static Json nothing(String message) {
    return json -> {
      json.writeStartObject();
      json.writeStringField("kind", "none");
      json.writeStringField("message", message);
      json.writeEndObject();
    };
  }

  /** Counts an attempt each time it is written. */
  private MessageWriter counted(MessageWriter message) {
    return new MessageWriter() {
      @Override
      public void writeMessage(OutputStream output) throws IOException {
        synchronized (Watch.this) {
          attempts++;
        }
        message.writeMessage(output);
      }

      @Override
      public int getContentLength() {
        return message.getContentLength();
      }
    };
  }

  private synchronized void failed(Throwable error) {
    reply = nothing(error.toString());
  }

  private synchronized void answered(HttpResponse response) {
    boolean good = response.getStatusCode() / 100 == 2;
    if (good) {
      partialSuccess = partialSuccess(response.getResponseBody());
    }
    Json error = good ? JsonGenerator::writeNull : status(response.getResponseBody());
    reply =
        json -> {
          json.writeStartObject();
          json.writeStringField("kind", "http");
          json.writeNumberField("status", response.getStatusCode());
          // The SDK does not return it.
          json.writeNullField("content_type");
          json.writeFieldName("error");
          error.write(json);
          json.writeEndObject();
        };
  }

  private synchronized void answered(GrpcResponse response) {
    boolean good = response.getStatusCode() == GrpcStatusCode.OK;
    if (good) {
      partialSuccess = partialSuccess(response.getResponseMessage());
    }
    reply =
        json -> {
          json.writeStartObject();
          json.writeStringField("kind", "grpc");
          json.writeStringField("code", response.getStatusCode().name());
          json.writeStringField("message", good ? "" : response.getStatusDescription());
          json.writeEndObject();
        };
  }

  /** Field 1 of the response of each signal: a count and a message. */
  private static Json partialSuccess(byte[] response) {
    var partial = fields(response).getField(1).getLengthDelimitedList();
    if (partial.isEmpty()) {
      return JsonGenerator::writeNull;
    }
    UnknownFieldSet said = fields(partial.get(0).toByteArray());
    return json -> {
      json.writeStartObject();
      json.writeNumberField("rejected", number(said));
      json.writeStringField("message", text(said));
      json.writeEndObject();
    };
  }

  /** A google.rpc.Status: a code and a message. */
  private static Json status(byte[] body) {
    UnknownFieldSet said = fields(body);
    return json -> {
      json.writeStartObject();
      json.writeNumberField("code", number(said));
      json.writeStringField("message", text(said));
      json.writeEndObject();
    };
  }

  private static UnknownFieldSet fields(byte[] message) {
    try {
      return UnknownFieldSet.parseFrom(message);
    } catch (InvalidProtocolBufferException error) {
      throw new IllegalStateException("no protobuf in a reply", error);
    }
  }

  private static long number(UnknownFieldSet message) {
    var values = message.getField(1).getVarintList();
    return values.isEmpty() ? 0 : values.get(0);
  }

  private static String text(UnknownFieldSet message) {
    var values = message.getField(2).getLengthDelimitedList();
    return values.isEmpty() ? "" : values.get(0).toStringUtf8();
  }

  /** Makes watched senders for HTTP. */
  public static final class Http implements HttpSenderProvider {
    @Override
    public HttpSender createSender(HttpSenderConfig config) {
      HttpSender sender = new OkHttpHttpSenderProvider().createSender(config);
      return new HttpSender() {
        @Override
        public void send(
            MessageWriter message, Consumer<HttpResponse> onResponse, Consumer<Throwable> onError) {
          Consumer<HttpResponse> noted = WATCH::answered;
          Consumer<Throwable> failed = WATCH::failed;
          sender.send(WATCH.counted(message), noted.andThen(onResponse), failed.andThen(onError));
        }

        @Override
        public CompletableResultCode shutdown() {
          return sender.shutdown();
        }
      };
    }
  }

  /** Makes watched senders for gRPC. */
  public static final class Grpc implements GrpcSenderProvider {
    @Override
    public GrpcSender createSender(GrpcSenderConfig config) {
      GrpcSender sender = new OkHttpGrpcSenderProvider().createSender(config);
      return new GrpcSender() {
        @Override
        public void send(
            MessageWriter message, Consumer<GrpcResponse> onResponse, Consumer<Throwable> onError) {
          Consumer<GrpcResponse> noted = WATCH::answered;
          Consumer<Throwable> failed = WATCH::failed;
          sender.send(WATCH.counted(message), noted.andThen(onResponse), failed.andThen(onError));
        }

        @Override
        public CompletableResultCode shutdown() {
          return sender.shutdown();
        }
      };
    }
  }
}
