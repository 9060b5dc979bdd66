package sluice;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * What one run is asked for.
 *
 * @param without how many records of an export lack source.name (logs, traces: on a resource of their own; metrics: on
 *     the data point); one export for each, the records numbered on
 * @param timeout for an export and all its retries
 * @param duration then it is exported on until so long after the start
 * @param every the pause after each export
 */
record Options(
    String protocol,
    String signal,
    String endpoint,
    byte[] ca,
    byte[] certificate,
    byte[] key,
    boolean gzip,
    int records,
    List<Integer> without,
    Map<String, String> headers,
    String runId,
    int padding,
    Duration timeout,
    Duration duration,
    Duration every) {

  static Options parse(String[] arguments) throws IOException {
    Map<String, String> given = new HashMap<>(defaults());
    Map<String, String> headers = new HashMap<>();
    boolean gzip = false;
    for (int index = 0; index < arguments.length; index++) {
      String name = arguments[index];
      if (name.equals("--gzip")) {
        gzip = true;
        continue;
      }
      if (!name.startsWith("--") || index + 1 == arguments.length) {
        throw new IllegalArgumentException(name + ": write --NAME VALUE");
      }
      String value = arguments[++index];
      if (name.equals("--header")) {
        String[] parts = value.split("=", 2);
        headers.put(parts[0], parts[1]);
      } else {
        given.put(name, value);
      }
    }
    if (!given.get("--encoding").equals("proto")) {
      throw new IllegalArgumentException("--encoding: this SDK has proto alone");
    }
    int records = Integer.parseInt(given.get("--records"));
    List<Integer> without =
        Stream.of(given.get("--without").split(",")).map(Integer::valueOf).toList();
    if (!without.stream().allMatch(count -> 0 <= count && count <= records)) {
      throw new IllegalArgumentException("--without must lie between 0 and --records");
    }
    return new Options(
        needed(given, "--protocol"),
        needed(given, "--signal"),
        needed(given, "--endpoint"),
        read(needed(given, "--cacert")),
        read(needed(given, "--cert")),
        read(needed(given, "--key")),
        gzip,
        records,
        without,
        headers,
        needed(given, "--run-id"),
        Integer.parseInt(given.get("--padding")),
        seconds(given.get("--timeout")),
        seconds(given.get("--for")),
        seconds(given.get("--every")));
  }

  private static Map<String, String> defaults() {
    return Map.of(
        "--encoding", "proto",
        "--records", "10",
        "--without", "0",
        "--padding", "0",
        "--timeout", "10",
        "--for", "0",
        "--every", "0");
  }

  private static String needed(Map<String, String> given, String name) {
    String value = given.get(name);
    if (value == null) {
      throw new IllegalArgumentException("give " + name);
    }
    return value;
  }

  private static byte[] read(String path) throws IOException {
    return Files.readAllBytes(Path.of(path));
  }

  private static Duration seconds(String text) {
    return Duration.ofNanos(Math.round(Double.parseDouble(text) * 1e9));
  }
}
