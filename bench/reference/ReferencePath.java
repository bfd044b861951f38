import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The hops of the whole path with Kafka's Java clients, and nothing but the hops: raw, norm, cmd, a transaction with the
 * INTENT, a transaction with the journal's entry and the result, a consumer of results. One process instead of five,
 * nothing is parsed or validated, and there is no venue. Prints one JSON array: for each hop of those quotes that
 * become commands, milliseconds since before the quote's send().
 *
 * <pre>
 * BROKERS RAW NORM CMD JOURNAL RESULT RATE COMMANDS_PER_SECOND SECONDS WARMUP
 * </pre>
 */
public final class ReferencePath {
    private static final int BYTES = 300;
    private static final int SENT = 0, RAW_READ = 1, NORM_READ = 2, CMD_READ = 3, INTENT_COMMITTED = 4, RESULT_READ = 5;
    private static final String[] STAGES = {"raw read", "norm read", "cmd read", "INTENT committed", "result read"};

    private final String brokers;
    /** When each stage had each quote, by System.nanoTime(). */
    private final long[][] at;
    /** Of so many quotes one becomes a command. */
    private final int every;
    private final CountDownLatch assigned = new CountDownLatch(4);

    private ReferencePath(String brokers, int total, int every) {
        this.brokers = brokers;
        this.at = new long[STAGES.length + 1][total];
        this.every = every;
    }

    public static void main(String[] args) throws Exception {
        String[] topics = Arrays.copyOfRange(args, 1, 6);
        int rate = Integer.parseInt(args[6]);
        int commands = Integer.parseInt(args[7]);
        int total = rate * (Integer.parseInt(args[8]) + Integer.parseInt(args[9]));
        ReferencePath path = new ReferencePath(args[0], total, rate / commands);
        path.run(topics, rate, total);
        path.print(rate * Integer.parseInt(args[9]));
        System.exit(0);
    }

