import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.format.DateTimeFormatter;
import java.util.Collections;
import java.util.HexFormat;
import java.util.IdentityHashMap;
import java.util.Set;
import java.util.UUID;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Conversions;
import org.apache.avro.Resolver;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.data.TimeConversions;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.Encoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.util.TimePeriod;

/**
 * Apache Avro's own library as a server on standard input: a line of JSON with `op` in, a line of JSON out, in order.
 *
 * What the library refuses is an answer with `error`.
 */
public final class Conformance {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final HexFormat HEX = HexFormat.of();
    private static final GenericData PLAIN = new GenericData();
    private static final GenericData FAST = new GenericData();
    private static final GenericData LOGICAL = new GenericData();

    static {
        // Of its two readers one fails on defaults of arrays in unions, the other on some types that hold themselves.
        PLAIN.setFastReaderEnabled(false);
        FAST.setFastReaderEnabled(true);
        LOGICAL.addLogicalTypeConversion(new Conversions.DecimalConversion());
        LOGICAL.addLogicalTypeConversion(new Conversions.UUIDConversion());
        LOGICAL.addLogicalTypeConversion(new Conversions.DurationConversion());
        LOGICAL.addLogicalTypeConversion(new TimeConversions.DateConversion());
        LOGICAL.addLogicalTypeConversion(new TimeConversions.TimeMillisConversion());
        LOGICAL.addLogicalTypeConversion(new TimeConversions.TimeMicrosConversion());
        LOGICAL.addLogicalTypeConversion(new TimeConversions.TimestampMillisConversion());
        LOGICAL.addLogicalTypeConversion(new TimeConversions.TimestampMicrosConversion());
        LOGICAL.addLogicalTypeConversion(new TimeConversions.TimestampNanosConversion());
        LOGICAL.addLogicalTypeConversion(new TimeConversions.LocalTimestampMillisConversion());
        LOGICAL.addLogicalTypeConversion(new TimeConversions.LocalTimestampMicrosConversion());
        LOGICAL.addLogicalTypeConversion(new TimeConversions.LocalTimestampNanosConversion());
    }

    private Conformance() {}

