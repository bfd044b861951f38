import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * What Kafka's Java clients do where Kafka has no tool that measures it. Prints one JSON object.
 *
 * <pre>
 * stage   BROKERS INPUT OUTPUT RECORDS          consume, parse, serialize, produce; at least once
 * eos     BROKERS INPUT OUTPUT RECORDS          the same, in transactions with the consumed offsets
 * latency BROKERS TOPIC RATE SECONDS WARMUP BYTES  from before send() to the record in the poll loop's hands
 * </pre>
 */
public final class Reference {
    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "stage" -> stage(args[1], args[2], args[3], Integer.parseInt(args[4]), false);
            case "eos" -> stage(args[1], args[2], args[3], Integer.parseInt(args[4]), true);
            case "latency" -> latency(args[1], args[2], Integer.parseInt(args[3]), Integer.parseInt(args[4]),
                Integer.parseInt(args[5]), Integer.parseInt(args[6]));
            default -> throw new IllegalArgumentException(args[0] + ": expected stage, eos or latency");
        }
    }

    private static Properties clientProperties(String brokers) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", brokers);
        properties.put("group.id", "reference-" + System.nanoTime());
        properties.put("auto.offset.reset", "earliest");
        properties.put("enable.auto.commit", "false");
        properties.put("isolation.level", "read_committed");
        properties.put("max.poll.records", "2000");
        properties.put("acks", "all");
        properties.put("compression.type", "lz4");
        return properties;
    }

    private static KafkaConsumer<String, byte[]> consumer(Properties properties) {
        return new KafkaConsumer<>(properties, new StringDeserializer(), new ByteArrayDeserializer());
    }

    private static void stage(String brokers, String input, String output, int records, boolean transactions) {
        Properties properties = clientProperties(brokers);
        if (transactions) properties.put("transactional.id", "reference-" + System.nanoTime());
        ObjectMapper mapper = new ObjectMapper();
        long started = 0;
        int done = 0;
        try (KafkaConsumer<String, byte[]> consumer = consumer(properties);
            KafkaProducer<String, byte[]> producer =
                new KafkaProducer<>(properties, new StringSerializer(), new ByteArraySerializer())) {
            if (transactions) producer.initTransactions();
            consumer.subscribe(List.of(input));
            while (done < records) {
                ConsumerRecords<String, byte[]> batch = consumer.poll(Duration.ofMillis(100));
                if (batch.isEmpty()) continue;
                if (started == 0) started = System.nanoTime();
                if (transactions) producer.beginTransaction();
                for (ConsumerRecord<String, byte[]> record : batch) {
                    producer.send(new ProducerRecord<>(output, record.key(), derive(mapper, record.value())),
                        (metadata, error) -> {
                            if (error != null) fail(error);
                        });
                }
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                for (TopicPartition partition : batch.partitions()) {
                    List<ConsumerRecord<String, byte[]>> read = batch.records(partition);
                    offsets.put(partition, new OffsetAndMetadata(read.get(read.size() - 1).offset() + 1));
                }
                if (transactions) {
                    producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                    producer.commitTransaction();
                } else {
                    producer.flush();
                    consumer.commitAsync(offsets, (committed, error) -> {});
                }
                done += batch.count();
            }
            producer.flush();
            double seconds = (System.nanoTime() - started) / 1e9;
            System.out.printf(Locale.ROOT, "{\"records\":%d,\"seconds\":%.4f}%n", done, seconds);
        }
    }

    /** What the measured stage does as well: parse, change a field, serialize. */
    private static byte[] derive(ObjectMapper mapper, byte[] value) {
        try {
            ObjectNode event = (ObjectNode) mapper.readTree(value);
            event.put("venue", "reference");
            return mapper.writeValueAsBytes(event);
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }

    private static void latency(String brokers, String topic, int rate, int seconds, int warmup, int bytes)
        throws Exception {
        Properties properties = clientProperties(brokers);
        properties.put("linger.ms", "0");
        int total = rate * (seconds + warmup);
        int unmeasured = rate * warmup;
        long[] sent = new long[total];
        long[] taken = new long[total];
        CountDownLatch assigned = new CountDownLatch(1);
        Thread reader = new Thread(() -> {
            try (KafkaConsumer<String, byte[]> consumer = consumer(properties)) {
                consumer.subscribe(List.of(topic));
                int received = 0;
                while (received < total) {
                    ConsumerRecords<String, byte[]> batch = consumer.poll(Duration.ofMillis(100));
                    if (!consumer.assignment().isEmpty()) assigned.countDown();
                    for (ConsumerRecord<String, byte[]> record : batch) {
                        taken[numberOf(record.value())] = System.nanoTime();
                        received++;
                    }
                }
            }
        });
        reader.start();
        assigned.await();
        try (KafkaProducer<String, byte[]> producer =
            new KafkaProducer<>(properties, new StringSerializer(), new ByteArraySerializer())) {
            long start = System.nanoTime();
            for (int next = 0; next < total;) {
                // Once a millisecond, as the measured side does.
                long due = Math.min(total, (System.nanoTime() - start) * rate / 1_000_000_000L);
                for (; next < due; next++) {
                    byte[] value = numbered(next, bytes);
                    sent[next] = System.nanoTime();
                    producer.send(new ProducerRecord<>(topic, "key-" + next % 97, value), (metadata, error) -> {
                        if (error != null) fail(error);
                    });
                }
                LockSupport.parkNanos(1_000_000);
            }
            producer.flush();
        }
        reader.join();
        double[] milliseconds = new double[total - unmeasured];
        for (int at = unmeasured; at < total; at++) milliseconds[at - unmeasured] = (taken[at] - sent[at]) / 1e6;
        Arrays.sort(milliseconds);
        System.out.printf(Locale.ROOT, "{\"samples\":%d,\"p50\":%.4f,\"p99\":%.4f,\"max\":%.4f}%n", milliseconds.length,
            at(milliseconds, 0.5), at(milliseconds, 0.99), milliseconds[milliseconds.length - 1]);
    }

    private static double at(double[] sorted, double share) {
        return sorted[Math.min(sorted.length - 1, (int) Math.floor(share * sorted.length))];
    }

    /** The record's number in eight digits, then JSON-like filling. */
    private static byte[] numbered(int number, int bytes) {
        byte[] value = new byte[bytes];
        Arrays.fill(value, (byte) 'x');
        byte[] digits = String.format(Locale.ROOT, "%08d", number).getBytes();
        System.arraycopy(digits, 0, value, 0, digits.length);
        return value;
    }

    private static int numberOf(byte[] value) {
        return Integer.parseInt(new String(value, 0, 8));
    }

    private static void fail(Exception error) {
        error.printStackTrace();
        Runtime.getRuntime().halt(1);
    }
}