    private void run(String[] topics, int rate, int total) throws Exception {
        String raw = topics[0], norm = topics[1], cmd = topics[2], journal = topics[3], result = topics[4];
        CountDownLatch results = new CountDownLatch((total + every - 1) / every);
        KafkaProducer<String, byte[]> norms = producer(null);
        read(raw, RAW_READ, (record, number) -> norms.send(next(norm, record), ReferencePath::check));
        KafkaProducer<String, byte[]> cmds = producer(null);
        read(norm, NORM_READ, (record, number) -> {
            if (number % every == 0) cmds.send(next(cmd, record), ReferencePath::check);
        });
        List<ExecutorService> executors = new ArrayList<>();
        List<KafkaProducer<String, byte[]>> journals = new ArrayList<>();
        int partitions = cmds.partitionsFor(cmd).size();
        for (int partition = 0; partition < partitions; partition++) {
            executors.add(Executors.newSingleThreadExecutor());
            KafkaProducer<String, byte[]> producer = producer("reference-" + partition + "-" + System.nanoTime());
            producer.initTransactions();
            journals.add(producer);
        }
        read(cmd, CMD_READ, (record, number) -> executors.get(record.partition()).execute(() -> {
            try {
                int partition = record.partition();
                KafkaProducer<String, byte[]> producer = journals.get(partition);
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(journal, partition, record.key(), record.value()), ReferencePath::check);
                producer.commitTransaction();
                at[INTENT_COMMITTED][number] = System.nanoTime();
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(journal, partition, record.key(), record.value()), ReferencePath::check);
                producer.send(new ProducerRecord<>(result, partition, record.key(), record.value()), ReferencePath::check);
                producer.commitTransaction();
            } catch (RuntimeException error) {
                check(null, error);
            }
        }));
        read(result, RESULT_READ, (record, number) -> results.countDown());
        assigned.await();
        KafkaProducer<String, byte[]> raws = producer(null);
        long start = System.nanoTime();
        for (int number = 0; number < total;) {
            // Once a millisecond.
            long due = Math.min(total, (System.nanoTime() - start) * rate / 1_000_000_000L);
            for (; number < due; number++) {
                byte[] value = numbered(number);
                at[SENT][number] = System.nanoTime();
                raws.send(new ProducerRecord<>(raw, "key-" + number % 97, value), ReferencePath::check);
            }
            LockSupport.parkNanos(1_000_000);
        }
        results.await();
    }

    private interface Handler {
        void handle(ConsumerRecord<String, byte[]> record, int number);
    }

    /** Reads a topic to the process's end; notes when each record was handed over. */
    private void read(String topic, int stage, Handler handler) {
        Thread reader = new Thread(() -> {
            try (KafkaConsumer<String, byte[]> consumer =
                new KafkaConsumer<>(consumerProperties(), new StringDeserializer(), new ByteArrayDeserializer())) {
                consumer.subscribe(List.of(topic));
                boolean isAssigned = false;
                for (;;) {
                    ConsumerRecords<String, byte[]> records = consumer.poll(Duration.ofMillis(100));
                    for (ConsumerRecord<String, byte[]> record : records) {
                        int number = numberOf(record.value());
                        at[stage][number] = System.nanoTime();
                        handler.handle(record, number);
                    }
                    if (!isAssigned && !consumer.assignment().isEmpty()) {
                        isAssigned = true;
                        assigned.countDown();
                    }
                    if (!records.isEmpty()) consumer.commitAsync();
                }
            } catch (RuntimeException error) {
                check(null, error);
            }
        });
        reader.setDaemon(true);
        reader.start();
    }

    private static ProducerRecord<String, byte[]> next(String topic, ConsumerRecord<String, byte[]> record) {
        return new ProducerRecord<>(topic, record.key(), record.value());
    }

    private Properties consumerProperties() {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", brokers);
        properties.put("group.id", "reference-" + System.nanoTime());
        properties.put("auto.offset.reset", "earliest");
        properties.put("enable.auto.commit", "false");
        properties.put("isolation.level", "read_committed");
        return properties;
    }

    private KafkaProducer<String, byte[]> producer(String transactionalId) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", brokers);
        properties.put("acks", "all");
        properties.put("compression.type", "lz4");
        properties.put("linger.ms", "0");
        if (transactionalId != null) properties.put("transactional.id", transactionalId);
        return new KafkaProducer<>(properties, new StringSerializer(), new ByteArraySerializer());
    }

    private void print(int unmeasured) {
        List<String> lines = new ArrayList<>();
        for (int stage = 1; stage <= STAGES.length; stage++) {
            List<Double> milliseconds = new ArrayList<>();
            for (int number = 0; number < at[SENT].length; number += every) {
                if (number >= unmeasured) milliseconds.add((at[stage][number] - at[SENT][number]) / 1e6);
            }
            double[] sorted = milliseconds.stream().mapToDouble(Double::doubleValue).sorted().toArray();
            lines.add(String.format(Locale.ROOT, "{\"name\":\"%s\",\"samples\":%d,\"p50\":%.4f,\"p99\":%.4f,\"max\":%.4f}",
                STAGES[stage - 1], sorted.length, share(sorted, 0.5), share(sorted, 0.99), sorted[sorted.length - 1]));
        }
        System.out.println("[" + String.join(",", lines) + "]");
    }

    private static double share(double[] sorted, double share) {
        return sorted[Math.min(sorted.length - 1, (int) Math.floor(share * sorted.length))];
    }

    /** The record's number in eight digits, then filling. */
    private static byte[] numbered(int number) {
        byte[] value = new byte[BYTES];
        Arrays.fill(value, (byte) 'x');
        byte[] digits = String.format(Locale.ROOT, "%08d", number).getBytes();
        System.arraycopy(digits, 0, value, 0, digits.length);
        return value;
    }

    private static int numberOf(byte[] value) {
        return Integer.parseInt(new String(value, 0, 8));
    }

    private static void check(Object metadata, Exception error) {
        if (error == null) return;
        error.printStackTrace();
        Runtime.getRuntime().halt(1);
    }
}