    public static void main(String[] arguments) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                fill(answer, JSON.readTree(line));
            } catch (Exception | StackOverflowError error) {
                answer.put("error", error.toString());
            }
            out.println(JSON.writeValueAsString(answer));
            out.flush();
        }
    }

    private static void fill(ObjectNode answer, JsonNode request) throws IOException {
        switch (request.get("op").asText()) {
            case "parse" -> answer.put("name", schema(request, "schema").getFullName());
            case "pair" -> pair(answer, schema(request, "writer"), schema(request, "reader"));
            case "resolve" -> resolve(answer, request, schema(request, "writer"), schema(request, "reader"));
            case "from_json" -> fromJson(answer, schema(request, "schema"), request.get("json").asText());
            case "to_json" -> toJson(answer, schema(request, "schema"), bytes(request.get("hex")));
            case "from_text" -> fromText(answer, schema(request, "schema"), request.get("text").asText());
            case "to_text" -> answer.put("text", text(schema(request, "schema"), bytes(request.get("hex"))));
            default -> throw new IllegalArgumentException("no such op: " + request.get("op"));
        }
    }

    private static Schema schema(JsonNode request, String name) {
        return new Schema.Parser().parse(request.get(name).asText());
    }

    private static byte[] bytes(JsonNode hex) {
        return HEX.parseHex(hex.asText());
    }

    /** `compatible` by SchemaCompatibility; `unresolved`: why the resolving reader could meet a value it can't read. */
    private static void pair(ObjectNode answer, Schema writer, Schema reader) {
        try {
            SchemaCompatibility.SchemaPairCompatibility found =
                    SchemaCompatibility.checkReaderWriterCompatibility(reader, writer);
            boolean compatible = found.getType() == SchemaCompatibility.SchemaCompatibilityType.COMPATIBLE;
            answer.put("compatible", compatible);
            if (!compatible) {
                answer.put("reason", found.getResult().getIncompatibilities().toString());
            }
        } catch (AvroRuntimeException error) {
            answer.put("compatible", false).put("reason", error.toString());
        }
        answer.put("unresolved", unresolved(writer, reader));
    }

    private static String unresolved(Schema writer, Schema reader) {
        try {
            Resolver.Action whole = Resolver.resolve(Schema.applyAliases(writer, reader), reader, PLAIN);
            return unresolved(whole, Collections.newSetFromMap(new IdentityHashMap<>()));
        } catch (AvroRuntimeException error) {
            return error.toString();
        }
    }

    private static String unresolved(Resolver.Action action, Set<Resolver.Action> seen) {
        if (action == null || !seen.add(action)) {
            return null;
        }
        if (action instanceof Resolver.ErrorAction error) {
            return error.toString();
        }
        if (action instanceof Resolver.Container container) {
            return unresolved(container.elementAction, seen);
        }
        if (action instanceof Resolver.ReaderUnion union) {
            return unresolved(union.actualAction, seen);
        }
        Resolver.Action[] parts = {};
        if (action instanceof Resolver.WriterUnion union) {
            parts = union.actions;
        } else if (action instanceof Resolver.RecordAdjust record) {
            parts = record.fieldActions;
        } else if (action instanceof Resolver.EnumAdjust symbols) {
            for (int adjusted : symbols.adjustments) {
                if (adjusted < 0) {
                    return "a symbol that is gone";
                }
            }
        }
        for (Resolver.Action part : parts) {
            String found = unresolved(part, seen);
            if (found != null) {
                return found;
            }
        }
        return null;
    }

    /** What the resolving reader makes of each of `values`, written again with the reader's schema. */
    private static void resolve(ObjectNode answer, JsonNode request, Schema writer, Schema reader) {
        GenericData data = request.path("fast").asBoolean() ? FAST : PLAIN;
        ArrayNode results = answer.putArray("values");
        for (JsonNode hex : request.get("values")) {
            try {
                results.addObject().put("hex", HEX.formatHex(write(PLAIN, reader, read(data, writer, reader, bytes(hex)))));
            } catch (IOException | RuntimeException error) {
                ((ObjectNode) results.get(results.size() - 1)).put("error", error.toString());
            }
        }
    }

    private static Object read(GenericData data, Schema writer, Schema reader, byte[] body) throws IOException {
        BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(body, null);
        Object value = new GenericDatumReader<>(writer, reader, data).read(null, decoder);
        if (!decoder.isEnd()) {
            throw new IOException("bytes are left over");
        }
        return value;
    }

    private static byte[] write(GenericData data, Schema schema, Object value) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
        new GenericDatumWriter<>(schema, data).write(value, encoder);
        encoder.flush();
        return out.toByteArray();
    }

    /** Avro's JSON encoding to bytes. */
    private static void fromJson(ObjectNode answer, Schema schema, String json) throws IOException {
        Object value = new GenericDatumReader<>(schema, schema, PLAIN)
                .read(null, DecoderFactory.get().jsonDecoder(schema, json));
        answer.put("hex", HEX.formatHex(write(PLAIN, schema, value)));
    }

    /** Bytes to Avro's JSON encoding. */
    private static void toJson(ObjectNode answer, Schema schema, byte[] body) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Encoder encoder = EncoderFactory.get().jsonEncoder(schema, out);
        new GenericDatumWriter<>(schema, PLAIN).write(read(PLAIN, schema, schema, body), encoder);
        encoder.flush();
        answer.put("json", out.toString(StandardCharsets.UTF_8));
    }

    /** The text of Java's own class for a logical type (BigDecimal, LocalDate, Instant, …) to bytes. */
    private static void fromText(ObjectNode answer, Schema schema, String text) throws IOException {
        answer.put("hex", HEX.formatHex(write(LOGICAL, schema, object(schema, text))));
    }

    private static Object object(Schema schema, String text) {
        return switch (schema.getLogicalType().getName()) {
            case "decimal" -> new BigDecimal(text);
            case "uuid" -> UUID.fromString(text);
            case "duration" -> period(text.split(" "));
            case "date" -> LocalDate.parse(text);
            case "time-millis", "time-micros" -> LocalTime.parse(text);
            case "timestamp-millis", "timestamp-micros", "timestamp-nanos" -> Instant.parse(text);
            case "local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos" -> LocalDateTime.parse(text);
            default -> throw new IllegalArgumentException("no class for " + schema.getLogicalType().getName());
        };
    }

    /** Its own text tells years of months, so each of the three is a number. */
    private static TimePeriod period(String[] numbers) {
        return TimePeriod.of(Long.parseLong(numbers[0]), Long.parseLong(numbers[1]), Long.parseLong(numbers[2]));
    }

    private static String text(Schema schema, byte[] body) throws IOException {
        Object value = read(LOGICAL, schema, schema, body);
        if (value instanceof BigDecimal number) {
            return number.toPlainString();
        }
        if (value instanceof TimePeriod period) {
            return period.getMonths() + " " + period.getDays() + " " + period.getMillis();
        }
        if (value instanceof LocalTime time) {
            return DateTimeFormatter.ISO_LOCAL_TIME.format(time);
        }
        return value instanceof LocalDateTime moment
                ? DateTimeFormatter.ISO_LOCAL_DATE_TIME.format(moment)
                : value.toString();
    }
}
